use std::sync::Arc;

use num_bigint::BigUint;

use super::super::{BlockReason, Blocklist, PublicKey};
use super::*;
use const_oid::db::rfc5912::RSA_ENCRYPTION;

fn spki(modulus: &BigUint, exponent: u64) -> Vec<u8> {
    let key = asn1::sequence(&[
        asn1::unsigned(&modulus.to_bytes_be()),
        asn1::unsigned(&exponent.to_be_bytes()),
    ]);
    let algorithm =
        asn1::sequence(&[asn1::oid(RSA_ENCRYPTION), asn1::tlv::<&[u8]>(asn1::NULL, &[])]);
    asn1::sequence(&[algorithm, asn1::bit_string(&key)])
}

fn refused(modulus: &BigUint, exponent: u64) -> KeyError {
    let rules = KeyRules::identity(Arc::default());
    PublicKey::parse(&spki(modulus, exponent), &rules).unwrap_err()
}

/// 2048 bits that no rule objects to; nobody checks here that they are a product of two primes.
fn inconspicuous() -> BigUint {
    let mut candidate =
        (BigUint::from(3_u8) << 2046_u32) + (BigUint::from(1_u8) << 1000_u32) + 1_u8;
    loop {
        let bytes = candidate.to_bytes_be();
        if small_primes().all(|p| remainder(&bytes, p) != 0) && !is_roca(&bytes) {
            return candidate;
        }
        candidate += 2_u8;
    }
}

#[test]
fn an_inconspicuous_modulus_passes() {
    let rules = KeyRules::identity(Arc::default());
    let key = PublicKey::parse(&spki(&inconspicuous(), 65537), &rules).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
}

#[test]
fn lengths_outside_of_the_bounds_are_refused_with_numbers() {
    let n = inconspicuous();
    assert_eq!(refused(&(&n >> 1024_u32), 65537), KeyError::RsaTooSmall { bits: 1024, min: 2048 });
    assert_eq!(refused(&(&n << 2049_u32), 65537), KeyError::RsaTooLarge { bits: 4097, max: 4096 });
    let odd = without_factor((BigUint::from(3_u8) << 2047_u32) + 1_u8);
    assert_eq!(refused(&odd, 65537), KeyError::RsaOddLength { bits: 2049 });
}

#[test]
fn exponents_that_are_small_even_or_huge_are_refused() {
    let n = inconspicuous();
    for exponent in [1, 3, 17, 65535, 65536, 65538, 1 << 33 | 1] {
        assert!(matches!(refused(&n, exponent), KeyError::RsaExponent { .. }), "{exponent}");
    }
}

#[test]
fn an_even_modulus_is_refused() {
    assert_eq!(refused(&(inconspicuous() + 1_u8), 65537), KeyError::RsaEven);
}

#[test]
fn the_smallest_and_the_greatest_small_factor_are_found() {
    let n = inconspicuous();
    for factor in [3_u16, 751] {
        let mut multiple = &n / factor * factor;
        while multiple.bits() != 2048 || !multiple.bit(0) || first_factor(&multiple) != Some(factor)
        {
            multiple += factor;
        }
        assert_eq!(refused(&multiple, 65537), KeyError::RsaSmallFactor { factor });
    }
}

fn without_factor(mut n: BigUint) -> BigUint {
    while first_factor(&n).is_some() {
        n += 2_u8;
    }
    n
}

fn first_factor(n: &BigUint) -> Option<u16> {
    let bytes = n.to_bytes_be();
    small_primes().find(|p| remainder(&bytes, *p) == 0)
}

#[test]
fn a_modulus_of_close_factors_is_refused() {
    // Factors about 2^514 apart: (p−q)²/8√n is a few rounds.
    let p = without_factor((BigUint::from(3_u8) << 1022_u32) + 1_u8);
    let q = without_factor(&p + (BigUint::from(3_u8) << 512_u32));
    let error = refused(&(&p * &q), 65537);
    assert!(matches!(error, KeyError::RsaClosePrimes { rounds: 1..=100 }), "{error}");
    // A square is the closest of all.
    assert_eq!(refused(&(&p * &p), 65537), KeyError::RsaClosePrimes { rounds: 1 });
}

#[test]
fn a_modulus_made_as_the_weak_library_makes_them_is_refused() {
    // M of the weak generator for RSA-2048: the product of the first 126 primes.
    let m =
        [2_u16].into_iter().chain(small_primes()).take(126).fold(BigUint::from(1_u8), |m, p| m * p);
    let prime_like = |exponent: u32, k: u32| {
        let tail = BigUint::from(65537_u32).modpow(&BigUint::from(exponent), &m);
        let top = (BigUint::from(7_u8) << 1021_u32) / &m;
        (top + k) * &m + tail
    };
    let factors = |p: &BigUint| first_factor(p).is_some();
    let p = (0..).map(|k| prime_like(123_456_789, k)).find(|p| !factors(p)).unwrap();
    let q = (0..).map(|k| prime_like(987_654_321, k)).find(|q| !factors(q)).unwrap();
    assert_eq!(refused(&(&p * &q), 65537), KeyError::Roca);
    // The same with one factor that is not of the form is no such key.
    assert!(!is_roca(&(&p * (&q + 2_u8)).to_bytes_be()));
}

#[test]
fn a_key_on_debians_list_is_refused() {
    let n = inconspicuous();
    let line = format!("Modulus={}\n", hex::encode_upper(n.to_bytes_be()));
    let hash =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, line.as_bytes());
    let entry = hex::encode(&hash.as_ref()[10..]);
    let list = Blocklist::parse(&format!("# RSA-2048\n{entry}\n00000000000000000000\n")).unwrap();
    let rules = KeyRules::identity(Arc::new(list));
    let error = PublicKey::parse(&spki(&n, 65537), &rules).unwrap_err();
    assert_eq!(error, KeyError::Blocked(BlockReason::DebianWeak));
}

/// Requests published by the researchers who found the flaw (crocs-muni/roca, `csr05` and `csr03`):
/// the first has a key of the weak form, the second an ordinary one.
#[test]
fn a_real_roca_request_is_refused() {
    let rules = KeyRules::identity(Arc::default());
    let weak = include_bytes!("../../../tests/vectors/roca.csr.pem");
    let error = crate::Csr::parse(weak, &rules).unwrap_err();
    assert_eq!(error, crate::CsrError::Key(KeyError::Roca));
    assert_eq!(error.code(), "weak-key");
    let ordinary = include_bytes!("../../../tests/vectors/not-roca.csr.pem");
    assert!(crate::Csr::parse(ordinary, &rules).is_ok());
}
