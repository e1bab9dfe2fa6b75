use wire::UserId;
use wire::event::EventKind;
use wire::statement::Role;

use super::*;
use crate::testing::Signer;

pub(crate) fn intent(nonce: u8) -> Intent {
    Intent {
        version: 1,
        verb: EventKind::Renew,
        subject: Some(UserId::parse("alice").unwrap()),
        head: Some(Hash32::of(b"head")),
        sequence: 1,
        csr: None,
        new_spki: None,
        names: Vec::new(),
        profile: String::new(),
        policy: Hash32::of(b"policy"),
        recovery_commitment: None,
        body: None,
        nonce: octets(&[nonce; 16]),
        expiry: 1,
    }
}

fn about(intent: &Intent) -> Statement {
    Statement::new(Hash32::of(b"genesis"), EventKind::Renew, Role::CurrentKey, intent.hash())
}

#[test]
fn a_statement_counts_for_its_own_intent_and_its_own_signer_only() {
    let (alice, mallory) = (Signer::new(), Signer::new());
    let (mine, other) = (intent(1), intent(2));
    let signed = alice.sign(about(&mine)).to_canonical();
    assert!(statement(&signed, &mine.to_canonical(), &alice.spki).is_ok());
    assert!(matches!(
        statement(&signed, &other.to_canonical(), &alice.spki),
        Err(StatementError::Intent { .. })
    ));
    assert!(matches!(
        statement(&signed, &mine.to_canonical(), &mallory.spki),
        Err(StatementError::Signer { .. })
    ));
}

#[test]
fn changing_the_verb_or_the_signature_breaks_the_statement() {
    let alice = Signer::new();
    let mine = intent(1);
    let mut veto = alice.sign(about(&mine));
    veto.statement.verb = EventKind::Veto;
    assert_eq!(
        statement(&veto.to_canonical(), &mine.to_canonical(), &alice.spki),
        Err(StatementError::Signature)
    );
    let mut rsa = alice.sign(about(&mine));
    rsa.algorithm = SignatureAlgorithm::RsaPkcs1Sha256;
    assert_eq!(
        statement(&rsa.to_canonical(), &mine.to_canonical(), &alice.spki),
        Err(StatementError::Algorithm(SignatureAlgorithm::RsaPkcs1Sha256))
    );
}

#[test]
fn a_remark_that_was_signed_along_cannot_be_changed() {
    let olga = Signer::new();
    let mine = intent(1);
    let mut signed = olga.sign(about(&mine).with_remark("shown a passport"));
    for (remark, holds) in
        [(Some("shown a passport"), true), (Some("by telephone"), false), (None, false)]
    {
        signed.remark = remark.map(Into::into);
        let outcome = statement(&signed.to_canonical(), &mine.to_canonical(), &olga.spki);
        assert_eq!(outcome.is_ok(), holds, "{remark:?}");
    }
    let mut unsigned = olga.sign(about(&mine));
    unsigned.remark = Some("anything".into());
    assert!(statement(&unsigned.to_canonical(), &mine.to_canonical(), &olga.spki).is_ok());
}
