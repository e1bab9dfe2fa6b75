//! Fetching, from a TLS server that answers whatever a test wants.

#[allow(unused_extern_crates)]
extern crate path as avouch_path;

#[path = "../../path/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use avouch_client::contacts::Contacts;
use avouch_client::fetch::{FetchError, MaterialError, Server, ServerOptions};
use avouch_client::recipient::verify_recipient;
use avouch_client::share::{LogProof, resolve};
use avouch_client::trust::Trust;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use support::{CA, DAY, LEAF, Pki, now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use wire::problem::ProblemCode;
use wire::trust::TrustFile;
use wire::{Hash32, IdempotencyKey, Realm, UserId};

struct Answering {
    server: Server,
    address: String,
    tls_roots: Vec<u8>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Answers by request target: status line's rest, media type, further headers, body.
type Answers = HashMap<&'static str, (&'static str, &'static str, &'static str, Vec<u8>)>;

async fn answering(answers: Answers) -> Answering {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let answers = Arc::new(answers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answers, seen) = (acceptor.clone(), answers.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .lines()
                            .find_map(|l| {
                                l.to_ascii_lowercase()
                                    .strip_prefix("content-length: ")
                                    .map(str::to_owned)
                            })
                            .map_or(0, |n| n.parse().unwrap());
                        if body.len() >= length {
                            break;
                        }
                    }
                    let count = stream.read(&mut buffer).await.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    request.extend_from_slice(&buffer[..count]);
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(text);
                let missing = ("500 x", "text/plain", "", Vec::new());
                let (status, kind, headers, body) =
                    answers.get(target.as_str()).unwrap_or(&missing);
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
                     Connection: close\r\n{headers}\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    let tls_roots = certified.cert.pem().into_bytes();
    let options = ServerOptions { tls_roots: Some(tls_roots.clone()), ..Default::default() };
    let server = Server::new(&address, &options).unwrap();
    Answering { server, address, tls_roots, requests }
}

fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

const PROBLEM: &str = r#"{"type":"https://x/problems/identity-change-required","title":"t","status":409,
    "detail":"alice has another key","instance":"urn:avouch:request:1","code":"identity-change-required"}"#;

#[tokio::test]
async fn problems_arrive_typed() {
    let unknown =
        PROBLEM.replace("identity-change-required", "unknown-identity").replace("409", "404");
    let hsm = PROBLEM.replace("identity-change-required", "hsm-unavailable").replace("409", "503");
    let json = "application/problem+json";
    let at = answering(HashMap::from([
        ("/api/v1/identities/alice/certificates", ("409 Conflict", json, "", PROBLEM.into())),
        ("/api/v1/identities/nobody", ("404 Not Found", json, "", unknown.into())),
        ("/api/v1/identities/slow", ("503 x", json, "Retry-After: 7\r\n", hsm.into())),
        ("/api/v1/identities/html", ("502 Bad Gateway", "text/html", "", b"<html>".to_vec())),
        ("/api/v1/identities/odd", ("200 OK", "application/json", "", b"{}".to_vec())),
        (
            "/api/v1/identities/away",
            ("302 Found", "text/plain", "Location: https://localhost:1/\r\n", vec![]),
        ),
    ]))
    .await;
    let conflict = at
        .server
        .request_certificate(
            &uid("alice"),
            vec![1, 2],
            Some(&IdempotencyKey::parse("key-1").unwrap()),
        )
        .await
        .unwrap_err();
    assert_eq!(conflict.problem_code(), Some(ProblemCode::IdentityChangeRequired));
    assert_eq!(conflict.exit_code(), 20);
    assert_eq!(conflict.to_string(), "alice has another key");
    let sent = at.requests.lock().unwrap().remove(0).to_ascii_lowercase();
    assert!(sent.starts_with("post /api/v1/identities/alice/certificates http/1.1\r\n"), "{sent}");
    assert!(sent.contains("content-type: application/pkcs10\r\n"), "{sent}");
    assert!(sent.contains("idempotency-key: key-1\r\n"), "{sent}");

    let nobody = at.server.identity(&uid("nobody")).await.unwrap_err();
    assert_eq!(nobody.exit_code(), 10);
    assert!(matches!(
        at.server.material(&uid("nobody")).await,
        Err(MaterialError::Refused(refusal)) if refusal.exit_code() == 10
    ));
    let slow = at.server.identity(&uid("slow")).await.unwrap_err();
    assert_eq!(slow.exit_code(), 3);
    assert!(slow.to_string().ends_with("(try again in 7 s)"), "{slow}");
    let html = at.server.identity(&uid("html")).await.unwrap_err();
    assert!(matches!(html, FetchError::Status { status: 502, .. }), "{html}");
    let odd = at.server.identity(&uid("odd")).await.unwrap_err();
    assert!(matches!(odd, FetchError::Answer { .. }), "{odd}");
    assert_eq!(odd.exit_code(), 2);
    let away = at.server.identity(&uid("away")).await.unwrap_err();
    assert!(matches!(away, FetchError::Status { status: 302, .. }), "{away}");
}

