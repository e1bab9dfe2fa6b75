//! Certificates, read once into what validation asks for.

use std::ops::Range;

use aws_lc_rs::digest;

use crate::asn1::{
    BIT_STRING, GENERALIZED_TIME, INTEGER, Oid, ParseError, Reader, SEQUENCE, SET, Tlv, context,
    context_primitive,
};
use crate::extensions::{Extensions, Quirk};
use crate::name::{GeneralName, Name, PointName};
use crate::sig::{PublicKey, SignatureAlgorithm};
use crate::{oid, time};

/// More than any certificate in use; less than what could be used to fill memory.
pub const MAX_CERTIFICATE: usize = 256 * 1024;

const CERTIFICATE_LABELS: &[&str] = &["CERTIFICATE", "X509 CERTIFICATE"];

/// A parsed X.509 certificate. Nothing about it has been verified.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    spki: Range<usize>,
    key_bits: Range<usize>,
    fingerprint: [u8; 32],
    pub(crate) version: u8,
    serial: Vec<u8>,
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    issuer_der: Range<usize>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) key: PublicKey,
    pub(crate) algorithm: SignatureAlgorithm,
    /// The two algorithm fields are the same (RFC 5280 4.1.1.2).
    pub(crate) algorithms_agree: bool,
    signature: Range<usize>,
    pub(crate) extensions: Extensions,
}

/// Bits of the KeyUsage extension (RFC 5280 4.2.1.3), bit 0 the lowest.
pub mod key_usage {
    /// Verifying signatures on data.
    pub const DIGITAL_SIGNATURE: u16 = 1 << 0;
    /// Verifying signatures meant to bind.
    pub const NON_REPUDIATION: u16 = 1 << 1;
    /// Wrapping keys to an RSA key.
    pub const KEY_ENCIPHERMENT: u16 = 1 << 2;
    /// Encrypting data to an RSA key itself.
    pub const DATA_ENCIPHERMENT: u16 = 1 << 3;
    /// Agreeing on keys.
    pub const KEY_AGREEMENT: u16 = 1 << 4;
    /// Verifying signatures on certificates.
    pub const KEY_CERT_SIGN: u16 = 1 << 5;
    /// Verifying signatures on CRLs.
    pub const CRL_SIGN: u16 = 1 << 6;
    /// Of key agreement: to encrypt alone.
    pub const ENCIPHER_ONLY: u16 = 1 << 7;
    /// Of key agreement: to decrypt alone.
    pub const DECIPHER_ONLY: u16 = 1 << 8;
}

