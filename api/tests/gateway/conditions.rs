//! Changes that depend on a state seen before (RFC 9110 section 13.1.1).

use wire::problem::{Problem, ProblemCode};
use wire::socket::RequestBody;

use crate::support::{Action, SERIAL, Stage, answer, problem};

/// Names of the questions asked so far.
fn asked(stage: &mut Stage) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Ok(request) = stage.asked.try_recv() {
        names.push(match request.body {
            RequestBody::Issue { .. } => "issue",
            RequestBody::Revoke { .. } => "revoke",
            RequestBody::Identity { .. } => "identity",
            RequestBody::Certificate { .. } => "certificate",
            _ => "something else",
        });
    }
    names
}

#[tokio::test]
async fn a_certificate_only_in_the_state_that_was_seen() {
    let mut stage = Stage::new().await;
    let seen = stage.get("/api/v1/identities/alice").await.headers()["etag"].clone();
    asked(&mut stage);
    let response = stage.post("the CSR").header("if-match", &seen).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(asked(&mut stage), ["identity", "issue"]);

    let old = stage.post("the CSR").header("if-match", "\"2-00\"").send().await.unwrap();
    let (status, json) = problem(old).await;
    assert_eq!((status, json.code.as_str()), (412, "precondition-failed"));
    assert!(json.detail.contains(seen.to_str().unwrap()), "{}", json.detail);
    assert_eq!(asked(&mut stage), ["identity"]);
}

#[tokio::test]
async fn nobody_is_in_no_state() {
    let mut stage = Stage::new().await;
    stage.authority.script(|request| match &request.body {
        RequestBody::Identity { .. } => {
            Action::problem(Problem::new(ProblemCode::UnknownIdentity, "nobody"))
        }
        other => Action::ok(answer(other)),
    });
    let response = stage.post("the CSR").header("if-match", "*").send().await.unwrap();
    assert_eq!(problem(response).await.1.code, "precondition-failed");
    assert_eq!(asked(&mut stage), ["identity"]);
    // What fails otherwise is not taken for an unknown identity.
    stage
        .authority
        .script(|_| Action::problem(Problem::new(ProblemCode::StoreUnavailable, "gone")));
    let response = stage.post("the CSR").header("if-match", "*").send().await.unwrap();
    assert_eq!(problem(response).await.1.code, "store-unavailable");
}

#[tokio::test]
async fn a_revocation_only_in_the_state_that_was_seen() {
    let mut stage = Stage::new().await;
    let seen = stage.get("/api/v1/identities/alice").await.headers()["etag"].clone();
    asked(&mut stage);
    // What is malformed is so in any state.
    let url = stage.url(&format!("/api/v1/certificates/{SERIAL}/revocation"));
    let request = stage.client.post(url).header("content-type", "application/json");
    let request = request.header("if-match", "\"2-00\"").body(r#"{"reason":"boredom"}"#);
    let (_, json) = problem(request.send().await.unwrap()).await;
    assert_eq!(json.code, "malformed-request");
    assert_eq!(json.found.as_deref(), Some("boredom"));
    assert!(asked(&mut stage).is_empty());

    let revoke = async |tag: &str| {
        let url = stage.url(&format!("/api/v1/certificates/{SERIAL}/revocation"));
        let request = stage.client.post(url).header("content-type", "application/json");
        let request = request.header("if-match", tag).body(r#"{"reason":"superseded"}"#);
        request.send().await.unwrap()
    };
    assert_eq!(problem(revoke("W/\"3-00\"").await).await.1.code, "precondition-failed");
    assert_eq!(revoke(seen.to_str().unwrap()).await.status(), 200);
    let questions = asked(&mut stage);
    assert_eq!(questions, ["certificate", "identity", "certificate", "identity", "revoke"]);
}
