//! Request bodies: their kinds and their bounds.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

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

/// One answer's head and content from a kept connection.
async fn one_answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    loop {
        text.push(stream.read_u8().await.unwrap());
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let mut text = String::from_utf8(text).unwrap();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut content = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut content).await.unwrap();
    text.push_str(std::str::from_utf8(&content).unwrap());
    text
}

#[tokio::test]
async fn a_refused_body_does_not_end_the_connection() {
    let stage = Stage::new().await;
    let mut stream = stage.raw().await;
    let head = "POST /api/v1/identities/alice/certificates HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
    for _ in 0..20 {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // Refused by its head already; the rest comes later, as many programs send it.
        tokio::task::yield_now().await;
        stream.write_all(b"12345").await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_read_ends_the_connection_and_says_so() {
    let stage = Stage::new().await;
    let post = "POST /api/v1/identities/alice/certificates HTTP/1.1\r\nHost: localhost\r\n";
    for (head, status) in [
        ("Content-Type: application/pkcs10\r\nContent-Length: 10000000\r\n\r\n", "413"),
        ("Content-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "415"),
    ] {
        let mut stream = stage.raw().await;
        stream.write_all(format!("{post}{head}").as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}