impl Certificate {
    /// Reads one DER certificate and nothing after it; at most [`MAX_CERTIFICATE`] bytes.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(ParseError::new(
                MAX_CERTIFICATE,
                format!("a certificate of {} bytes; the limit is {MAX_CERTIFICATE}", der.len()),
            ));
        }
        let mut input = Reader::new(der);
        let outer = input.expect(SEQUENCE, "certificate")?;
        input.finish()?;
        let mut outer = outer.reader();
        let tbs = outer.expect(SEQUENCE, "tbsCertificate")?;
        let outer_algorithm = outer.expect(SEQUENCE, "signatureAlgorithm")?;
        let signature = outer.expect(BIT_STRING, "signature")?;
        outer.finish()?;
        let signature_octets = signature.bit_octets()?;

        let mut fields = tbs.reader();
        let mut explicit_v1 = false;
        let version = match fields.optional(context(0))? {
            None => 1,
            Some(explicit) => {
                let mut inner = explicit.reader();
                let number = inner.expect(INTEGER, "version")?;
                inner.finish()?;
                match number.unsigned()? {
                    // DER leaves out a default (X.690 11.5), but some issuers wrote it.
                    0 => {
                        explicit_v1 = true;
                        1
                    }
                    1 => 2,
                    2 => 3,
                    other => return Err(number.error(format!("version {other}"))),
                }
            }
        };
        let serial = fields.expect(INTEGER, "serialNumber")?.integer()?.to_vec();
        let inner_algorithm = fields.expect(SEQUENCE, "signature algorithm")?;
        let issuer = fields.expect(SEQUENCE, "issuer")?;
        let mut validity = fields.expect(SEQUENCE, "validity")?.reader();
        let times = [validity.next()?, validity.next()?];
        validity.finish()?;
        let [not_before, not_after] = [time::read(&times[0])?, time::read(&times[1])?];
        let subject = fields.expect(SEQUENCE, "subject")?;
        let spki = fields.expect(SEQUENCE, "subjectPublicKeyInfo")?;
        let unique_ids =
            [fields.optional(context_primitive(1))?, fields.optional(context_primitive(2))?];
        let mut extensions = match fields.optional(context(3))? {
            None => Extensions::default(),
            Some(explicit) if version == 3 => {
                let mut inner = explicit.reader();
                let list = inner.expect(SEQUENCE, "extensions")?;
                inner.finish()?;
                Extensions::read(&list)?
            }
            Some(explicit) => {
                return Err(
                    explicit.error(format!("extensions in a version {version} certificate"))
                );
            }
        };
        fields.finish()?;
        if explicit_v1 {
            extensions.quirks.push(Quirk { rfc: "4.1.2.1", what: "version 1 written out" });
        }
        if times.iter().any(early_generalized) {
            let what = "a GeneralizedTime before 2050";
            extensions.quirks.push(Quirk { rfc: "4.1.2.5", what });
        }
        if unique_ids.iter().any(Option::is_some) {
            extensions.quirks.push(Quirk { rfc: "4.1.2.8", what: "a unique identifier" });
        }

        let signature_end = signature.offset + signature.raw.len();
        Ok(Self {
            tbs: tbs.range(),
            spki: spki.range(),
            key_bits: key_bits(&spki)?,
            fingerprint: sha256(der),
            version,
            serial,
            issuer: Name::read(&issuer)?,
            subject: Name::read(&subject)?,
            issuer_der: issuer.range(),
            not_before,
            not_after,
            key: PublicKey::read(&spki)?,
            algorithm: SignatureAlgorithm::read(&outer_algorithm)?,
            algorithms_agree: outer_algorithm.raw == inner_algorithm.raw,
            signature: signature_end - signature_octets.len()..signature_end,
            extensions,
            der: der.to_vec(),
        })
    }

    /// Reads all certificates of a PEM text, or the one of a DER file.
    pub fn from_pem_or_der(input: &[u8]) -> Result<Vec<Self>, ParseError> {
        crate::pem::each(input, CERTIFICATE_LABELS, Self::from_der).into_iter().collect()
    }

    /// Reads what issuers' certificates are served as: PEM, DER, or a «certs-only» CMS message
    /// (RFC 5280 4.2.2.1, RFC 5652 5.1), of which the certificates are taken that can be read.
    pub fn from_any(input: &[u8]) -> Result<Vec<Self>, ParseError> {
        Self::each_from_any(input).into_iter().collect()
    }

    /// The same, each by itself: of a file with many, one that cannot be read need not matter.
    /// There is at least one, or an error that says why not.
    pub fn each_from_any(input: &[u8]) -> Vec<Result<Self, ParseError>> {
        const MESSAGE_LABELS: [&str; 2] = ["PKCS7", "CMS"];
        let message = |der: &[u8]| match certs_only(der) {
            Ok(all) => all.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        let labels = [CERTIFICATE_LABELS, &MESSAGE_LABELS].concat();
        let Some(blocks) = crate::pem::blocks(input, &labels) else {
            return match Self::from_der(input) {
                Ok(one) => vec![Ok(one)],
                Err(error) => certs_only(input)
                    .map_or_else(|_| vec![Err(error)], |all| all.into_iter().map(Ok).collect()),
            };
        };
        blocks
            .into_iter()
            .flat_map(|(label, content)| match content {
                Ok(der) if MESSAGE_LABELS.iter().any(|known| known.as_bytes() == label) => {
                    message(&der)
                }
                content => vec![content.and_then(|der| Self::from_der(&der))],
            })
            .collect()
    }

    /// The whole certificate as it was given.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.der[self.spki.clone()]
    }

    /// SHA-256 of [`spki_der`](Self::spki_der).
    pub fn spki_hash(&self) -> [u8; 32] {
        sha256(self.spki_der())
    }

    /// The octets of the serial number, big-endian, two's complement.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Who signed it, it says.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The issuer's name in DER, for identifying this certificate to others.
    pub fn issuer_der(&self) -> &[u8] {
        &self.der[self.issuer_der.clone()]
    }

    /// Whose key it holds, it says.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// The names in its subjectAltName extension.
    pub fn alternative_names(&self) -> &[GeneralName] {
        &self.extensions.alternative_names
    }

    /// Its first valid second, since 1970.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Its last valid second, since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The bits of [`key_usage`], or nothing where the extension is absent.
    pub fn key_usage(&self) -> Option<u16> {
        self.extensions.key_usage
    }

    /// The subject key identifier, where there is one.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// The URIs of its CRL distribution points.
    pub fn crl_uris(&self) -> impl Iterator<Item = &str> {
        self.extensions
            .distribution_points
            .iter()
            .filter_map(|point| match &point.name {
                Some(PointName::Full(names)) => Some(names),
                _ => None,
            })
            .flatten()
            .filter_map(|name| match name {
                GeneralName::Uri(uri) => Some(uri.as_str()),
                _ => None,
            })
    }

    /// The URIs from which its issuer's certificates can be had (RFC 5280 4.2.2.1).
    pub fn ca_issuer_uris(&self) -> impl Iterator<Item = &str> {
        self.access_uris(oid::ACCESS_CA_ISSUERS)
    }

    /// The URIs of OCSP responders that know its status.
    pub fn ocsp_uris(&self) -> impl Iterator<Item = &str> {
        self.access_uris(oid::ACCESS_OCSP)
    }

    fn access_uris<'a>(&'a self, method: &'a [u8]) -> impl Iterator<Item = &'a str> {
        self.extensions
            .access
            .iter()
            .filter(move |access| access.method.as_bytes() == method)
            .filter_map(|access| match &access.location {
                GeneralName::Uri(uri) => Some(uri.as_str()),
                _ => None,
            })
    }

    /// The octets of the public key alone.
    pub(crate) fn key_bits(&self) -> &[u8] {
        &self.der[self.key_bits.clone()]
    }

    /// What looking at it once may cost, in units of one small comparison.
    pub(crate) fn effort(&self) -> usize {
        1 + self.der.len() / 128
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }

    /// Issued under its own name: to itself or at a change of keys (RFC 5280 6.1).
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(crate) fn is_ca(&self) -> bool {
        self.extensions.basic_constraints.is_some_and(|bc| bc.ca)
    }
}

