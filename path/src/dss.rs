//! DSA (FIPS 186-4), for old certificates. Only verification, so nothing here is secret.

use dsa::signature::hazmat::PrehashVerifier as _;
use dsa::{BoxedUint, Components, Signature, VerifyingKey};

use crate::asn1::{INTEGER, ParseError, Reader, SEQUENCE, Tlv};

/// Sizes of p and q in bits that FIPS 186-4 4.2 knows.
const SIZES: [(usize, usize); 4] = [(1024, 160), (2048, 224), (2048, 256), (3072, 256)];

/// The numbers that keys may share (RFC 3279 2.3.2), big-endian without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsaParameters {
    p: Vec<u8>,
    q: Vec<u8>,
    g: Vec<u8>,
}

impl DsaParameters {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "DSA parameters")?.reader();
        let mut number = |what| fields.expect(INTEGER, what)?.positive();
        let (p, q, g) = (number("p")?, number("q")?, number("g")?);
        fields.finish()?;
        Ok(Self { p, q, g })
    }

    /// The length of p in bits.
    pub fn bits(&self) -> usize {
        bits(&self.p)
    }

    /// Sizes of the standard, and numbers below p: what the arithmetic relies on.
    fn sound(&self, y: &[u8]) -> bool {
        let odd = |n: &[u8]| n.last().is_some_and(|last| last & 1 == 1);
        SIZES.contains(&(bits(&self.p), bits(&self.q)))
            && odd(&self.p)
            && odd(&self.q)
            && less(&self.g, &self.p)
            && less(y, &self.p)
    }
}

/// Whether `signature` (RFC 3279 2.2.2) is that of the message with this digest.
pub(crate) fn verify(
    parameters: &DsaParameters,
    y: &[u8],
    digest: &[u8],
    signature: &[u8],
) -> Option<()> {
    if !parameters.sound(y) {
        return None;
    }
    let mut input = Reader::new(signature);
    let outer = input.expect(SEQUENCE, "DSA signature").ok()?;
    input.finish().ok()?;
    let mut fields = outer.reader();
    let mut number = || fields.expect(INTEGER, "number").ok()?.positive().ok();
    let (r, s) = (number()?, number()?);
    fields.finish().ok()?;
    if !less(&r, &parameters.q) || !less(&s, &parameters.q) {
        return None;
    }
    // One precision for all numbers modulo p, and one for those modulo q.
    let modulo_p = |n: &[u8]| uint(n, bits(&parameters.p));
    let modulo_q = |n: &[u8]| uint(n, bits(&parameters.q));
    let components = Components::from_components(
        modulo_p(&parameters.p)?,
        modulo_q(&parameters.q)?,
        modulo_p(&parameters.g)?,
    )
    .ok()?;
    let key = VerifyingKey::from_components(components, modulo_p(y)?).ok()?;
    let signature = Signature::from_components(modulo_q(&r)?, modulo_q(&s)?)?;
    // FIPS 186-4 4.6: the leftmost bits of the digest, as many as q has.
    key.verify_prehash(&digest[..digest.len().min(parameters.q.len())], &signature).ok()
}

fn uint(octets: &[u8], bits: usize) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(octets, u32::try_from(bits).ok()?).ok()
}

fn bits(n: &[u8]) -> usize {
    n.first().map_or(0, |top| n.len() * 8 - top.leading_zeros() as usize)
}

/// Of numbers without leading zeros.
fn less(a: &[u8], b: &[u8]) -> bool {
    (a.len(), a) < (b.len(), b)
}
