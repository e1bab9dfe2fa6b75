use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};
use wire::octets;

use super::*;

const NOW: u64 = 1_800_000_000;

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    fn all() -> [Self; 3] {
        [
            Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
            Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Self::Ed(Ed25519KeyPair::generate().unwrap()),
        ]
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let parts: PublicKeyComponents<Vec<u8>> = key.public_key().into();
                json!({"kty":"RSA","kid":kid,"use":"sig","n":b64(&parts.n),"e":b64(&parts.e)})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty":"EC","crv":"P-256","kid":kid,"x":b64(&point[1..33]),"y":b64(&point[33..])})
            }
            Self::Ed(key) => {
                json!({"kty":"OKP","crv":"Ed25519","kid":kid,"x":b64(key.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
    }
}

fn intent() -> Hash32 {
    Hash32::of(b"intent")
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.org", "sub": "248289761001", "aud": "avouch",
        "exp": NOW + 300, "iat": NOW - 5, "nonce": intent().to_string(),
    })
}

fn providers(keys: &[Value]) -> Vec<Provider> {
    vec![Provider {
        issuer: "https://login.example.org".into(),
        audience: "avouch".into(),
        jwks: octets(json!({ "keys": keys }).to_string().as_bytes()),
    }]
}

fn check(token: &str, keys: &[Value]) -> Result<Fact, TokenError> {
    id_token(token.as_bytes(), intent(), &providers(keys), Time::at_ms(NOW * 1000))
}

#[test]
fn each_algorithm_verifies_under_its_logged_key_and_no_other() {
    let (keys, others) = (Key::all(), Key::all());
    let sets: Vec<Value> = keys.iter().map(|key| key.jwk(key.alg())).collect();
    for (key, other) in keys.iter().zip(&others) {
        let header = json!({"alg": key.alg(), "kid": key.alg()});
        check(&key.token(&header, &claims()), &sets).unwrap();
        check(&key.token(&json!({"alg": key.alg()}), &claims()), &sets).unwrap();
        assert_eq!(check(&other.token(&header, &claims()), &sets), Err(TokenError::Signature));
        let unknown = json!({"alg": key.alg(), "kid": "x"});
        assert_eq!(check(&key.token(&unknown, &claims()), &sets), Err(TokenError::NoKey));
    }
    for alg in ["none", "HS256", "RS384", "rs256"] {
        let token = keys[0].token(&json!({"alg": alg, "kid": "RS256"}), &claims());
        assert_eq!(check(&token, &sets), Err(TokenError::Algorithm(alg.into())));
    }
    // Two keys fit and none is named: nothing is tried out.
    let two = [keys[1].jwk("a"), others[1].jwk("b")];
    let token = keys[1].token(&json!({"alg": "ES256"}), &claims());
    assert_eq!(check(&token, &two), Err(TokenError::NoKey));
}

#[test]
fn each_claim_must_fit() {
    let [_, key, _] = Key::all();
    let set = [key.jwk("k")];
    let header = json!({"alg": "ES256", "kid": "k"});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims();
        change(&mut claims);
        check(&key.token(&header, &claims), &set)
    };
    assert!(matches!(
        with(&|c| c["iss"] = "https://evil.example".into()),
        Err(TokenError::Provider { .. })
    ));
    assert!(matches!(with(&|c| c["aud"] = "other".into()), Err(TokenError::Provider { .. })));
    assert!(matches!(
        with(&|c| c["aud"] = json!(["avouch", "other"])),
        Err(TokenError::Provider { .. })
    ));
    with(&|c| {
        c["aud"] = json!(["avouch", "other"]);
        c["azp"] = "avouch".into();
    })
    .unwrap();
    with(&|c| c["aud"] = json!(["avouch"])).unwrap();
    assert!(matches!(with(&|c| c["azp"] = "other".into()), Err(TokenError::Provider { .. })));
    assert!(matches!(with(&|c| c["nonce"] = "0".into()), Err(TokenError::Nonce { .. })));
    for (claim, value) in [("exp", NOW), ("iat", NOW + SKEW + 1), ("nbf", NOW + SKEW + 1)] {
        let refused = with(&|c| c[claim] = value.into());
        assert_eq!(refused, Err(TokenError::Time { claim, found: value, now: NOW }));
    }
    for missing in ["iss", "sub", "aud", "exp", "iat", "nonce"] {
        let refused = with(&|c| drop(c.as_object_mut().unwrap().remove(missing)));
        assert!(matches!(refused, Err(TokenError::Format(_))), "{missing}");
    }
    assert!(matches!(with(&|c| c["sub"] = "".into()), Err(TokenError::Format(_))));
    let critical = json!({"alg": "ES256", "kid": "k", "crit": ["b64"]});
    assert!(matches!(check(&key.token(&critical, &claims()), &set), Err(TokenError::Format(_))));
}

#[test]
fn any_changed_character_is_refused() {
    let [_, _, key] = Key::all();
    let set = [key.jwk("k")];
    let token = key.token(&json!({"alg": "EdDSA", "kid": "k"}), &claims());
    check(&token, &set).unwrap();
    for at in 0..token.len() {
        let mut bad = token.clone().into_bytes();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bad).unwrap();
        assert!(check(&text, &set).is_err(), "character {at}");
    }
    assert!(matches!(check(&"a.".repeat(9000), &set), Err(TokenError::Format(_))));
}

#[test]
fn an_address_counts_where_the_provider_says_that_it_verified_it() {
    let claims = |email: Value, verified: Value| -> Claims {
        serde_json::from_value(json!({
            "iss": "i", "sub": "s", "aud": "a", "exp": 1, "iat": 0, "nonce": "n",
            "email": email, "email_verified": verified,
        }))
        .unwrap()
    };
    let yes = |verified| verified_email(&claims(json!("Al@Example.ORG"), verified));
    for verified in [json!(true), json!("true")] {
        assert_eq!(yes(verified).as_deref(), Some("Al@example.org"));
    }
    for verified in [json!(false), json!("false"), json!("yes"), json!(1), json!(null)] {
        assert_eq!(yes(verified), None);
    }
    assert_eq!(verified_email(&claims(json!("nobody"), json!(true))), None);
    assert_eq!(verified_email(&claims(json!(null), json!(true))), None);
}
