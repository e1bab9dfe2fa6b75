//! Connections: who is let in, for how long, and how they end.

use std::time::Duration;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::support::{Action, Ca, Stage, answer, builder, read_to_end};

const REQUEST: &str = "GET /api/v1/identities/alice HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn an_agents_certificate_reaches_the_authority() {
    let mut stage = Stage::new().await;
    let (certificate, key, spki) = stage.agents.issue("enrolment agent", &[]);
    let client = stage.client_with(&certificate, &key);
    let url = stage.url("/api/v1/identities/alice");
    for _ in 0..2 {
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        let peer = stage.asked.recv().await.unwrap().peer.unwrap();
        assert_eq!(peer.name, "enrolment agent");
        assert_eq!(peer.spki.as_slice(), spki);
    }
    assert_eq!(stage.client.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(stage.asked.recv().await.unwrap().peer, None);
}

#[tokio::test]
async fn a_resumed_session_still_has_its_peer() {
    let mut stage = Stage::new().await;
    let (certificate, key, _) = stage.agents.issue("enrolment agent", &[]);
    let config = stage.tls(Some((&certificate, &key)));
    for resumed in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let mut stream = stage.raw_with(&config).await;
        let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(resumed));
        let peer = stage.asked.recv().await.unwrap().peer;
        assert_eq!(peer.unwrap().name, "enrolment agent");
    }
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_in_the_handshake() {
    let mut stage = Stage::new().await;
    // The same name does not make the same CA.
    let (certificate, key, _) = Ca::new("agents' CA").issue("enrolment agent", &[]);
    let client = stage.client_with(&certificate, &key);
    let result = client.get(stage.url("/api/v1/identities/alice")).send().await;
    assert!(result.is_err());
    assert!(stage.asked.try_recv().is_err());
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let stage = Stage::with(|options| options.limits.header = Duration::from_millis(100)).await;
    let mut silent = stage.raw().await;
    let mut slow = stage.raw().await;
    slow.write_all(b"GET /api/v1/trust HTTP/1.1\r\nHost: loc").await.unwrap();
    // Neither gets an answer; both come to an end.
    assert_eq!(read_to_end(&mut silent).await, "");
    let answer = read_to_end(&mut slow).await;
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn slow_handshakes_end_the_connection_and_delay_nobody() {
    let stage = Stage::with(|options| options.limits.handshake = Duration::from_millis(100)).await;
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(stage.get("/api/v1/identities/alice").await.status(), 200);
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn idle_connections_end() {
    let stage = Stage::with(|options| {
        options.limits.idle = Duration::from_millis(100);
        // Which would end it, too, but not in time for this test.
        options.limits.header = Duration::from_secs(300);
    })
    .await;
    let mut stream = stage.raw().await;
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_place_is_free_again_when_a_connection_ends() {
    let stage = Stage::with(|options| options.limits.connections = 1).await;
    for _ in 0..3 {
        let mut stream = stage.raw().await;
        let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn too_many_header_fields_are_refused() {
    let stage = Stage::new().await;
    let mut stream = stage.raw().await;
    let fields = "X-Field: x\r\n".repeat(100);
    let request = REQUEST.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn shutdown_lets_requests_in_flight_finish() {
    let mut stage = Stage::new().await;
    let (go, gate) = oneshot::channel();
    let mut gate = Some(gate);
    stage.authority.script(move |request| {
        let result = Box::new(Ok(answer(&request.body)));
        Action::AnswerAfter(gate.take().expect("one request only"), result)
    });
    let mut idle = stage.raw().await;
    let (client, url) = (stage.client.clone(), stage.url("/api/v1/identities/alice"));
    let request = tokio::spawn(async move { client.get(url).send().await });
    stage.asked.recv().await.unwrap();

    let served = stage.shut_down();
    // The idle connection goes at once, and nobody new is let in.
    assert_eq!(read_to_end(&mut idle).await, "");
    while TcpStream::connect(stage.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    go.send(()).unwrap();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_has_an_end() {
    let mut stage =
        Stage::with(|options| options.limits.shutdown = Duration::from_millis(100)).await;
    stage.authority.script(|_| Action::Ignore);
    let mut stream = stage.raw().await;
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    stage.asked.recv().await.unwrap();
    stage.shut_down().await.unwrap().unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn dropping_the_server_ends_its_connections() {
    let mut stage = Stage::new().await;
    let mut stream = stage.raw().await;
    stage.abort().await;
    assert_eq!(read_to_end(&mut stream).await, "");
    while TcpStream::connect(stage.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn odd_requests_are_refused_and_harm_nobody() {
    let stage = Stage::new().await;
    for line in [
        "OPTIONS * HTTP/1.1",
        "CONNECT localhost:443 HTTP/1.1",
        "GET //api/v1/trust HTTP/1.1",
        "GET /api/v1/identities/%/history HTTP/1.1",
        "GET /api/v1/identities/%zz%/history?%=%& HTTP/1.1",
        "GET /api/v1/identities//history HTTP/1.1",
        "GET /api/v1/issuers/%2e%2e/crl/%2e%2e HTTP/1.1",
        "TRACE /api/v1/trust HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /api/v1/trust HTTP/3.7",
        "\u{0}\u{1}",
    ] {
        let mut stream = stage.raw().await;
        let request = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused || line.contains("%"), "{line}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 5"), "{line}: {answer}");
    }
    assert_eq!(stage.get("/api/v1/identities/alice").await.status(), 200);
}

#[tokio::test]
async fn the_certificate_is_replaced_while_the_gateway_serves() {
    let stage = Stage::new().await;
    let url = stage.url("/api/v1/identities/alice");
    let kept = stage.http1_client();
    assert_eq!(kept.get(&url).send().await.unwrap().status(), 200);

    let ca = Ca::new("another server CA");
    let (chain, key, _) = ca.issue("gateway", &["127.0.0.1"]);
    let (_, wrong, _) = ca.issue("gateway", &["127.0.0.1"]);
    // What cannot serve changes nothing.
    stage.tls_handle.replace(chain.as_bytes(), wrong.as_bytes(), None).unwrap_err();
    assert_eq!(stage.http1_client().get(&url).send().await.unwrap().status(), 200);

    stage.tls_handle.replace(chain.as_bytes(), key.as_bytes(), None).unwrap();
    let new = builder(&ca).build().unwrap();
    assert_eq!(new.get(&url).send().await.unwrap().status(), 200);
    stage.http1_client().get(&url).send().await.unwrap_err();
    // Who was connected before stays so.
    assert_eq!(kept.get(&url).send().await.unwrap().status(), 200);
}
