//! Certificates, read once into what validation asks for.

use std::ops::Range;

use aws_lc_rs::digest;

use crate::asn1::{
    BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, Oid, ParseError, Reader, SEQUENCE, Tlv, context,
    context_primitive,
};
use crate::constraints::NameConstraints;
use crate::name::{AuthorityKeyId, GeneralName, Name, PointName, key_id};
use crate::sig::{PublicKey, SignatureAlgorithm};
use crate::{oid, time};

/// More than any certificate in use; less than what could be used to fill memory.
pub const MAX_CERTIFICATE: usize = 256 * 1024;

/// A parsed X.509 certificate. Nothing about it has been verified.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    spki: Range<usize>,
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

/// What the extensions said. A list that is absent differs from an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended_key_usage: Option<Vec<Oid>>,
    pub(crate) alternative_names: Vec<GeneralName>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: AuthorityKeyId,
    pub(crate) distribution_points: Vec<DistributionPoint>,
    pub(crate) unknown_critical: Vec<Oid>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct DistributionPoint {
    pub(crate) name: Option<PointName>,
    /// Bits of ReasonFlags; none named means all.
    pub(crate) reasons: Option<u16>,
    pub(crate) crl_issuer: Option<Vec<GeneralName>>,
}

/// Bits of the KeyUsage extension (RFC 5280 4.2.1.3), bit 0 the lowest.
pub mod key_usage {
    /// Verifying signatures on data.
    pub const DIGITAL_SIGNATURE: u16 = 1 << 0;
    /// Verifying signatures meant to bind.
    pub const NON_REPUDIATION: u16 = 1 << 1;
    /// Wrapping keys to an RSA key.
    pub const KEY_ENCIPHERMENT: u16 = 1 << 2;
    /// Agreeing on keys.
    pub const KEY_AGREEMENT: u16 = 1 << 4;
    /// Verifying signatures on certificates.
    pub const KEY_CERT_SIGN: u16 = 1 << 5;
    /// Verifying signatures on CRLs.
    pub const CRL_SIGN: u16 = 1 << 6;
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
        let version = match fields.optional(context(0))? {
            None => 1,
            Some(explicit) => {
                let mut inner = explicit.reader();
                let number = inner.expect(INTEGER, "version")?;
                inner.finish()?;
                match number.unsigned()? {
                    // DER leaves out a default (X.690 11.5), but some issuers wrote it.
                    0 => 1,
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
        let not_before = time::read(&validity.next()?)?;
        let not_after = time::read(&validity.next()?)?;
        validity.finish()?;
        let subject = fields.expect(SEQUENCE, "subject")?;
        let spki = fields.expect(SEQUENCE, "subjectPublicKeyInfo")?;
        fields.optional(context_primitive(1))?;
        fields.optional(context_primitive(2))?;
        let extensions = match fields.optional(context(3))? {
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

        let signature_end = signature.offset + signature.raw.len();
        Ok(Self {
            tbs: tbs.range(),
            spki: spki.range(),
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
        crate::pem::blocks(input, &["CERTIFICATE", "X509 CERTIFICATE"])?
            .iter()
            .map(|der| Self::from_der(der))
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

impl Extensions {
    fn read(list: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut out = Self::default();
        for extension in RawExtension::read_all(list.reader())? {
            let value = extension.value;
            let mut content = value.reader();
            let body = content.next();
            let whole = || -> Result<Tlv<'_>, ParseError> {
                let body = body.clone()?;
                content.clone().finish()?;
                Ok(body)
            };
            match extension.oid.as_bytes() {
                oid::BASIC_CONSTRAINTS => {
                    out.basic_constraints = Some(BasicConstraints::read(&whole()?)?);
                }
                oid::KEY_USAGE => {
                    out.key_usage = Some(whole()?.expect(BIT_STRING, "key usage")?.flags()?);
                }
                oid::EXTENDED_KEY_USAGE => {
                    let mut purposes = whole()?.expect(SEQUENCE, "extended key usage")?.reader();
                    let mut all = Vec::new();
                    while !purposes.is_empty() {
                        all.push(Oid::read(&purposes.next()?)?);
                    }
                    if all.is_empty() {
                        return Err(value.error("an empty extended key usage"));
                    }
                    out.extended_key_usage = Some(all);
                }
                oid::SUBJECT_ALT_NAME => {
                    let names = whole()?.expect(SEQUENCE, "subject alternative name")?;
                    out.alternative_names = GeneralName::read_all(names.reader())?;
                }
                oid::NAME_CONSTRAINTS => {
                    out.name_constraints = Some(NameConstraints::read(&whole()?)?);
                }
                oid::SUBJECT_KEY_ID => out.subject_key_id = Some(key_id(&whole()?)?),
                oid::AUTHORITY_KEY_ID => out.authority_key_id = AuthorityKeyId::read(&whole()?)?,
                oid::CRL_DISTRIBUTION_POINTS => {
                    let mut points = whole()?.expect(SEQUENCE, "CRL distribution points")?.reader();
                    while !points.is_empty() {
                        out.distribution_points.push(DistributionPoint::read(&points.next()?)?);
                    }
                }
                // Without an explicit policy asked for they change no outcome (RFC 5280 6.1.5 (g)).
                oid::CERTIFICATE_POLICIES | oid::POLICY_MAPPINGS => {}
                // Names of the issuer are of no consequence to a path.
                oid::ISSUER_ALT_NAME => {}
                _ if extension.critical => out.unknown_critical.push(extension.oid),
                _ => {}
            }
        }
        Ok(out)
    }
}

/// One extension, of a certificate, a CRL or an entry of one.
pub(crate) struct RawExtension<'a> {
    pub(crate) oid: Oid,
    pub(crate) critical: bool,
    /// The OCTET STRING around the value.
    pub(crate) value: Tlv<'a>,
}

impl<'a> RawExtension<'a> {
    /// Reads the content of an Extensions SEQUENCE; the same extension twice is an error
    /// (RFC 5280 4.2).
    pub(crate) fn read_all(mut list: Reader<'a>) -> Result<Vec<Self>, ParseError> {
        /// Keeps the search for duplicates from being quadratic in hostile input.
        const MAX_EXTENSIONS: usize = 128;
        let mut out: Vec<Self> = Vec::new();
        while !list.is_empty() {
            let extension = list.expect(SEQUENCE, "extension")?;
            let mut fields = extension.reader();
            let oid = Oid::read(&fields.next()?)?;
            let critical = match fields.optional(BOOLEAN)? {
                Some(flag) => flag.boolean()?,
                None => false,
            };
            let value = fields.expect(OCTET_STRING, "extension value")?;
            fields.finish()?;
            if out.iter().any(|seen| seen.oid == oid) {
                return Err(extension.error(format!("extension {oid} twice")));
            }
            if out.len() == MAX_EXTENSIONS {
                return Err(extension.error(format!("more than {MAX_EXTENSIONS} extensions")));
            }
            out.push(Self { oid, critical, value });
        }
        Ok(out)
    }
}

impl BasicConstraints {
    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "basic constraints")?.reader();
        let ca = match fields.optional(BOOLEAN)? {
            Some(flag) => flag.boolean()?,
            None => false,
        };
        let path_len = match fields.optional(INTEGER)? {
            Some(number) => Some(number.unsigned()?),
            None => None,
        };
        fields.finish()?;
        Ok(Self { ca, path_len })
    }
}

impl DistributionPoint {
    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "distribution point")?.reader();
        let name = match fields.optional(context(0))? {
            Some(outer) => Some(PointName::read(&outer)?),
            None => None,
        };
        let reasons = match fields.optional(context_primitive(1))? {
            Some(flags) => Some(flags.flags()?),
            None => None,
        };
        let crl_issuer = match fields.optional(context(2))? {
            Some(names) => Some(GeneralName::read_all(names.reader())?),
            None => None,
        };
        fields.finish()?;
        if name.is_none() && crl_issuer.is_none() {
            // RFC 5280 4.2.1.13: one of the two must be there.
            return Err(tlv.error("a distribution point with neither name nor CRL issuer"));
        }
        Ok(Self { name, reasons, crl_issuer })
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
