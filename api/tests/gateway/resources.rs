//! Every address, when all is well.

use http::StatusCode;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use wire::rest::{Certificate, Identity, Installation, Issuer};
use wire::socket::{PageRequest, RequestBody, ResponseBody};

use crate::support::{Action, ISSUER, ISSUER_DER, LEAF, LEAF_DER, SERIAL, Stage, answer, uid};

async fn parse<T: serde::de::DeserializeOwned>(response: reqwest::Response) -> T {
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_csr_becomes_a_certificate() {
    let mut stage = Stage::new().await;
    let response = stage.post("the CSR").header("idempotency-key", "k1").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["location"], format!("/api/v1/certificates/{SERIAL}"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(parse::<Certificate>(response).await.uid, uid("alice"));

    let request = stage.asked.recv().await.unwrap();
    assert_eq!(request.peer, None);
    let RequestBody::Issue { uid: asked, csr, idempotency_key, signed } = request.body else {
        panic!("asked something else")
    };
    assert_eq!(asked, uid("alice"));
    assert_eq!(csr.as_slice(), b"the CSR");
    assert_eq!(idempotency_key.unwrap().as_str(), "k1");
    assert_eq!(signed, Default::default());
}

#[tokio::test]
async fn what_was_there_already_is_200() {
    let stage = Stage::new().await;
    stage.authority.script(|request| match answer(&request.body) {
        ResponseBody::Certificate { certificate, .. } => {
            Action::ok(ResponseBody::Certificate { certificate, created: false })
        }
        other => Action::ok(other),
    });
    let response = stage.post("the CSR").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["location"], format!("/api/v1/certificates/{SERIAL}"));
}

#[tokio::test]
async fn statements_come_in_json() {
    let mut stage = Stage::new().await;
    let body = r#"{"csr":"-----BEGIN…","intent":"AQI=","statements":["Aw=="]}"#;
    let url = stage.url("/api/v1/identities/alice/certificates");
    let request = stage.client.post(url).header("content-type", "application/json; charset=utf-8");
    assert_eq!(request.body(body).send().await.unwrap().status(), StatusCode::CREATED);
    let RequestBody::Issue { csr, signed, .. } = stage.asked.recv().await.unwrap().body else {
        panic!("asked something else")
    };
    assert_eq!(csr.as_slice(), "-----BEGIN…".as_bytes());
    assert_eq!(signed.intent.unwrap().as_slice(), [1, 2]);
    assert_eq!(signed.statements[0].as_slice(), [3]);
}

#[tokio::test]
async fn an_identity_has_an_etag() {
    let stage = Stage::new().await;
    let first = stage.get("/api/v1/identities/alice").await;
    let etag = first.headers()["etag"].clone();
    assert_eq!(first.headers()["cache-control"], "private, no-cache");
    assert_eq!(parse::<Identity>(first).await.sequence, 3);

    let url = stage.url("/api/v1/identities/alice");
    let again = stage.client.get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()["etag"], etag);
    assert!(again.bytes().await.unwrap().is_empty());

    let other = stage.client.get(&url).header("if-none-match", "\"2-00\"").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let mut stage = Stage::new().await;
    let page = stage.get("/api/v1/identities/alice/certificates?limit=2&cursor=a%2Bb").await;
    let page: Value = parse(page).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(page["next"], "a+b+1");
    let RequestBody::Certificates { page, .. } = stage.asked.recv().await.unwrap().body else {
        panic!("asked something else")
    };
    assert_eq!(page, PageRequest { cursor: Some("a+b".to_owned()), limit: 2 });

    let history: Value = parse(stage.get("/api/v1/identities/alice/history").await).await;
    assert_eq!(history["next"], Value::Null);
    let RequestBody::History { page, .. } = stage.asked.recv().await.unwrap().body else {
        panic!("asked something else")
    };
    assert_eq!(page, PageRequest { cursor: None, limit: 100 });
}

