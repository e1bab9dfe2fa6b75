use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::StatusCode;
use http_body_util::BodyExt;
use tower::ServiceExt;
use wire::rest::ProblemJson;

use super::*;
use crate::config::Rate;

const RATE: Rate = Rate { per_second: 1, burst: 1 };

async fn ask(router: Router, deadline: Duration) -> (Response, Option<ProblemJson>) {
    let edge = Arc::new(Edge {
        pages: "https://x/problems/".to_owned(),
        deadline,
        requests: Arc::new(Semaphore::new(1)),
        rates: Arc::new(Limiter::new(RATE, RATE)),
        hsts: Some(HeaderValue::from_static("max-age=5")),
        metrics: Metrics::default(),
    });
    let router = router.layer(from_fn_with_state(edge, around));
    let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let problem = serde_json::from_slice(&bytes).ok();
    (Response::from_parts(parts, Body::from(bytes)), problem)
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_and_tells_nothing() {
    let handler = get(|| async {
        if true {
            panic!("the secret");
        }
    });
    let (response, problem) = ask(Router::new().route("/", handler), Duration::from_secs(60)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let problem = problem.unwrap();
    assert_eq!(problem.code, "internal");
    assert!(!problem.detail.contains("secret"));
    assert_eq!(response.headers()["strict-transport-security"], "max-age=5");
}

#[tokio::test]
async fn a_handler_that_never_ends_is_late() {
    let handler = get(std::future::pending::<()>);
    let (_, problem) = ask(Router::new().route("/", handler), Duration::from_millis(1)).await;
    assert_eq!(problem.unwrap().code, "timeout");
}
