//! Refusals and failures.

use wire::problem::{Problem, ProblemCode};
use wire::socket::ResponseBody;

use crate::support::{Action, SERIAL, Stage, identity, problem, uid};

#[tokio::test]
async fn every_problem_has_its_answer_and_its_page() {
    let stage = Stage::new().await;
    for &code in ProblemCode::ALL {
        stage.authority.script(move |_| {
            let problem = Problem::new(code, "what happened")
                .expected("a", "b")
                .rule("rule")
                .remedy("remedy")
                .offset(Some(4));
            Action::problem(problem)
        });
        let response = stage.get("/api/v1/identities/alice").await;
        let waits = matches!(code.status(), 429 | 503);
        assert_eq!(response.headers().contains_key("retry-after"), waits, "{code:?}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let (status, json) = problem(response).await;
        assert_eq!(status, code.status());
        assert_eq!(json.code, code.slug());
        assert_eq!(json.title, code.title());
        assert_eq!(json.instance, format!("urn:avouch:request:{id}"));
        assert_eq!(json.type_uri, stage.url(&format!("/problems/{}", code.slug())));
        assert_eq!(json.detail, "what happened");
        assert_eq!(json.rule.as_deref(), Some("rule"));
        assert_eq!(json.expected.as_deref(), Some("a"));
        assert_eq!(json.found.as_deref(), Some("b"));
        assert_eq!(json.remedy.as_deref(), Some("remedy"));
        assert_eq!(json.offset, Some(4));

        let page = stage.client.get(&json.type_uri).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(page.text().await.unwrap().contains(code.slug()));
    }
    let index = stage.get("/problems/").await.text().await.unwrap();
    assert!(ProblemCode::ALL.iter().all(|code| index.contains(code.slug())));
}

#[tokio::test]
async fn the_authoritys_retry_after_wins() {
    let stage = Stage::new().await;
    stage.authority.script(|_| {
        Action::problem(Problem::new(ProblemCode::HsmUnavailable, "gone").retry_after(17))
    });
    let response = stage.get("/api/v1/identities/alice").await;
    assert_eq!(response.headers()["retry-after"], "17");
}

#[tokio::test]
async fn the_type_uri_is_below_the_public_url() {
    let stage = Stage::with(|options| {
        options.public_url = Some("https://ca.example.test/avouch/".to_owned());
    })
    .await;
    let (_, json) = problem(stage.get("/nothing").await).await;
    assert_eq!(json.type_uri, "https://ca.example.test/avouch/problems/unknown-route");
}

#[tokio::test]
async fn unknown_addresses_and_methods() {
    let stage = Stage::new().await;
    for path in [
        "/",
        "/api",
        "/api/v1/identities/",
        "/api/v1/identities/alice/",
        "/api/v1/identities/a/b",
        "/api/v2/trust",
        "/problems/nothing-of-this-name",
    ] {
        let (status, json) = problem(stage.get(path).await).await;
        assert_eq!((status, json.code.as_str()), (404, "unknown-route"), "{path}");
    }
    let delete = stage.client.delete(stage.url("/api/v1/identities/alice/certificates"));
    let response = delete.send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    let (status, json) = problem(response).await;
    assert_eq!((status, json.code.as_str()), (405, "method-not-allowed"));
}

#[tokio::test]
async fn what_is_not_of_the_documented_form() {
    let mut stage = Stage::new().await;
    let too_long = format!("/api/v1/identities/{}", "a".repeat(65));
    for (path, status, code) in [
        // The id: not UTF-8, a control character, too long.
        ("/api/v1/identities/%FF", 400, "malformed-request"),
        ("/api/v1/identities/%00", 400, "malformed-request"),
        ("/api/v1/identities/a%0Ab/history", 400, "malformed-request"),
        (too_long.as_str(), 400, "malformed-request"),
        // The query.
        ("/api/v1/identities/a/history?limit=0", 400, "malformed-request"),
        ("/api/v1/identities/a/history?limit=1001", 400, "malformed-request"),
        ("/api/v1/identities/a/history?limit=x", 400, "malformed-request"),
        ("/api/v1/identities/a/history?limit=1&limit=2", 400, "malformed-request"),
        ("/api/v1/identities/a/history?curser=x", 400, "malformed-request"),
        ("/api/v1/identities/a/history?cursor=", 400, "malformed-request"),
        // Names of things that cannot be there.
        ("/api/v1/certificates/12", 404, "unknown-certificate"),
        ("/api/v1/certificates/%FF", 404, "unknown-certificate"),
        ("/api/v1/issuers/ffffffffffffffff", 404, "unknown-issuer"),
        ("/api/v1/issuers/%FF/chain.pem", 404, "unknown-issuer"),
        ("/api/v1/issuers/8899aabbccddeeff/crl", 404, "unknown-crl"),
        ("/api/v1/issuers/8899aabbccddeeff/crl/4.crl", 404, "unknown-crl"),
        ("/api/v1/issuers/8899aabbccddeeff/crl/+1", 404, "unknown-crl"),
        ("/api/v1/issuers/8899aabbccddeeff/crl/99999999999", 404, "unknown-crl"),
    ] {
        let (found, json) = problem(stage.get(path).await).await;
        assert_eq!((found, json.code.as_str()), (status, code), "{path}: {}", json.detail);
    }
    // None of it reached the authority, but the one look at the issuers.
    stage.asked.recv().await.unwrap();
    assert!(stage.asked.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_to_another_question_is_our_fault() {
    let stage = Stage::new().await;
    stage
        .authority
        .script(|_| Action::ok(ResponseBody::Identity(Box::new(identity(&uid("alice"))))));
    let (status, json) = problem(stage.get(&format!("/api/v1/certificates/{SERIAL}")).await).await;
    assert_eq!((status, json.code.as_str()), (500, "internal"));
}

#[tokio::test]
async fn problems_are_not_kept() {
    let stage = Stage::new().await;
    stage
        .authority
        .script(|_| Action::problem(Problem::new(ProblemCode::StoreUnavailable, "gone")));
    let path = "/api/v1/issuers/00112233445566778899aabbccddeeff00112233/crl/0";
    assert_eq!(stage.get(path).await.status(), 503);
    stage.authority.script(|request| Action::ok(crate::support::answer(&request.body)));
    assert_eq!(stage.get(path).await.status(), 200);
}