fn key_bits(spki: &Tlv<'_>) -> Result<Range<usize>, ParseError> {
    let mut fields = spki.reader();
    fields.next()?;
    let bits = fields.expect(BIT_STRING, "subjectPublicKey")?;
    let end = bits.range().end;
    Ok(end - bits.bit_octets()?.len()..end)
}

fn certs_only(der: &[u8]) -> Result<Vec<Certificate>, ParseError> {
    let mut input = Reader::new(der);
    let outer = input.expect(SEQUENCE, "CMS message")?;
    input.finish()?;
    let mut info = outer.reader();
    let kind = info.next()?;
    if Oid::read(&kind)?.as_bytes() != oid::SIGNED_DATA {
        return Err(kind.error("a CMS message that is not SignedData"));
    }
    let mut explicit = info.expect(context(0), "content")?.reader();
    let mut signed = explicit.expect(SEQUENCE, "SignedData")?.reader();
    signed.expect(INTEGER, "version")?;
    signed.expect(SET, "digest algorithms")?;
    signed.expect(SEQUENCE, "encapsulated content")?;
    let mut list = signed.expect(context(0), "certificates")?.reader();
    let mut out = Vec::new();
    while !list.is_empty() {
        out.extend(Certificate::from_der(list.next()?.raw));
    }
    if out.is_empty() {
        return Err(outer.error("a CMS message without a certificate that can be read"));
    }
    Ok(out)
}

/// RFC 5280 4.1.2.5 wants years through 2049 as UTCTime; years before 1950 that form cannot say.
pub(crate) fn early_generalized(time: &Tlv<'_>) -> bool {
    time.tag == GENERALIZED_TIME
        && (b"1950".as_slice()..b"2050".as_slice())
            .contains(&&time.value[..4.min(time.value.len())])
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
