//! A fully compromised gateway: whoever holds its socket says to the authority what he likes.

use avouch_tests::openssl::Key;
use avouch_tests::{Installation, Socket, load_csr, load_key};
use client::keys::PrivateKey;
use client::statement::{On, intents};
use serde_bytes::ByteBuf;
use wire::event::EventKind;
use wire::problem::ProblemCode;
use wire::rest::Identity;
use wire::socket::{Hello, Peer, RequestBody, ResponseBody, Signed, VERSION, Welcome};
use wire::statement::Role;
use wire::{Encoded, UserId, frame};

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

/// A statement that another identity's key signed stands beside a request that would be granted
/// without it. It counts for nothing, and it does not get into the log, where whoever replays the
/// event could not tell whose it is: the authority would never start again.
#[test]
fn a_stray_statement_by_another_identitys_key_spoils_nothing() {
    let mut installation = Installation::start();
    let (alice, bob) = (Key::p256(), Key::p256());
    let csr = alice.csr("/CN=alice", &[]);
    let _ = enrolled(&installation, "alice", &csr);
    let _ = enrolled(&installation, "bob", &bob.csr("/CN=bob", &[]));
    let agent = installation.agent();
    let identity: Identity = agent.get("/api/v1/identities/alice").json(200);
    let trust: wire::rest::Installation = agent.get("/api/v1/trust").json(200);
    let on = On::described(trust.genesis, trust.policy, &identity, now());
    let signer = PrivateKey::load(&bob.path()).expect("bob's key");
    let mut stray = intents::plain(&on, EventKind::Renew).expect("an intent");
    stray.sign(&signer, Role::CurrentKey).expect("a statement");
    let mut socket = Socket::open(&gateway(&installation));
    socket.peer = Some(self::agent(&installation));
    for intent in [Some(ByteBuf::from(stray.intent().to_canonical())), None] {
        let statements = vec![ByteBuf::from(&stray.statements()[0][..])];
        let signed = Signed { intent, statements, ..Signed::default() };
        let refused = socket.ask(issue("alice", &csr, signed)).result.expect_err("a stray");
        assert_eq!(refused.code, ProblemCode::EvidenceRefused, "{refused:?}");
    }
    // The same without it is granted, and the authority comes back and replays.
    let _ = enrolled(&installation, "alice", &csr);
    installation.restart(true);
    let _ = enrolled(&installation, "alice", &csr);
    let config = installation.file("avouch.toml");
    let config = avouch_tests::openssl::text(&config);
    let verified = installation.avouch(&["log", "verify", "--config", config]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}
