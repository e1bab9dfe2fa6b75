use super::*;

#[test]
fn every_code_has_a_valid_error_status() {
    for &code in ProblemCode::ALL {
        let status = StatusCode::from_u16(code.status()).unwrap();
        assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
    }
}

fn rendered(response: Response) -> Option<ProblemCode> {
    render(response, "https://x/problems/", "id").1
}

#[test]
fn what_axum_refuses_by_itself_becomes_a_problem() {
    for (status, code) in [
        (StatusCode::NOT_FOUND, ProblemCode::UnknownRoute),
        (StatusCode::METHOD_NOT_ALLOWED, ProblemCode::MethodNotAllowed),
        (StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::Oversize),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, ProblemCode::UnsupportedMediaType),
        (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::MalformedRequest),
        (StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal),
    ] {
        assert_eq!(rendered(status.into_response()), Some(code));
    }
}

#[test]
fn answers_stay_as_they_are() {
    assert_eq!(rendered(StatusCode::NOT_MODIFIED.into_response()), None);
    assert_eq!(rendered("fine".into_response()), None);
    assert_eq!(rendered((StatusCode::SERVICE_UNAVAILABLE, "health").into_response()), None);
}

#[test]
fn every_problem_says_what_to_do_and_a_closer_remedy_counts() {
    for &code in ProblemCode::ALL {
        let json = ProblemJson::new(&Problem::new(code, "x"), "https://x/problems/", "id");
        assert_eq!(json.remedy.as_deref(), Some(code.remedy()), "{code:?}");
    }
    let own = Problem::new(ProblemCode::WeakKey, "x").remedy("this");
    assert_eq!(ProblemJson::new(&own, "", "").remedy.as_deref(), Some("this"));
}

#[tokio::test]
async fn what_would_have_been_taken_is_told_of_axums_refusals_too() {
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
    let (response, _) = render(response, "https://x/problems/", "id");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let json: ProblemJson = serde_json::from_slice(&body).unwrap();
    assert_eq!(json.expected.as_deref(), Some("GET,HEAD"));
}