#[tokio::test]
async fn ids_are_taken_byte_for_byte() {
    let mut stage = Stage::new().await;
    for (path, id) in [
        ("a%2Fb", "a/b"),
        ("a%20b+c", "a b+c"),
        ("%E2%82%AC", "€"),
        ("%2e%41", ".A"),
        ("alice@example.test", "alice@example.test"),
        ("100%25", "100%"),
    ] {
        let response = stage.get(&format!("/api/v1/identities/{path}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let asked = stage.asked.recv().await.unwrap().body;
        assert_eq!(asked, RequestBody::Identity { uid: uid(id) });
        // Also with something after it.
        stage.get(&format!("/api/v1/identities/{path}/history")).await;
        let RequestBody::History { uid: asked, .. } = stage.asked.recv().await.unwrap().body else {
            panic!("asked something else")
        };
        assert_eq!(asked, uid(id));
    }
}

#[tokio::test]
async fn a_certificate_is_fetched_and_revoked() {
    let mut stage = Stage::new().await;
    let path = format!("/api/v1/certificates/{}", SERIAL.to_uppercase());
    assert_eq!(parse::<Certificate>(stage.get(&path).await).await.serial, SERIAL);
    // Serial numbers reach the authority in lower case, however they came.
    let asked = stage.asked.recv().await.unwrap().body;
    assert_eq!(asked, RequestBody::Certificate { serial: SERIAL.to_owned() });

    let chain = stage.get_as(&path, "application/pem-certificate-chain").await;
    assert_eq!(chain.headers()["vary"], "accept");
    assert_eq!(chain.text().await.unwrap(), format!("{LEAF}{ISSUER}"));
    let der = stage.get_as(&path, "application/pkix-cert").await;
    assert_eq!(der.headers()["content-type"], "application/pkix-cert");
    assert_eq!(der.bytes().await.unwrap(), LEAF_DER);

    let (_, _) = (stage.asked.recv().await, stage.asked.recv().await);
    let request = stage.client.post(stage.url(&format!("{path}/revocation")));
    let request = request.header("content-type", "application/json");
    let response = request.body(r#"{"reason":"key-compromise"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let RequestBody::Revoke { serial, reason, .. } = stage.asked.recv().await.unwrap().body else {
        panic!("asked something else")
    };
    assert_eq!((serial.as_str(), reason.as_str()), (SERIAL, "key-compromise"));
}

#[tokio::test]
async fn issuers_and_their_certificates() {
    let mut stage = Stage::new().await;
    assert_eq!(parse::<Vec<Issuer>>(stage.get("/api/v1/issuers").await).await.len(), 2);
    let issuer: Issuer = parse(stage.get("/api/v1/issuers/8899AABBCCDDEEFF").await).await;
    assert_eq!(issuer.crl_shards, 4);
    let chain = stage.get("/api/v1/issuers/8899aabbccddeeff/chain.pem").await;
    assert_eq!(chain.headers()["content-type"], "application/pem-certificate-chain");
    assert_eq!(chain.text().await.unwrap(), ISSUER);
    let der = stage.get("/api/v1/issuers/8899aabbccddeeff/certificate.der").await;
    assert_eq!(der.headers()["content-type"], "application/pkix-cert");
    assert_eq!(der.headers()["cache-control"], "public, max-age=300");
    assert_eq!(der.bytes().await.unwrap(), ISSUER_DER);
    let trust: Installation = parse(stage.get("/api/v1/trust").await).await;
    assert_eq!(trust.ladder, "hsm");

    // All that from one question.
    assert_eq!(stage.asked.recv().await.unwrap().body, RequestBody::Installation);
    assert!(stage.asked.try_recv().is_err());
}

#[tokio::test]
async fn crls_are_kept_and_cacheable() {
    let mut stage = Stage::new().await;
    let path = "/api/v1/issuers/8899aabbccddeeff/crl/3";
    let crl = stage.get(&format!("{path}.crl")).await;
    assert_eq!(crl.headers()["content-type"], "application/pkix-crl");
    assert_eq!(crl.headers()["cache-control"], "public, max-age=300");
    let etag = crl.headers()["etag"].clone();
    let der = crl.bytes().await.unwrap();
    assert!(der.starts_with(b"CRL 3"));
    assert_eq!(stage.get(path).await.bytes().await.unwrap(), der);
    let again = stage.client.get(stage.url(path)).header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);

    let pem = stage.get_as(path, "application/x-pem-file").await;
    assert_eq!(pem.headers()["content-type"], "application/x-pem-file");
    assert_ne!(pem.headers()["etag"], etag);
    let pem = pem.text().await.unwrap();
    let decoded = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    assert_eq!(decoded.as_ref(), der);
    assert!(pem.lines().all(|line| line.len() <= 64));

    // The installation once, the CRL once.
    assert_eq!(stage.asked.recv().await.unwrap().body, RequestBody::Installation);
    let crl = RequestBody::Crl { issuer: "8899aabbccddeeff".to_owned(), shard: 3 };
    assert_eq!(stage.asked.recv().await.unwrap().body, crl);
    assert!(stage.asked.try_recv().is_err());

    // An issuer with one CRL has it under a shorter name, too.
    let only = stage.get("/api/v1/issuers/00112233445566778899aabbccddeeff00112233/crl").await;
    assert!(only.bytes().await.unwrap().starts_with(b"CRL 0"));
}

#[tokio::test]
async fn an_overdue_crl_is_not_kept() {
    let mut stage = Stage::new().await;
    stage.authority.script(|request| match answer(&request.body) {
        ResponseBody::Crl { der, .. } => Action::ok(ResponseBody::Crl { der, next_update: 1 }),
        other => Action::ok(other),
    });
    for _ in 0..2 {
        let crl = stage.get("/api/v1/issuers/00112233445566778899aabbccddeeff00112233/crl/0").await;
        assert_eq!(crl.headers()["cache-control"], "public, max-age=0");
    }
    let mut crls = 0;
    while let Ok(request) = stage.asked.try_recv() {
        crls += usize::from(matches!(request.body, RequestBody::Crl { .. }));
    }
    assert_eq!(crls, 2);
}

#[tokio::test]
async fn plain_http_serves_what_relying_parties_fetch_and_nothing_else() {
    let stage = Stage::with(|options| {
        options.plain_listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let url = |path: &str| format!("http://{}{path}", stage.plain.unwrap());
    let get = async |path: &str| stage.client.get(url(path)).send().await.unwrap();
    for path in ["crl/0.crl", "certificate.der", "chain.pem"] {
        let response =
            get(&format!("/api/v1/issuers/00112233445566778899aabbccddeeff00112233/{path}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    for path in ["/api/v1/identities/alice", "/api/v1/trust", "/problems/", LIVE] {
        assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

const LIVE: &str = "/api/v1/health/live";
const READY: &str = "/api/v1/health/ready";

#[tokio::test]
async fn health_is_the_authoritys() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.get(READY).await.status(), StatusCode::OK);
    assert_eq!(stage.asked.recv().await.unwrap().body, RequestBody::Health);
    stage.authority.script(|request| match answer(&request.body) {
        ResponseBody::Health(mut health) => {
            health.ready = false;
            Action::ok(ResponseBody::Health(health))
        }
        other => Action::ok(other),
    });
    let sick = stage.get(READY).await;
    assert_eq!(sick.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(sick.headers().contains_key("retry-after"));
    assert_eq!(parse::<Value>(sick).await["ready"], false);

    stage.authority.stop().await;
    let gone = stage.get(READY).await;
    assert_eq!(gone.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(parse::<Value>(gone).await["parts"][0]["name"], "authority");
    assert_eq!(stage.get(LIVE).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn head_has_the_header_and_no_content() {
    let stage = Stage::new().await;
    for path in [
        "/api/v1/identities/alice",
        "/api/v1/issuers/00112233445566778899aabbccddeeff00112233/crl/0",
        LIVE,
    ] {
        let length = stage.get(path).await.bytes().await.unwrap().len();
        let head = stage.client.head(stage.url(path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["content-length"], length.to_string());
        assert!(head.bytes().await.unwrap().is_empty());
    }
    let nothing = stage.client.head(stage.url("/nothing")).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert_eq!(nothing.headers()["content-type"], "application/problem+json");
    assert!(nothing.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn request_ids_are_taken_or_made() {
    let mut stage = Stage::new().await;
    let url = stage.url("/api/v1/identities/alice");
    let get = async |id: &str| {
        let response = stage.client.get(&url).header("x-request-id", id).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(get("trace-17").await, "trace-17");
    let too_long = "x".repeat(65);
    let mut made = Vec::new();
    for bad in ["two words", "<script>", "", too_long.as_str()] {
        let id = get(bad).await;
        assert_ne!(id, bad);
        assert_eq!(id.len(), 32);
        made.push(id);
    }
    made.dedup();
    assert_eq!(made.len(), 4);
    assert_eq!(stage.asked.recv().await.unwrap().request_id, "trace-17");
    assert_eq!(stage.asked.recv().await.unwrap().request_id, made[0]);
}

#[tokio::test]
async fn curl_agrees() {
    let stage = Stage::new().await;
    let ca = stage.dir.path().join("ca.pem");
    std::fs::write(&ca, stage.server_ca.pem()).unwrap();
    for version in ["--http1.1", "--http2"] {
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", version, "--cacert"])
            .arg(&ca)
            .args(["-H", "Content-Type: application/pkcs10", "--data-binary", "the CSR"])
            .args(["-H", "Accept: application/pem-certificate-chain"])
            .args(["-w", "%{http_code} %{http_version}", "--noproxy", "*"])
            .arg(stage.url("/api/v1/identities/alice/certificates"))
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = if version == "--http2" { "201 2" } else { "201 1.1" };
        assert_eq!(text, format!("{LEAF}{ISSUER}{expected}"), "{:?}", output.stderr);
    }
}
