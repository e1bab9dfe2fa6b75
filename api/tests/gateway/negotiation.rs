//! Which representation is sent.

use wire::socket::{RequestBody, ResponseBody};

use crate::support::{Action, SERIAL, Stage, certificate, problem, uid};

#[tokio::test]
async fn the_caller_chooses() {
    let stage = Stage::new().await;
    let path = format!("/api/v1/certificates/{SERIAL}");
    for (accept, chosen) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/pem-certificate-chain", "application/pem-certificate-chain"),
        ("Application/PKIX-Cert", "application/pkix-cert"),
        ("application/json;q=0.1, application/pkix-cert;q=0.2", "application/pkix-cert"),
        ("*/*;q=0.5, application/json;q=0", "application/pem-certificate-chain"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
    ] {
        let response = stage.get_as(&path, accept).await;
        assert_eq!(response.headers()["content-type"], chosen, "{accept}");
        assert_eq!(response.headers()["vary"], "accept");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_before_anything_is_done() {
    let mut stage = Stage::new().await;
    let refused = stage.post("the CSR").header("accept", "text/html").send().await.unwrap();
    let (status, json) = problem(refused).await;
    assert_eq!((status, json.code.as_str()), (406, "not-acceptable"));
    assert_eq!(json.expected.unwrap(), "application/json, application/pem-certificate-chain");
    let refused = stage.get_as("/api/v1/identities/alice", "application/pkix-cert").await;
    assert_eq!(problem(refused).await.1.code, "not-acceptable");
    assert!(stage.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_new_certificate_as_a_pem_chain() {
    let stage = Stage::new().await;
    let accept = "application/pem-certificate-chain, application/json;q=0.5";
    let response = stage.post("the CSR").header("accept", accept).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "application/pem-certificate-chain");
    assert!(response.headers().contains_key("location"));
    assert_eq!(response.text().await.unwrap().matches("BEGIN CERTIFICATE").count(), 2);
}

#[tokio::test]
async fn a_certificate_without_its_signature_is_pending() {
    let stage = Stage::new().await;
    stage.authority.script(|request| {
        assert!(matches!(request.body, RequestBody::Certificate { .. }));
        let mut certificate = certificate(&uid("alice"));
        certificate.certificate = None;
        Action::ok(ResponseBody::Certificate { certificate: Box::new(certificate), created: false })
    });
    let path = format!("/api/v1/certificates/{SERIAL}");
    assert_eq!(stage.get(&path).await.status(), 200);
    let response = stage.get_as(&path, "application/pkix-cert").await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(problem(response).await.1.code, "pending");
}
