//! Bad requests, each refused by its own name.

use avouch_tests::openssl::Key;
use avouch_tests::{Body, Http, Installation};
use wire::rest::ProblemJson;

fn refused(agent: &Http, csr: &[u8], status: u16, code: &str) -> ProblemJson {
    let problem = agent.enrol("alice", csr).problem();
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem:?}");
    problem
}

#[test]
fn each_fault_has_its_name() {
    let installation = Installation::start();
    let agent = installation.agent();
    let key = Key::p256();
    let good = key.csr("/CN=alice", &[]);
    let pem = String::from_utf8(key.csr_pem("/CN=alice")).expect("PEM is text");

    // Encoding, with the offset of the fault.
    let problem = refused(&agent, &good[..good.len() - 1], 400, "bad-encoding");
    assert!(problem.offset.is_some(), "{problem:?}");
    refused(&agent, b"hello", 400, "bad-encoding");
    refused(&agent, b"", 400, "bad-encoding");
    let problem = refused(&agent, &[&good[..], b"\0\0"].concat(), 400, "trailing-bytes");
    assert_eq!(problem.offset, Some(good.len() as u64), "{problem:?}");
    refused(&agent, &vec![0x30; 17 * 1024], 413, "oversize");
    let label = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    refused(&agent, label.as_bytes(), 400, "wrong-pem-label");
    let secret = std::fs::read(key.path()).expect("the key's file");
    let problem = refused(&agent, &secret, 400, "wrong-pem-label");
    assert!(problem.detail.contains("PRIVATE KEY"), "a leaked key is named: {problem:?}");

    // Proof of possession: one bit of the signature, or somebody's name put in.
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    refused(&agent, &flipped, 422, "bad-signature");
    let bobs = key.csr("/CN=bobby", &[]);
    let at = bobs.windows(5).position(|w| w == b"bobby").expect("the name");
    let stolen = [&bobs[..at], b"alice", &bobs[at + 5..]].concat();
    refused(&agent, &stolen, 422, "bad-signature");

    // Names.
    let problem = refused(&agent, &key.csr("/CN=bob", &[]), 422, "wrong-subject");
    for name in ["alice", "bob"] {
        assert!(problem.detail.contains(name), "expected and found are told: {problem:?}");
    }
    refused(&agent, &key.csr("/CN=alice/CN=bob", &[]), 422, "wrong-subject");
    refused(&agent, &key.csr("/CN=Alice", &[]), 422, "wrong-subject");

    // Algorithms and keys.
    let rsa = Key::rsa(2048);
    refused(&agent, &rsa.csr("/CN=alice", &["-sha1"]), 422, "sha1");
    refused(&agent, &Key::rsa(1024).csr("/CN=alice", &[]), 422, "weak-key");
    let three = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let three = Key::generate(&[&three[..], &["-pkeyopt", "rsa_keygen_pubexp:3"]].concat());
    refused(&agent, &three.csr("/CN=alice", &[]), 422, "weak-key");
    let ed25519 = Key::generate(&["-algorithm", "ed25519"]).csr("/CN=alice", &[]);
    let problem = refused(&agent, &ed25519, 422, "unsupported-key");
    assert!(problem.detail.contains("receive"), "the reason is told: {problem:?}");
    refused(&agent, &Key::ec("secp256k1").csr("/CN=alice", &[]), 422, "unsupported-key");
    refused(&agent, &Key::ec("P-521").csr("/CN=alice", &[]), 422, "unsupported-key");

    // Nothing of all this began an identity.
    assert_eq!(agent.get("/api/v1/identities/alice").problem().code, "unknown-identity");
    assert_eq!(agent.enrol("alice", &good).status, 201);
}

#[test]
fn the_http_side_is_as_strict() {
    let installation = Installation::start();
    let agent = installation.agent();
    let path = "/api/v1/identities/alice/certificates";
    let code = |problem: ProblemJson| (problem.status, problem.code);
    let told = |status, code: &str| (status, code.to_owned());
    let text = agent.post(path, Body::Other("text/plain", b"hello"));
    assert_eq!(code(text.problem()), told(415, "unsupported-media-type"));
    let huge = agent.post(path, Body::Csr(&vec![0; 1 << 20]));
    assert_eq!(code(huge.problem()), told(413, "oversize"));
    assert_eq!(code(agent.get("/api/v1/nothing").problem()), told(404, "unknown-route"));
    let posted = agent.post("/api/v1/identities/alice", Body::None);
    assert_eq!(code(posted.problem()), told(405, "method-not-allowed"));
    assert!(!posted.header("allow").is_empty(), "405 lists what is allowed");
    let control = agent.get("/api/v1/identities/a%00b");
    assert_eq!(code(control.problem()), told(400, "malformed-request"));
    let image = agent.get_as("/api/v1/identities/alice", "image/png");
    assert_eq!(code(image.problem()), told(406, "not-acceptable"));
    let serial = "01000000000000000102030405060708";
    let unknown = agent.get(&format!("/api/v1/certificates/{serial}"));
    assert_eq!(code(unknown.problem()), told(404, "unknown-certificate"));
}
