//! Changes that depend on a state seen before (RFC 9110 section 13.1.1): the gateway passes on which,
//! and the authority compares when it decides.

use wire::Hash32;
use wire::problem::{Problem, ProblemCode};
use wire::socket::{IfMatch, RequestBody};

use crate::support::{Action, SERIAL, Stage, problem};

/// What was asked so far, with the states in which it may happen.
fn asked(stage: &mut Stage) -> Vec<(&'static str, Option<IfMatch>)> {
    let mut names = Vec::new();
    while let Ok(request) = stage.asked.try_recv() {
        names.push((request.body.name(), request.if_match));
    }
    names
}

#[tokio::test]
async fn a_certificate_only_in_the_state_that_was_seen() {
    let mut stage = Stage::new().await;
    let seen = stage.get("/api/v1/identities/alice").await.headers()["etag"].clone();
    let head = match stage.asked.try_recv().unwrap().body {
        RequestBody::Identity { .. } => seen.to_str().unwrap().trim_matches('"').split_once('-'),
        other => panic!("{other:?}"),
    };
    let head = Hash32::from_hex(head.unwrap().1).unwrap();
    let response = stage.post("the CSR").header("if-match", &seen).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(asked(&mut stage), [("issue", Some(IfMatch::Heads(vec![head])))]);

    // What names no state of an identity is passed on as that, and not dropped.
    stage.authority.script(|_| {
        Action::problem(Problem::new(ProblemCode::PreconditionFailed, "it is in another"))
    });
    let old = stage.post("the CSR").header("if-match", "\"2-00\"").send().await.unwrap();
    let (status, json) = problem(old).await;
    assert_eq!((status, json.code.as_str()), (412, "precondition-failed"));
    assert_eq!(asked(&mut stage), [("issue", Some(IfMatch::Heads(vec![])))]);
}

#[tokio::test]
async fn a_revocation_only_in_the_state_that_was_seen() {
    let mut stage = Stage::new().await;
    let revoke = async |tag: &str, reason: &str| {
        let url = stage.url(&format!("/api/v1/certificates/{SERIAL}/revocation"));
        let request = stage.client.post(url).header("content-type", "application/json");
        let body = format!(r#"{{"reason":"{reason}"}}"#);
        request.header("if-match", tag).body(body).send().await.unwrap()
    };
    // What is malformed is so in any state.
    let (_, json) = problem(revoke("\"2-00\"", "boredom").await).await;
    assert_eq!(json.code, "malformed-request");
    assert_eq!(json.found.as_deref(), Some("boredom"));
    assert_eq!(revoke("*", "superseded").await.status(), 200);
    assert_eq!(asked(&mut stage), [("revoke", Some(IfMatch::Any))]);
}

#[tokio::test]
async fn without_a_condition_there_is_none() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.post("the CSR").send().await.unwrap().status(), 201);
    assert_eq!(asked(&mut stage), [("issue", None)]);
}
