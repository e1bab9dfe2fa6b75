//! Request bodies: their kinds and their bounds.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::{Stage, problem, read_to_end};

#[tokio::test]
async fn only_the_documented_media_types() {
    let stage = Stage::new().await;
    let url = stage.url("/api/v1/identities/alice/certificates");
    for kind in ["application/x-www-form-urlencoded", "application/x-pem-file", "text/plain", ""] {
        let request = stage.client.post(&url).header("content-type", kind).body("x");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["accept"], "application/pkcs10, application/json");
        let (status, json) = problem(response).await;
        assert_eq!((status, json.code.as_str()), (415, "unsupported-media-type"), "{kind}");
    }
    let response = stage.client.post(&url).body("x").send().await.unwrap();
    assert_eq!(problem(response).await.1.code, "unsupported-media-type");
    let response = stage.post("x").header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(problem(response).await.1.code, "unsupported-media-type");
}

#[tokio::test]
async fn json_that_is_not_of_the_shape() {
    let mut stage = Stage::new().await;
    let url = stage.url("/api/v1/identities/alice/certificates");
    for body in [
        "",
        "{",
        "{}",
        r#"{"csr":"x","scr":"y"}"#,
        r#"{"csr":"x"} trailing"#,
        r#"{"csr":1}"#,
        r#"{"csr":"x","intent":"not base64!"}"#,
        r#"{"csr":"x","statements":["AQ"]}"#,
    ] {
        let request = stage.client.post(&url).header("content-type", "application/json");
        let (status, json) = problem(request.body(body).send().await.unwrap()).await;
        assert_eq!((status, json.code.as_str()), (400, "malformed-request"), "{body}");
    }
    let long = "k".repeat(129);
    for key in ["", "two words", long.as_str()] {
        let response = stage.post("x").header("idempotency-key", key).send().await.unwrap();
        assert_eq!(problem(response).await.1.code, "malformed-request", "{key}");
    }
    let twice = stage.post("x").header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(problem(twice.send().await.unwrap()).await.1.code, "malformed-request");
    assert!(stage.asked.try_recv().is_err());
}

#[tokio::test]
async fn the_limit_is_exact() {
    let stage = Stage::with(|options| options.limits.body = 1000).await;
    assert_eq!(stage.post(vec![b'x'; 1000]).send().await.unwrap().status(), 201);
    let (status, json) = problem(stage.post(vec![b'x'; 1001]).send().await.unwrap()).await;
    assert_eq!((status, json.code.as_str()), (413, "oversize"));
    assert_eq!(json.found.as_deref(), Some("1001 bytes"));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off() {
    let stage = Stage::with(|options| options.limits.body = 1000).await;
    let mut stream = stage.raw().await;
    let head = "POST /api/v1/identities/alice/certificates HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/pkcs10\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // More than the limit, and never an end: the answer comes all the same.
    for _ in 0..3 {
        let chunk = format!("190\r\n{}\r\n", "x".repeat(400));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"code\":\"oversize\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let stage = Stage::with(|options| options.limits.request = Duration::from_millis(200)).await;
    let mut stream = stage.raw().await;
    let head = "POST /api/v1/identities/alice/certificates HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/pkcs10\r\nContent-Length: 100\r\n\r\nthe beginning";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request-timeout\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_early_asks_nothing() {
    let mut stage = Stage::new().await;
    let mut stream = stage.raw().await;
    let head = "POST /api/v1/identities/alice/certificates HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/pkcs10\r\nContent-Length: 100\r\n\r\nthe beginning";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await;
    assert!(stage.asked.try_recv().is_err());
}
