//! What people, providers and a compromised web tier hand in as evidence. Nobody here holds a key
//! that counts, so nothing may become a fact.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::OctetString;
use libfuzzer_sys::fuzz_target;
use policy::Time;
use wire::Hash32;
use wire::genesis::{Keyholder, Provider};

/// A key of which nobody has the private half: the hash of a text, as x of Ed25519 and as modulus.
fn providers() -> Vec<Provider> {
    let x = URL_SAFE_NO_PAD.encode(Hash32::of(b"nobody").as_bytes());
    let n = URL_SAFE_NO_PAD.encode([0xff; 256]);
    let jwks = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}},{{"kty":"RSA","n":"{n}","e":"AQAB"}}]}}"#
    );
    let jwks = OctetString::new(jwks.into_bytes()).expect("it is short");
    vec![Provider { issuer: "https://id.example".into(), audience: "avouch".into(), jwks }]
}

fuzz_target!(|data: &[u8]| {
    let (intent, time) = (Hash32::of(b"intent"), Time::at_ms(1_800_000_000_000));
    assert!(evidence::id_token(data, intent, &providers(), time).is_err());
    // Past the base64, too: header, claims and signature, with a byte that is none of JSON between.
    let parts: Vec<String> = data.split(|b| *b == 0).map(|p| URL_SAFE_NO_PAD.encode(p)).collect();
    let token = parts.join(".");
    assert!(evidence::id_token(token.as_bytes(), intent, &providers(), time).is_err());

    let spki = b"no key at all";
    assert!(evidence::statement(data, b"intent", spki).is_err());
    let holder = Keyholder {
        spki: OctetString::new(spki.to_vec()).expect("it is short"),
        name: "officer".into(),
        scope: vec!["origin=https://approve.example".into()],
    };
    for at in [0, data.len() / 2, data.len()] {
        let (assertion, intent) = data.split_at(at);
        assert!(evidence::webauthn(assertion, intent, &holder).is_err());
    }
});
