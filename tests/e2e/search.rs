//! Searching, as agents and administrators do, and as strangers may not.

use avouch_tests::{Installation, Socket, load_csr, load_key};
use serde_json::json;
use wire::rest::{Certificate, CertificateQuery, CertificateStatus, Identity, Page};
use wire::socket::{PageRequest, RequestBody, ResponseBody};

use crate::enrolled;

fn certificates(installation: &Installation, query: &str) -> Page<Certificate> {
    installation.agent().get(&format!("/api/v1/certificates?{query}")).json(200)
}

fn identities(installation: &Installation, query: &str) -> Vec<String> {
    let page: Page<Identity> =
        installation.agent().get(&format!("/api/v1/identities?{query}")).json(200);
    page.items.into_iter().map(|identity| identity.uid.as_str().to_owned()).collect()
}

fn uids(page: &Page<Certificate>) -> Vec<&str> {
    page.items.iter().map(|certificate| certificate.uid.as_str()).collect()
}

#[test]
fn agents_find_certificates_and_identities() {
    let installation = Installation::start();
    let key = load_key();
    let [alice, alina, bob] = ["alice", "alina@x", "bob"].map(|uid| {
        let key = if uid == "bob" { &key } else { &load_key() };
        enrolled(&installation, uid, &load_csr(uid, key))
    });
    let renewed = enrolled(&installation, "bob", &load_csr("bob", &key));
    let body = json!({ "reason": "superseded" });
    let path = format!("/api/v1/certificates/{}/revocation", alice.serial);
    let _: Certificate = installation.agent().post(&path, avouch_tests::Body::Json(body)).json(200);

    assert_eq!(uids(&certificates(&installation, "")), ["bob", "bob", "alina@x", "alice"]);
    assert_eq!(uids(&certificates(&installation, "user=ali")), ["alice", "alina@x"]);
    assert_eq!(uids(&certificates(&installation, "user=alina%40")), ["alina@x"]);
    assert_eq!(uids(&certificates(&installation, "status=revoked")), ["alice"]);
    assert_eq!(uids(&certificates(&installation, "status=good&user=a")), ["alina@x"]);
    assert_eq!(certificates(&installation, &format!("serial={}", alina.serial)).items, [alina]);
    let found = certificates(&installation, &format!("key={}", bob.spki_sha256));
    assert_eq!(found.items, [renewed, bob.clone()]);
    let by_issuer = certificates(&installation, &format!("issuer={}", bob.issuer));
    assert_eq!(by_issuer.items.len(), 4);
    assert!(certificates(&installation, "issuer=0123456789abcdef").items.is_empty());
    let until = &bob.not_after;
    assert!(certificates(&installation, "expires_before=2020-01-01T00:00:00Z").items.is_empty());
    assert!(!certificates(&installation, &format!("expires_after={until}")).items.is_empty());

    let first = certificates(&installation, "limit=3");
    let next = first.next.as_ref().expect("there is more");
    let second = certificates(&installation, &format!("limit=3&cursor={next}"));
    assert_eq!((uids(&first).len(), uids(&second)), (3, vec!["alice"]));
    assert_eq!(second.next, None);

    assert_eq!(identities(&installation, ""), ["alice", "alina@x", "bob"]);
    assert_eq!(identities(&installation, "user=al"), ["alice", "alina@x"]);
    assert_eq!(identities(&installation, "status=suspended"), ["alice"]);
    assert_eq!(identities(&installation, &format!("key={}", alice.spki_sha256)), ["alice"]);
    assert_eq!(identities(&installation, &format!("serial={}", bob.serial)), ["bob"]);

    for wrong in [
        "certificates?user=",
        "certificates?key=12",
        "certificates?status=fine",
        "certificates?expires_after=tomorrow",
        "certificates?serial=1",
        "certificates?cursor=1",
        "certificates?colour=red",
        "identities?status=good",
        "identities?cursor=zz",
    ] {
        let problem = installation.agent().get(&format!("/api/v1/{wrong}")).problem();
        assert_eq!(problem.code, "malformed-request", "{wrong}: {problem:?}");
    }
}

/// Who is there is nobody's business.
#[test]
fn strangers_cannot_list_people() {
    let installation = Installation::start();
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    for path in ["/api/v1/certificates?user=a", "/api/v1/identities", "/api/v1/identities?user=a"] {
        let problem = installation.stranger().get(path).problem();
        assert_eq!((problem.status, problem.code.as_str()), (403, "agents-only"), "{path}");
    }
    // The authority decides, not the gateway.
    let mut gateway = Socket::open(&installation.file("run/gateway.sock"));
    let question = || RequestBody::SearchCertificates {
        query: Box::new(CertificateQuery::default()),
        page: PageRequest { cursor: None, limit: 10 },
    };
    let problem = gateway.ask(question()).result.expect_err("no agent");
    assert_eq!(problem.code, wire::problem::ProblemCode::AgentsOnly);
    let mut admin = Socket::open(&installation.file("run/admin.sock"));
    let answer = admin.ask(question()).result;
    assert!(matches!(answer, Ok(ResponseBody::Certificates(page)) if page.items.len() == 1));
}

#[test]
fn the_administrator_searches_from_the_command_line() {
    let installation = Installation::start();
    for uid in ["alice", "bob", "bobby"] {
        let _ = enrolled(&installation, uid, &load_csr(uid, &load_key()));
    }
    let config = installation.file("avouch.toml");
    let config = config.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| {
        let output = installation.avouch(&[arguments, &["--config", config]].concat());
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{err}");
        (String::from_utf8(output.stdout).expect("UTF-8"), err)
    };
    let (out, _) = run(&["search", "identities", "--user", "bob"]);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.lines().all(|line| line.starts_with("active") && line.contains("P-256")), "{out}");
    let (out, err) = run(&["search", "certificates", "--limit", "2", "--format", "json"]);
    let found: Vec<Certificate> = serde_json::from_str(&out).expect("certificates");
    assert_eq!((found.len(), found[0].status), (2, CertificateStatus::Good));
    assert!(err.contains("more than 2"), "{err}");
    let (out, _) = run(&["search", "certificates", "--status", "revoked"]);
    assert!(out.is_empty(), "{out}");
}
