use tlog::cosign::Cosigner;
use tlog::note::{Checkpoint, LogKey, Note, NoteSignature};
use wire::Realm;

use super::*;

const ORIGIN: &str = "log.example/avouch";
const DAY: u64 = 86_400;

struct Log(aws_lc_rs::signature::Ed25519KeyPair);

impl Log {
    fn new(seed: u8) -> Self {
        Self(aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn key(&self) -> LogKey {
        use aws_lc_rs::signature::KeyPair;
        // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410).
        let head = hex::decode("302a300506032b6570032100").unwrap();
        LogKey::from_spki(ORIGIN, &[&head, self.0.public_key().as_ref()].concat()).unwrap()
    }

    /// A checkpoint of 7 leaves with these co-signatures.
    fn note(&self, cosigned: &[(u8, u64)]) -> String {
        let checkpoint = Checkpoint::new(ORIGIN, 7, Hash32::of(b"root")).unwrap();
        let text = String::from_utf8(checkpoint.to_be_signed().to_vec()).unwrap();
        let own = self.0.sign(text.as_bytes());
        let own = NoteSignature::new(ORIGIN, self.key().id(), own.as_ref()).unwrap();
        let others = cosigned.iter().map(|(n, time)| cosigner(*n).cosign(&text, *time).unwrap());
        let lines: Vec<NoteSignature> = std::iter::once(own).chain(others).collect();
        Note::new(&text, &lines).unwrap().to_text()
    }
}

fn cosigner(n: u8) -> Cosigner {
    Cosigner::from_seed(&format!("w{n}.example"), &[n; 32]).unwrap()
}

fn root() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec()
}

fn trust(log: String, quorum: &str) -> Result<Trust, TrustFault> {
    let (realm, genesis) = (Realm::parse("realm.example").unwrap(), Hash32::of(b"genesis"));
    let quorum = quorum.to_owned();
    let file = TrustFile::new(realm, genesis, &root(), log, quorum, DAY, String::new()).unwrap();
    Trust::of(file)
}

/// Two of three.
fn quorum() -> String {
    let lines = (1..=3).map(|n| format!("witness w{n} {}\n", cosigner(n).key().vkey()));
    lines.collect::<String>() + "group all 2 w1 w2 w3\nquorum all\n"
}

#[test]
fn a_checkpoint_needs_the_log_and_the_quorum() {
    let log = Log::new(40);
    let trust = trust(log.key().vkey(), &quorum()).unwrap();
    let vouched = trust.open(&log.note(&[(1, 1000), (3, 2000)])).unwrap();
    assert_eq!((vouched.checkpoint().size(), vouched.as_of()), (7, Some(1000)));
    let said = trust.open(&log.note(&[(2, 1000)])).unwrap_err().to_string();
    assert!(said.contains("2 of 3") && said.contains("missing: w1, w3"), "{said}");
    // A quorum's word over what the log never signed is worth nothing.
    let other = Log::new(41);
    assert!(matches!(
        trust.open(&other.note(&[(1, 1000), (2, 1000)])),
        Err(CheckpointError::Note(_))
    ));
}

#[test]
fn the_quorums_word_is_as_old_as_the_trust_file_allows_and_no_older() {
    let log = Log::new(40);
    let trust = trust(log.key().vkey(), &quorum()).unwrap();
    let as_of = trust.open(&log.note(&[(1, 1000), (2, 5000), (3, 5000)])).unwrap().as_of();
    assert_eq!(trust.fresh(as_of, 5000 + DAY), Ok(()));
    let stale = trust.fresh(as_of, 5001 + DAY).unwrap_err();
    assert_eq!((stale.as_of, stale.age, stale.limit), (5000, DAY + 1, DAY));
    // A co-signer's clock ahead of ours makes nothing old.
    assert_eq!(trust.fresh(as_of, 1), Ok(()));
}

#[test]
fn where_nobody_co_signs_the_log_alone_is_asked_and_has_no_time() {
    let log = Log::new(40);
    for quorum in ["", "quorum none\n"] {
        let trust = trust(log.key().vkey(), quorum).unwrap();
        assert!(trust.quorum().is_none());
        let vouched = trust.open(&log.note(&[(1, 1000)])).unwrap();
        assert_eq!(vouched.as_of(), None);
        assert_eq!(trust.fresh(vouched.as_of(), u64::MAX), Ok(()));
    }
}

#[test]
fn a_trust_file_that_could_not_be_held_to_is_none() {
    let log = Log::new(40).key().vkey();
    assert!(matches!(trust(log.clone(), "quorum w1\n"), Err(TrustFault::Quorum(_))));
    assert!(matches!(trust("log.example".into(), &quorum()), Err(TrustFault::Log(_))));
    assert!(matches!(trust(String::new(), &quorum()), Err(TrustFault::NoLog)));
    let elsewhere = format!("log {}\n{}", Log::new(41).key().vkey(), quorum());
    assert!(matches!(trust(log.clone(), &elsewhere), Err(TrustFault::OtherLog)));
    let here = format!("log {log}\n{}", quorum());
    assert!(trust(log, &here).is_ok());
    assert!(trust(String::new(), "quorum none\n").unwrap().log().is_none());
    let none = TrustFile::new(
        Realm::parse("realm.example").unwrap(),
        Hash32::of(b"genesis"),
        b"no certificate",
        String::new(),
        String::new(),
        DAY,
        String::new(),
    );
    assert!(matches!(Trust::of(none.unwrap()), Err(TrustFault::Root(_))));
}
