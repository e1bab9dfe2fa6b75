//! The socket to the authority, when it is not well.

use std::time::Duration;

use tokio::sync::oneshot;
use wire::socket::{VERSION, Welcome};

use crate::support::{Action, Stage, answer, problem};

const PATH: &str = "/api/v1/identities/alice";

/// Asks until the authority answers. Each refusal meanwhile must be the documented one.
async fn recovered(stage: &Stage) {
    loop {
        let response = stage.get(PATH).await;
        if response.status() == 200 {
            return;
        }
        assert_eq!(problem(response).await.1.code, "authority-unavailable");
    }
}

#[tokio::test]
async fn the_authority_dies_in_the_middle_of_a_request_and_comes_back() {
    let mut stage = Stage::new().await;
    stage.authority.script(|_| Action::Ignore);
    let (client, url) = (stage.client.clone(), stage.url(PATH));
    let request = tokio::spawn(async move { client.get(url).send().await.unwrap() });
    stage.asked.recv().await.unwrap();
    stage.authority.stop().await;

    let response = request.await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    let (status, json) = problem(response).await;
    assert_eq!((status, json.code.as_str()), (503, "authority-unavailable"));
    assert!(json.remedy.unwrap().contains("Idempotency-Key"));
    // While it is away, everybody is told at once.
    assert_eq!(problem(stage.get(PATH).await).await.1.code, "authority-unavailable");

    stage.authority.script(|request| Action::ok(answer(&request.body)));
    stage.authority.start(Welcome::Ok { in_flight: 100 });
    recovered(&stage).await;
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection() {
    let frame = |payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap();
        [&length.to_be_bytes()[..], payload].concat()
    };
    for (what, bytes) in [
        ("not postcard", frame(&[0xff; 40])),
        ("an empty frame", frame(&[])),
        ("a frame longer than allowed", u32::MAX.to_be_bytes().to_vec()),
    ] {
        let stage = Stage::new().await;
        let mut garbage = Some(bytes);
        stage.authority.script(move |request| match garbage.take() {
            Some(bytes) => Action::Raw(bytes),
            None => Action::ok(answer(&request.body)),
        });
        let (status, json) = problem(stage.get(PATH).await).await;
        assert_eq!((status, json.code.as_str()), (503, "authority-unavailable"), "{what}");
        recovered(&stage).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_hung_up_is_made_again() {
    let stage = Stage::new().await;
    let mut first = true;
    stage.authority.script(move |request| {
        if std::mem::take(&mut first) { Action::HangUp } else { Action::ok(answer(&request.body)) }
    });
    assert_eq!(problem(stage.get(PATH).await).await.1.code, "authority-unavailable");
    recovered(&stage).await;
}

#[tokio::test]
async fn another_version_is_named_and_waited_for() {
    let mut stage = Stage::greeted(Welcome::Version { version: VERSION + 1 }, |_| ()).await;
    // The first attempt may still be under way.
    let detail = loop {
        let (status, json) = problem(stage.get(PATH).await).await;
        assert_eq!((status, json.code.as_str()), (503, "authority-unavailable"));
        if json.detail.contains("version") {
            break json.detail;
        }
    };
    assert!(detail.contains(&format!("version {}", VERSION + 1)), "{detail}");
    // The authority is replaced by one of our version.
    stage.authority.stop().await;
    stage.authority.start(Welcome::Ok { in_flight: 100 });
    recovered(&stage).await;
}

#[tokio::test]
async fn an_authority_that_does_not_answer_is_late() {
    let mut stage =
        Stage::with(|options| options.limits.request = Duration::from_millis(100)).await;
    stage.authority.script(|_| Action::Ignore);
    let (status, json) = problem(stage.get(PATH).await).await;
    assert_eq!((status, json.code.as_str()), (504, "timeout"));
    // It was told how long the gateway would wait.
    assert!((1..=100).contains(&stage.asked.recv().await.unwrap().deadline_ms));
}

#[tokio::test]
async fn more_than_the_authority_takes_at_once_is_overload() {
    let mut stage = Stage::greeted(Welcome::Ok { in_flight: 1 }, |_| ()).await;
    let (go, gate) = oneshot::channel();
    let mut gate = Some(gate);
    stage.authority.script(move |request| {
        let result = Ok(answer(&request.body));
        match gate.take() {
            Some(gate) => Action::AnswerAfter(gate, Box::new(result)),
            None => Action::Answer(Box::new(result)),
        }
    });
    let (client, url) = (stage.client.clone(), stage.url(PATH));
    let first = tokio::spawn(async move { client.get(url).send().await.unwrap() });
    stage.asked.recv().await.unwrap();

    let second = stage.get(PATH).await;
    assert_eq!(second.headers()["retry-after"], "1");
    let (status, json) = problem(second).await;
    assert_eq!((status, json.code.as_str()), (503, "overloaded"));
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!(stage.get(PATH).await.status(), 200);
}

#[tokio::test]
async fn more_than_the_gateway_takes_at_once_is_overload_and_it_is_alive() {
    let mut stage = Stage::with(|options| options.limits.requests = 1).await;
    let (go, gate) = oneshot::channel();
    let mut gate = Some(gate);
    stage.authority.script(move |request| {
        let result = Box::new(Ok(answer(&request.body)));
        Action::AnswerAfter(gate.take().expect("one request only"), result)
    });
    let (client, url) = (stage.client.clone(), stage.url(PATH));
    let first = tokio::spawn(async move { client.get(url).send().await.unwrap() });
    stage.asked.recv().await.unwrap();
    assert_eq!(problem(stage.get(PATH).await).await.1.code, "overloaded");
    assert_eq!(stage.get("/api/v1/health/live").await.status(), 200);
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().status(), 200);
}

#[tokio::test]
async fn answers_find_their_questions() {
    let stage = Stage::new().await;
    let mut held = Vec::new();
    // Every odd question is answered only when the next even one is.
    stage.authority.script(move |request| {
        let result = Box::new(Ok(answer(&request.body)));
        match held.pop() {
            None => {
                let (go, gate) = oneshot::channel();
                held.push(go);
                Action::AnswerAfter(gate, result)
            }
            Some(go) => {
                let _: Result<(), ()> = oneshot::Sender::send(go, ());
                Action::Answer(result)
            }
        }
    });
    let asking = (0..40).map(|n| {
        let (client, url) =
            (stage.client.clone(), stage.url(&format!("/api/v1/identities/user{n}")));
        async move { (n, client.get(url).send().await.unwrap().text().await.unwrap()) }
    });
    for (n, text) in futures::future::join_all(asking).await {
        assert!(text.contains(&format!("\"uid\":\"user{n}\"")), "{text}");
    }
}