#[tokio::test]
async fn ids_are_encoded_and_pages_followed() {
    let item = r#"{"at":"2026-01-01T00:00:00Z","outcome":"accepted","event":"enrol","sequence":0,
        "leaf_index":1,"serial":null,"spki_sha256":null,"evidence":[],"problem":null,"detail":null}"#;
    let page = |next: &str| format!(r#"{{"items":[{item}],"next":{next}}}"#).into_bytes();
    let path = "/api/v1/identities/j%C3%BCrgen%2F%3F/history";
    let json = "application/json";
    let at = answering(HashMap::from([
        (path, ("200 OK", json, "", page("\"a b\""))),
        (
            "/api/v1/identities/j%C3%BCrgen%2F%3F/history?cursor=a%20b",
            ("200 OK", json, "", page("null")),
        ),
    ]))
    .await;
    let history = at.server.history(&uid("jürgen/?")).await.unwrap();
    assert_eq!(history.len(), 2);
    // No id leads out of its place in the path.
    for dots in [".", ".."] {
        let error = at.server.history(&uid(dots)).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{error}");
    }
    assert_eq!(at.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn long_answers_end_and_strangers_are_not_spoken_to() {
    let long = vec![b' '; 5 * 1024 * 1024];
    let path = "/api/v1/identities/alice";
    let at = answering(HashMap::from([(path, ("200 OK", "application/json", "", long))])).await;
    let error = at.server.identity(&uid("alice")).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 4_194_304, .. }), "{error}");

    // Another server's certificate: the handshake fails and nothing is asked.
    let other = answering(HashMap::new()).await;
    let options = ServerOptions { tls_roots: Some(other.tls_roots.clone()), ..Default::default() };
    let stranger = Server::new(&at.address, &options).unwrap();
    let before = at.requests.lock().unwrap().len();
    let error = stranger.identity(&uid("alice")).await.unwrap_err();
    assert!(matches!(error, FetchError::Transport { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(at.requests.lock().unwrap().len(), before);
}

#[test]
fn addresses() {
    let options = ServerOptions::default();
    for bad in ["http://localhost:1", "localhost", "https://", "https://h/path", "https://h?q", ""]
    {
        let error = Server::new(bad, &options).unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{bad}: {error}");
        assert_eq!(error.exit_code(), 1);
    }
    assert_eq!(Server::new("https://h:8443/", &options).unwrap().address(), "https://h:8443");
    let none = ServerOptions { tls_roots: Some(b"no PEM".to_vec()), ..Default::default() };
    assert!(matches!(Server::new("https://h", &none), Err(FetchError::Tls(_))));
}

/// Identity, certificate and CRL as the server would answer, the CRL's address on another host.
#[tokio::test]
async fn material_comes_from_this_server_and_verifies() {
    const SERIAL: &str = "01000000000000010000000000000000";
    let pki = Pki::new();
    pki.root("root", CA);
    pki.cert("ca", "/CN=CA", "root", CA);
    let point = "crlDistributionPoints=URI:http://elsewhere.example/api/v1/issuers/x/crl/0\n";
    pki.cert("leaf", "/CN=alice", "ca", &format!("{LEAF}{point}"));
    let idp = "issuingDistributionPoint=critical,@p\n[p]\n\
               fullname=URI:http://elsewhere.example/api/v1/issuers/x/crl/0\nonlyuser=TRUE";
    pki.crl("list", "ca", &[], idp, (-60, DAY));
    let pem = |name: &str| std::fs::read_to_string(pki.file(&format!("{name}.pem"))).unwrap();
    let spki = hex::encode(pki.certificate("leaf").spki_hash());
    let identity = |status: &str, serial: serde_json::Value| {
        serde_json::json!({
            "uid": "alice", "status": status, "sequence": 0, "head": spki, "serial": serial,
            "key": {"spki_sha256": spki, "number": 0, "algorithm": "P-256",
                    "possession_proven": true},
            "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
        })
        .to_string()
        .into_bytes()
    };
    let certificate = serde_json::json!({
        "serial": SERIAL, "uid": "alice", "event": "enrol", "sequence": 0, "leaf_index": 1,
        "status": "good", "revocation_reason": null, "revoked_at": null, "spki_sha256": spki,
        "not_before": "", "not_after": "", "issuer": "x", "certificate": pem("leaf"),
        "chain": [pem("ca")], "evidence": [],
    })
    .to_string()
    .into_bytes();
    let crl = std::fs::read(pki.file("list.crl")).unwrap();
    let json = "application/json";
    let at = answering(HashMap::from([
        ("/api/v1/identities/alice", ("200 OK", json, "", identity("active", SERIAL.into()))),
        ("/api/v1/identities/sam", ("200 OK", json, "", identity("suspended", SERIAL.into()))),
        ("/api/v1/identities/kim", ("200 OK", json, "", identity("active", ().into()))),
        (
            "/api/v1/certificates/01000000000000010000000000000000",
            ("200 OK", json, "", certificate),
        ),
        ("/api/v1/issuers/x/crl/0", ("200 OK", "application/pkix-crl", "", crl)),
    ]))
    .await;
    let trust = TrustFile::new(
        Realm::parse("realm.example").unwrap(),
        Hash32::of(b"genesis"),
        pki.certificate("root").der(),
        String::new(),
        String::new(),
        86_400,
        at.address.clone(),
    )
    .unwrap();
    let trust = Trust::of(trust).unwrap();
    let contacts = Contacts::new();
    let material = at.server.material(&uid("alice")).await.unwrap();
    assert!(verify_recipient(&trust, &contacts, &uid("alice"), material.clone(), now()).is_ok());
    // A server that answers with somebody else's certificate gets nowhere.
    let refusal = verify_recipient(&trust, &contacts, &uid("bob"), material, now()).unwrap_err();
    assert_eq!(refusal.code(), "wrong-name");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contacts.json");
    let everybody = ["alice", "sam", "ghost", "alice"].map(uid);
    let without = LogProof::IfThereIsALogKey;
    let resolved = resolve(&at.server, &trust, without, &file, &everybody, now).await.unwrap();
    let exits: Vec<u8> = resolved
        .iter()
        .map(|r| r.result.as_ref().map_or_else(MaterialError::exit_code, |_| 0))
        .collect();
    assert_eq!(exits, [0, 12, 2]);
    assert_eq!(Contacts::load(&file).unwrap().contacts().len(), 1);

    // A trust file without a log key proves too little, unless somebody says that it is enough.
    let demanded = LogProof::Demanded;
    let unproven = resolve(&at.server, &trust, demanded, &file, &everybody, now).await.unwrap();
    assert_eq!(unproven[0].result.as_ref().map_err(MaterialError::exit_code).unwrap_err(), 15);

    for (who, exit) in [("sam", 12), ("kim", 12)] {
        let error = at.server.material(&uid(who)).await.unwrap_err();
        assert_eq!((error.exit_code(), matches!(error, MaterialError::Refused(_))), (exit, true));
    }
}
