use wire::body::recovery_commitment;
use wire::event::EventKind;
use wire::statement::{Role, SignedStatement};
use wire::{Encoded, Hash32, UserId};

use super::file::{FileError, Kind, RequestFile, RequestFileError};
use super::{Draft, On, about, intents};
use crate::keys::{KeyAlgorithm, PrivateKey, Signer};

const NOW: u64 = 1_800_000_000;

fn on() -> On {
    On {
        genesis: Hash32::of(b"genesis"),
        policy: Hash32::of(b"policy"),
        subject: Some(UserId::parse("alice").unwrap()),
        head: Some(Hash32::of(b"head")),
        sequence: 3,
        names: Vec::new(),
        now: NOW,
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::P256).unwrap()
}

/// Every statement of a draft verifies under these keys.
fn verifies(draft: &Draft, keys: &[&PrivateKey]) {
    let intent = draft.intent().to_canonical();
    assert_eq!(draft.statements.len(), keys.len());
    for (statement, key) in draft.statements.iter().zip(keys) {
        evidence::statement(statement, &intent, key.spki_der()).unwrap();
    }
}

#[test]
fn a_rekey_names_state_request_and_key_and_both_keys_sign_it() {
    let (old, new) = (key(), key());
    let mut draft = intents::rekey(&on(), &new).unwrap();
    draft.sign(&new, Role::NewKey).unwrap();
    draft.sign(&old, Role::CurrentKey).unwrap();
    verifies(&draft, &[&new, &old]);
    let intent = draft.intent();
    assert_eq!((intent.verb, intent.sequence), (EventKind::Rekey, 3));
    assert_eq!(intent.new_spki, Some(Hash32::of(new.spki_der())));
    assert_eq!(intent.csr, draft.csr().map(Hash32::of));
    assert_eq!(intent.expiry, NOW + 3600);
    let other = intents::rekey(&on(), &new).unwrap();
    assert_ne!(other.hash(), draft.hash(), "two requests are two, by their nonce");
}

#[test]
fn a_recovery_key_is_revealed_with_what_it_signs_and_replaced() {
    let (new, recovery, next) = (key(), key(), key());
    let mut draft = intents::recovery(&on(), &new, next.spki_der()).unwrap();
    draft.sign(&new, Role::NewKey).unwrap();
    draft.sign_with_recovery_key(&recovery).unwrap();
    verifies(&draft, &[&new, &recovery]);
    assert_eq!(draft.intent().recovery_commitment, Some(recovery_commitment(next.spki_der())));
    assert_eq!(draft.to_rest().public_keys.len(), 1);
    let veto =
        about(on().genesis, EventKind::Veto, draft.hash(), (&recovery, Role::RecoveryKey), None);
    assert_eq!(veto.unwrap().public_keys.len(), 1);
}

#[test]
fn a_reason_is_signed_along_and_an_altered_one_proves_nothing() {
    let new = key();
    let mut draft = intents::switch(&on(), &new, None, 14 * 86_400).unwrap();
    draft.sign_with_remark(&new, Role::NewKey, "fell into the lake").unwrap();
    verifies(&draft, &[&new]);
    let mut signed = SignedStatement::from_canonical(&draft.statements[0]).unwrap();
    assert_eq!(signed.remark.as_deref(), Some("fell into the lake"));
    signed.remark = Some("was stolen".to_owned());
    let intent = draft.intent().to_canonical();
    assert!(evidence::statement(&signed.to_canonical(), &intent, new.spki_der()).is_err());
}

#[test]
fn a_request_in_a_file_is_signed_on_by_others() {
    let (new, old) = (key(), key());
    let mut draft = intents::rekey(&on(), &new).unwrap();
    draft.sign(&new, Role::NewKey).unwrap();
    let text = draft.to_file().to_text();
    let mut read = Draft::of_file(&RequestFile::parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(read, draft);
    read.sign(&old, Role::CurrentKey).unwrap();
    verifies(&read, &[&new, &old]);
    let roles: Vec<_> = read.signers().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, [Role::NewKey, Role::CurrentKey]);
}

#[test]
fn a_file_that_does_not_fit_together_is_refused() {
    let new = key();
    let draft = intents::rekey(&on(), &new).unwrap();
    let file = draft.to_file();
    let mut other = file.clone();
    other.request.csr = intents::rekey(&on(), &key()).unwrap().to_rest().csr;
    let refused = Draft::of_file(&RequestFile::parse(other.to_text().as_bytes()).unwrap());
    assert!(matches!(refused, Err(FileError::OtherRequest { .. })), "{refused:?}");

    let newer = file.to_text().replace("\"avouch_request\": 1", "\"avouch_request\": 2");
    assert!(matches!(RequestFile::parse(newer.as_bytes()), Err(RequestFileError::Version(2))));
    let unknown = file.to_text().replacen('{', "{\"more\": 1,", 1);
    assert!(matches!(RequestFile::parse(unknown.as_bytes()), Err(RequestFileError::Json(_))));
    let mut veto = file;
    veto.kind = Kind::Veto;
    let refused = RequestFile::parse(veto.to_text().as_bytes());
    assert!(matches!(refused, Err(RequestFileError::Shape(_))), "{refused:?}");
}
