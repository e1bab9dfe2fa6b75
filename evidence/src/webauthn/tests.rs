use wire::event::EventKind;
use wire::octets;
use wire::statement::{Role, SignatureAlgorithm, Statement};

use super::*;
use crate::statement::tests::intent;
use crate::testing::Signer;

const ORIGIN: &str = "https://auditor.example.org";

struct Passkey(Signer);

impl Passkey {
    fn holder(&self) -> Keyholder {
        Keyholder {
            name: "olga".into(),
            spki: octets(&self.0.spki),
            scope: vec![format!("origin={ORIGIN}")],
        }
    }

    fn assert(&self, statement: Statement, client_data: &str, flags: u8, host: &str) -> Assertion {
        let authenticator_data =
            [&Hash32::of(host.as_bytes()).as_bytes()[..], &[flags], &[0, 0, 0, 1]].concat();
        let message =
            [&authenticator_data, &Hash32::of(client_data.as_bytes()).as_bytes()[..]].concat();
        Assertion {
            version: 1,
            signer: Hash32::of(&self.0.spki),
            algorithm: SignatureAlgorithm::EcdsaP256Sha256,
            authenticator_data: octets(&authenticator_data),
            client_data: octets(client_data.as_bytes()),
            signature: octets(&self.0.raw(&message)),
            remark: Some("in person".into()),
            statement,
        }
    }
}

fn approval() -> Statement {
    Statement::new(
        Hash32::of(b"genesis"),
        EventKind::SwitchApprove,
        Role::Officer,
        intent(1).hash(),
    )
    .with_remark("in person")
}

fn client_data(statement: &Statement) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(statement.hash().as_bytes());
    format!(
        r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#
    )
}

fn verify(key: &Passkey, assertion: &Assertion) -> Result<Fact, WebAuthnError> {
    webauthn(&assertion.to_canonical(), &intent(1).to_canonical(), &key.holder())
}

#[test]
fn an_assertion_from_the_configured_origin_counts() {
    let key = Passkey(Signer::new());
    let assertion = key.assert(approval(), &client_data(&approval()), 0x05, "auditor.example.org");
    verify(&key, &assertion).unwrap();
}

#[test]
fn each_field_of_client_data_must_fit() {
    let key = Passkey(Signer::new());
    let good = client_data(&approval());
    let veto = Statement { verb: EventKind::Veto, ..approval() };
    for (bad, field) in [
        (good.replace("webauthn.get", "webauthn.create"), "type"),
        (good.replace(ORIGIN, "https://gateway.example.org"), "origin"),
        (good.replace("https:", "http:"), "origin"),
        (client_data(&veto), "challenge"),
    ] {
        let assertion = key.assert(approval(), &bad, 0x05, "auditor.example.org");
        let Err(WebAuthnError::Differs { field: found, .. }) = verify(&key, &assertion) else {
            panic!("{field} was taken");
        };
        assert_eq!(found, field);
    }
    for bad in [
        good.replace("false", "true"),
        good.replace("\"crossOrigin\":false", "\"topOrigin\":\"https://evil.example\""),
    ] {
        let assertion = key.assert(approval(), &bad, 0x05, "auditor.example.org");
        assert_eq!(verify(&key, &assertion), Err(WebAuthnError::CrossOrigin));
    }
    let twice = good.replace("{", r#"{"origin":"https://evil.example","#);
    let assertion = key.assert(approval(), &twice, 0x05, "auditor.example.org");
    assert!(matches!(verify(&key, &assertion), Err(WebAuthnError::ClientData(_))));
}

#[test]
fn relying_party_presence_and_verification_are_demanded() {
    let key = Passkey(Signer::new());
    let data = client_data(&approval());
    for (flags, what) in [(0x04, "present"), (0x01, "verified"), (0x00, "present")] {
        let assertion = key.assert(approval(), &data, flags, "auditor.example.org");
        assert_eq!(verify(&key, &assertion), Err(WebAuthnError::Flags { flags, what }));
    }
    for host in ["example.org", "gateway.example.org", ""] {
        let assertion = key.assert(approval(), &data, 0x05, host);
        assert!(matches!(verify(&key, &assertion), Err(WebAuthnError::RelyingParty { .. })));
    }
    let mut short = key.assert(approval(), &data, 0x05, "auditor.example.org");
    short.authenticator_data = octets(&[0; 36]);
    assert_eq!(verify(&key, &short), Err(WebAuthnError::Length { found: 36 }));
}

#[test]
fn another_key_another_intent_and_any_flipped_bit_are_refused() {
    let (key, other) = (Passkey(Signer::new()), Passkey(Signer::new()));
    let good = key.assert(approval(), &client_data(&approval()), 0x05, "auditor.example.org");
    assert!(verify(&other, &good).is_err());
    let bytes = good.to_canonical();
    assert!(webauthn(&bytes, &intent(2).to_canonical(), &key.holder()).is_err());
    let unlisted = Keyholder { scope: vec![], ..key.holder() };
    assert_eq!(
        webauthn(&bytes, &intent(1).to_canonical(), &unlisted),
        Err(WebAuthnError::NoOrigin)
    );
    // The signature itself is malleable in its encoding at most; everything before it is not.
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(webauthn(&bad, &intent(1).to_canonical(), &key.holder()).is_err(), "byte {at}");
    }
}
