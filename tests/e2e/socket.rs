//! A fully compromised gateway: whoever holds its socket says to the authority what he likes.

use avouch_tests::{Installation, Socket, load_csr, load_key};
use serde_bytes::ByteBuf;
use wire::problem::ProblemCode;
use wire::socket::{Hello, Peer, RequestBody, ResponseBody, Signed, VERSION, Welcome};
use wire::{UserId, frame};

use crate::{enrolled, refusals};

fn gateway(installation: &Installation) -> std::path::PathBuf {
    installation.file("run/gateway.sock")
}

fn issue(uid: &str, csr: &[u8], signed: Signed) -> RequestBody {
    let uid = UserId::parse(uid).expect("an id");
    RequestBody::Issue { uid, csr: ByteBuf::from(csr), idempotency_key: None, signed }
}

/// He may claim any TLS peer. With the agent's he enrols new ids, as the table of powers says; an
/// existing identity does not move.
#[test]
fn no_word_of_the_gateway_moves_an_identity() {
    let installation = Installation::start();
    let alice = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let mut socket = Socket::open(&gateway(&installation));
    let claims = [
        None,
        Some(agent(&installation)),
        Some(Peer { spki: ByteBuf::from(b"nonsense"), name: "officer".into() }),
    ];
    let forged = Signed {
        intent: Some(ByteBuf::from(b"\x30\x00")),
        statements: vec![ByteBuf::from(b"\x30\x00"), ByteBuf::new()],
        ..Signed::default()
    };
    for peer in claims {
        for signed in [Signed::default(), forged.clone()] {
            socket.peer.clone_from(&peer);
            let csr = load_csr("alice", &load_key());
            let answer = socket.ask(issue("alice", &csr, signed));
            assert!(answer.result.is_err(), "{peer:?}: {answer:?}");
        }
    }
    assert!(refusals(&installation, "alice").contains(&"identity-change-required".to_owned()));
    let answer = socket.ask(RequestBody::Identity { uid: UserId::parse("alice").expect("an id") });
    let Ok(ResponseBody::Identity(identity)) = answer.result else { panic!("{answer:?}") };
    assert_eq!(identity.key.map(|k| k.spki_sha256), Some(alice.spki_sha256));
}

fn agent(installation: &Installation) -> Peer {
    let pem = installation.file("agent.pem");
    let text = avouch_tests::openssl::text;
    let key = ["x509", "-noout", "-pubkey", "-in", text(&pem)];
    let key = avouch_tests::openssl::run(&key);
    let file = installation.file("agent.pub");
    std::fs::write(&file, key).expect("a file in the data folder");
    let der = ["pkey", "-pubin", "-outform", "DER", "-in", text(&file)];
    Peer { spki: ByteBuf::from(avouch_tests::openssl::run(&der)), name: "dev-agent".into() }
}

#[test]
fn without_an_agent_the_gateway_enrols_nobody() {
    let installation = Installation::start();
    let mut socket = Socket::open(&gateway(&installation));
    socket.peer = Some(Peer {
        spki: ByteBuf::from(rcgen::PublicKeyData::subject_public_key_info(&load_key())),
        name: "x".into(),
    });
    let answer = socket.ask(issue("bob", &load_csr("bob", &load_key()), Signed::default()));
    let problem = answer.result.expect_err("nobody vouches");
    assert_eq!(problem.code, ProblemCode::EvidenceRequired, "{problem:?}");
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let installation = Installation::start();
    let path = gateway(&installation);
    let over = u32::try_from(frame::MAX_REQUEST + 1).expect("fits").to_be_bytes();
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 1, 0xff], &over] {
        let mut greeted = Socket::open(&path);
        greeted.send_raw(nonsense);
        assert!(greeted.receive::<wire::socket::Response>().is_none(), "{nonsense:?}");
        let mut rude = Socket::connect(&path);
        rude.send_raw(nonsense);
        assert!(rude.receive::<Welcome>().is_none(), "{nonsense:?}");
    }
    let mut later = Socket::connect(&path);
    later.send(&Hello { version: VERSION + 1, program: "from the future".into() });
    let welcome = later.receive::<Welcome>();
    assert_eq!(welcome, Some(Welcome::Version { version: VERSION }));

    let mut sound = Socket::open(&path);
    let answer = sound.ask(RequestBody::Health);
    assert!(matches!(answer.result, Ok(ResponseBody::Health(h)) if h.ready));
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
}
