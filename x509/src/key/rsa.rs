//! What makes an RSA modulus weak, as far as it shows.

use std::sync::LazyLock;

use num_bigint::BigUint;

use super::{KeyAlgorithm, KeyError, KeyRules};
use crate::asn1::{self, Tlv};

/// Rounds of Fermat's method; real weak keys fell within one (CVE-2022-26320).
const FERMAT_ROUNDS: u32 = 100;

/// Primes up to this are tried as factors (NIST SP 800-89 section 5.3.3 asks for 752).
const SMALL_PRIMES_BELOW: u16 = 752;

/// The primes whose residues give a ROCA key away (Nemec et al., CCS 2017, section 5.1); all of
/// them divide the modulus M of the weak generator already for keys of 512 bits.
const ROCA_PRIMES_UP_TO: u16 = 167;

/// Checks an RSAPublicKey (RFC 8017 appendix A.1.1) against all rules.
pub(super) fn check(bits: &Tlv<'_>, rules: &KeyRules) -> Result<KeyAlgorithm, KeyError> {
    let mut reader = bits.bits_reader()?;
    let element = reader.expect(asn1::SEQUENCE, "RSAPublicKey")?;
    reader.finish()?;
    asn1::check(&element)?;
    let mut fields = element.reader();
    let modulus = fields.expect(asn1::INTEGER, "the RSA modulus")?.positive()?;
    let exponent = fields.expect(asn1::INTEGER, "the RSA exponent")?.positive()?;
    fields.finish()?;

    let bits = modulus.len() as u32 * 8 - modulus[0].leading_zeros();
    if bits < rules.rsa_min {
        return Err(KeyError::RsaTooSmall { bits, min: rules.rsa_min });
    }
    if bits > rules.rsa_max {
        return Err(KeyError::RsaTooLarge { bits, max: rules.rsa_max });
    }
    if let Some(reason) = rules.blocklist.find_modulus(modulus) {
        return Err(KeyError::Blocked(reason));
    }
    check_exponent(exponent)?;
    if modulus[modulus.len() - 1] & 1 == 0 {
        return Err(KeyError::RsaEven);
    }
    if let Some(factor) = small_primes().find(|prime| remainder(modulus, *prime) == 0) {
        return Err(KeyError::RsaSmallFactor { factor });
    }
    if is_roca(modulus) {
        return Err(KeyError::Roca);
    }
    if let Some(rounds) = fermat(modulus) {
        return Err(KeyError::RsaClosePrimes { rounds });
    }
    if !bits.is_multiple_of(8) {
        return Err(KeyError::RsaOddLength { bits });
    }
    Ok(KeyAlgorithm::Rsa { bits })
}

fn check_exponent(exponent: &[u8]) -> Result<(), KeyError> {
    if exponent.len() > 4 {
        let found = format!("{} octets long", exponent.len());
        return Err(KeyError::RsaExponent { found });
    }
    let value = exponent.iter().fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
    if value <= 65536 || value.is_multiple_of(2) {
        return Err(KeyError::RsaExponent { found: value.to_string() });
    }
    Ok(())
}

static SMALL_PRIMES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    (3..SMALL_PRIMES_BELOW).step_by(2).filter(|n| (3..*n).step_by(2).all(|d| n % d != 0)).collect()
});

fn small_primes() -> impl Iterator<Item = u16> {
    SMALL_PRIMES.iter().copied()
}

fn remainder(number: &[u8], divisor: u16) -> u16 {
    let divisor = u64::from(divisor);
    let word = |octets: &[u8]| octets.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
    // By 32 bits at a time from the top; only the topmost word can be shorter.
    number.rchunks(4).rev().fold(0, |rest, octets| (rest << 32 | word(octets)) % divisor) as u16
}

/// A weak prime is k·M + (65537^a mod M), so modulo every prime that divides M both factors, and
/// with them the modulus, are powers of 65537. A sound modulus passes for one by chance of 2^-27.
fn is_roca(modulus: &[u8]) -> bool {
    small_primes().take_while(|prime| *prime <= ROCA_PRIMES_UP_TO).all(|prime| {
        let (rest, generator) = (remainder(modulus, prime), (65537 % u32::from(prime)) as u16);
        let mut power = 1;
        for _ in 0..prime {
            if power == rest {
                return true;
            }
            power = (u32::from(power) * u32::from(generator) % u32::from(prime)) as u16;
        }
        false
    })
}

/// Looks for a² − n = b² from a = ⌈√n⌉ upward; returns the round in which it was found.
fn fermat(modulus: &[u8]) -> Option<u32> {
    let n = BigUint::from_bytes_be(modulus);
    let mut a = n.sqrt();
    if &a * &a < n {
        a += 1_u8;
    }
    let mut difference = &a * &a - &n;
    for round in 1..=FERMAT_ROUNDS {
        if is_square(&difference) {
            return Some(round);
        }
        difference += &a * 2_u8 + 1_u8;
        a += 1_u8;
    }
    None
}

fn is_square(number: &BigUint) -> bool {
    // Squares have 12 of 64 residues modulo 64, and about half of them modulo each prime: one in
    // some hundred candidates needs the root.
    const SQUARES_MOD_64: u64 = 0x0202_0212_0203_0213;
    const PRIMES: [u32; 8] = [3, 5, 7, 11, 13, 17, 19, 23];
    const PRODUCT: u32 = 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23;
    let low = number.iter_u64_digits().next().unwrap_or(0);
    if SQUARES_MOD_64 >> (low & 63) & 1 == 0 {
        return false;
    }
    let rest = (number % PRODUCT).iter_u32_digits().next().unwrap_or(0);
    if !PRIMES.iter().all(|p| (0..=p / 2).any(|root| root * root % p == rest % p)) {
        return false;
    }
    let root = number.sqrt();
    &root * &root == *number
}

#[cfg(test)]
mod tests;
