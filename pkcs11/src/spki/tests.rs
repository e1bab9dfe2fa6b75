use super::*;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};

fn octet_string(bytes: &[u8]) -> Vec<u8> {
    [&[0x04, bytes.len() as u8], bytes].concat()
}

#[test]
fn a_point_is_taken_wrapped_or_bare() {
    for (wanted, signing) in [
        (Algorithm::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
        (Algorithm::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
    ] {
        let key = EcdsaKeyPair::generate(signing).unwrap();
        let expected: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let params = ec_params(wanted).unwrap();
        let point = key.public_key().as_ref();
        for reported in [point.to_vec(), octet_string(point)] {
            let (found, spki) = from_ec(&params, &reported).unwrap();
            assert_eq!((found, spki.as_slice()), (wanted, expected.as_ref()));
            assert_eq!(algorithm(&spki), Some(wanted));
        }
        let signature = key.sign(&SystemRandom::new(), b"x").unwrap();
        assert!(verify(expected.as_ref(), b"x", signature.as_ref()));
        assert!(!verify(expected.as_ref(), b"y", signature.as_ref()));
        assert!(from_ec(&params, &point[..point.len() - 1]).is_err());
        assert!(from_ec(&params, &[]).is_err());
    }
}

#[test]
fn an_edwards_point_that_looks_wrapped_is_not_unwrapped() {
    // A bare key whose first bytes happen to be an OCTET STRING's header for the rest.
    let mut bare = [0x55; 32];
    bare[..2].copy_from_slice(&[0x04, 30]);
    for params in [EDWARDS25519_NAME, EDWARDS25519_OID] {
        let (found, spki) = from_ec(params, &bare).unwrap();
        assert_eq!((found, &spki[spki.len() - 32..]), (Algorithm::Ed25519, &bare[..]));
        assert_eq!(from_ec(params, &octet_string(&bare)).unwrap().1, spki);
    }
}

#[test]
fn other_curves_and_sizes_are_named() {
    let secp256k1 = ObjectIdentifier::new_unwrap("1.3.132.0.10").to_der().unwrap();
    assert!(from_ec(&secp256k1, &[4; 65]).unwrap_err().contains("1.3.132.0.10"));
    let error = from_rsa(&[0xff; 128], &[1, 0, 1]).unwrap_err();
    assert!(error.contains("1024 bits"), "{error}");
    // Leading zeros, which some tokens report, do not count.
    let modulus = [&[0; 3][..], &[0xff; 384]].concat();
    assert_eq!(from_rsa(&modulus, &[0, 1, 0, 1]).unwrap().0, Algorithm::Rsa3072);
    assert!(!verify(b"nonsense", b"x", b"y"));
}
