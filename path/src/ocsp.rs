//! Answers of OCSP responders (RFC 6960), read; and questions to them.
//!
//! Read with the reader of this crate, like certificates: an answer holds names, keys and times of
//! anybody's, and the same leniencies are to apply to them.

use std::cell::OnceCell;
use std::ops::Range;

use aws_lc_rs::digest;

use crate::asn1::{
    BIT_STRING, ENUMERATED, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, Oid, ParseError, Reader,
    SEQUENCE, Tlv, context, context_primitive,
};
use crate::cert::Certificate;
use crate::crl::Revocation;
use crate::extensions::RawExtension;
use crate::name::Name;
use crate::sig::SignatureAlgorithm;
use crate::{oid, time};

/// More than any answer in use: one certificate's status, and the responder's certificates.
pub const MAX_OCSP: usize = 1024 * 1024;

/// A parsed answer of an OCSP responder. Nothing about it has been verified.
#[derive(Clone, Debug)]
pub struct OcspResponse {
    /// OCSPResponseStatus other than successful, or the answer.
    content: Result<Basic, u8>,
}

/// BasicOCSPResponse (RFC 6960 4.2.1).
#[derive(Clone, Debug)]
pub(crate) struct Basic {
    der: Vec<u8>,
    tbs: Range<usize>,
    pub(crate) responder: ResponderId,
    pub(crate) produced_at: i64,
    pub(crate) singles: Vec<Single>,
    nonce: Option<Vec<u8>>,
    pub(crate) unknown_critical: bool,
    pub(crate) algorithm: SignatureAlgorithm,
    signature: Range<usize>,
    /// Certificates the responder sent along; those that cannot be read are left out.
    pub(crate) certificates: Vec<Certificate>,
}

#[derive(Clone, Debug)]
pub(crate) enum ResponderId {
    Name(Name),
    /// SHA-1 of the public key.
    Key(Vec<u8>),
}

/// What the answer says of one certificate.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) id: CertId,
    pub(crate) status: Status,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    pub(crate) unknown_critical: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    Good,
    Revoked(Revocation),
    Unknown,
}

/// Which certificate is meant, by hashes of its issuer's name and key (RFC 6960 4.1.1).
#[derive(Clone, Debug)]
pub(crate) struct CertId {
    hash: Oid,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

/// Whether an answer is one to the question just asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceMatch {
    /// It repeats the nonce.
    Same,
    /// It has none: made in advance, as RFC 5019 allows.
    Absent,
    /// It has another one, so it is an answer to somebody else's question.
    Different,
}

impl OcspResponse {
    /// Reads one DER OCSPResponse and nothing after it; at most [`MAX_OCSP`] bytes.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > MAX_OCSP {
            let what = format!("an OCSP response of {} bytes; the limit is {MAX_OCSP}", der.len());
            return Err(ParseError::new(MAX_OCSP, what));
        }
        let mut input = Reader::new(der);
        let outer = input.expect(SEQUENCE, "OCSP response")?;
        input.finish()?;
        let mut outer = outer.reader();
        let status = match *outer.expect(ENUMERATED, "response status")?.value {
            [status] => status,
            _ => return Err(outer.error("a malformed response status")),
        };
        let bytes = outer.optional(context(0))?;
        outer.finish()?;
        let content = match (status, bytes) {
            (0, Some(explicit)) => {
                let mut explicit = explicit.reader();
                let mut bytes = explicit.expect(SEQUENCE, "response bytes")?.reader();
                explicit.finish()?;
                let kind = bytes.next()?;
                if Oid::read(&kind)?.as_bytes() != oid::OCSP_BASIC {
                    return Err(kind.error("an OCSP response of an unknown type"));
                }
                let basic = bytes.expect(OCTET_STRING, "response")?;
                bytes.finish()?;
                Ok(Basic::read(der, basic.reader())?)
            }
            (0, None) => {
                return Err(ParseError::new(0, "a successful OCSP response without content"));
            }
            (other, _) => Err(other),
        };
        Ok(Self { content })
    }

    /// Reads all answers of a PEM text (label «OCSP RESPONSE»), or the one of a DER file.
    pub fn from_pem_or_der(input: &[u8]) -> Result<Vec<Self>, ParseError> {
        Self::each_from_pem_or_der(input).into_iter().collect()
    }

    /// The same, each by itself. There is at least one, or an error that says why not.
    pub fn each_from_pem_or_der(input: &[u8]) -> Vec<Result<Self, ParseError>> {
        crate::pem::each(input, &["OCSP RESPONSE"], Self::from_der)
    }

    /// Holds the answer against the nonce of the question (RFC 9654).
    pub fn nonce_match(&self, nonce: &[u8]) -> NonceMatch {
        match self.content.as_ref().ok().and_then(|basic| basic.nonce.as_deref()) {
            None => NonceMatch::Absent,
            Some(own) if own == nonce => NonceMatch::Same,
            Some(_) => NonceMatch::Different,
        }
    }

    /// When the answer was signed, in seconds since 1970; none where the responder refused.
    pub fn produced_at(&self) -> Option<i64> {
        self.content.as_ref().ok().map(|basic| basic.produced_at)
    }

    /// The answer, or in words why there is none.
    pub(crate) fn basic(&self) -> Result<&Basic, &'static str> {
        self.content.as_ref().map_err(|status| match status {
            1 => "the OCSP responder found the request malformed",
            2 => "the OCSP responder had an internal error",
            3 => "the OCSP responder asks to try later",
            5 => "the OCSP responder wants the request signed",
            6 => "the OCSP responder found the request unauthorized",
            _ => "the OCSP responder refused",
        })
    }
}

impl Basic {
    fn read(der: &[u8], mut input: Reader<'_>) -> Result<Self, ParseError> {
        let outer = input.expect(SEQUENCE, "basic OCSP response")?;
        input.finish()?;
        let mut outer = outer.reader();
        let tbs = outer.expect(SEQUENCE, "response data")?;
        let algorithm = SignatureAlgorithm::read(&outer.expect(SEQUENCE, "signature algorithm")?)?;
        let signature = outer.expect(BIT_STRING, "signature")?;
        let signature_octets = signature.bit_octets()?;
        let signature_end = signature.range().end;
        let mut certificates = Vec::new();
        if let Some(explicit) = outer.optional(context(0))? {
            let mut explicit = explicit.reader();
            let mut list = explicit.expect(SEQUENCE, "certificates")?.reader();
            explicit.finish()?;
            while !list.is_empty() {
                // The responder's own is needed; others may be of kinds not known here.
                certificates.extend(Certificate::from_der(list.next()?.raw));
            }
        }
        outer.finish()?;

        let mut fields = tbs.reader();
        if let Some(version) = fields.optional(context(0))? {
            let mut inner = version.reader();
            if inner.expect(INTEGER, "version")?.unsigned()? != 0 {
                return Err(version.error("an OCSP response version other than 1"));
            }
            inner.finish()?;
        }
        let responder = ResponderId::read(&fields.next()?)?;
        let produced_at = moment(&fields.next()?)?;
        let mut list = fields.expect(SEQUENCE, "responses")?.reader();
        let mut singles = Vec::new();
        while !list.is_empty() {
            singles.push(Single::read(&list.expect(SEQUENCE, "single response")?)?);
        }
        let mut nonce = None;
        let mut unknown_critical = false;
        for extension in extensions(fields.optional(context(1))?)? {
            if extension.oid.as_bytes() == oid::OCSP_NONCE {
                nonce = Some(read_nonce(&extension.value)?);
            } else {
                unknown_critical |= extension.critical;
            }
        }
        fields.finish()?;
        Ok(Self {
            tbs: tbs.range(),
            responder,
            produced_at,
            singles,
            nonce,
            unknown_critical,
            algorithm,
            signature: signature_end - signature_octets.len()..signature_end,
            certificates,
            der: der.to_vec(),
        })
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }
}

/// The octets inside the extension's OCTET STRING, which older responders put there bare.
fn read_nonce(value: &Tlv<'_>) -> Result<Vec<u8>, ParseError> {
    let mut reader = value.reader();
    let inner = reader.expect(OCTET_STRING, "nonce");
    Ok(match (inner, reader.finish()) {
        (Ok(inner), Ok(())) => inner.value.to_vec(),
        _ => value.value.to_vec(),
    })
}

fn extensions(explicit: Option<Tlv<'_>>) -> Result<Vec<RawExtension<'_>>, ParseError> {
    let Some(explicit) = explicit else { return Ok(Vec::new()) };
    let mut inner = explicit.reader();
    let list = inner.expect(SEQUENCE, "extensions")?;
    inner.finish()?;
    RawExtension::read_all(list.reader())
}

impl ResponderId {
    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut inner = tlv.reader();
        let content = inner.next()?;
        inner.finish()?;
        match tlv.tag {
            tag if tag == context(1) => Ok(Self::Name(Name::read(&content)?)),
            tag if tag == context(2) => {
                Ok(Self::Key(content.expect(OCTET_STRING, "key hash")?.value.to_vec()))
            }
            tag => Err(tlv.error(format!("a responder id with tag {tag:#04x}"))),
        }
    }

    /// This certificate is the one that the answer says it was signed with.
    pub(crate) fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => *name == certificate.subject,
            Self::Key(hash) => *hash == digest::digest(SHA1, certificate.key_bits()).as_ref(),
        }
    }
}

/// Times of OCSP are GeneralizedTime, whatever the year (RFC 6960 4.2.1).
fn moment(tlv: &Tlv<'_>) -> Result<i64, ParseError> {
    time::read(&tlv.expect(GENERALIZED_TIME, "time")?)
}

impl Single {
    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.reader();
        let id = CertId::read(&fields.expect(SEQUENCE, "certificate id")?)?;
        let status = fields.next()?;
        let status = match status.tag {
            tag if tag == context_primitive(0) && status.value.is_empty() => Status::Good,
            tag if tag == context(1) => {
                let mut inner = status.reader();
                let since = moment(&inner.next()?)?;
                let mut reason = None;
                if let Some(explicit) = inner.optional(context(0))? {
                    let mut explicit = explicit.reader();
                    let code = explicit.expect(ENUMERATED, "revocation reason")?;
                    explicit.finish()?;
                    match code.value {
                        [code] => reason = Some(*code),
                        _ => return Err(code.error("a malformed revocation reason")),
                    }
                }
                inner.finish()?;
                Status::Revoked(Revocation { since, reason })
            }
            tag if tag == context_primitive(2) && status.value.is_empty() => Status::Unknown,
            tag => return Err(status.error(format!("a certificate status with tag {tag:#04x}"))),
        };
        let this_update = moment(&fields.next()?)?;
        let next_update = match fields.optional(context(0))? {
            Some(explicit) => {
                let mut inner = explicit.reader();
                let time = moment(&inner.next()?)?;
                inner.finish()?;
                Some(time)
            }
            None => None,
        };
        let list = extensions(fields.optional(context(1))?)?;
        fields.finish()?;
        let unknown_critical = list.iter().any(|extension| extension.critical);
        Ok(Self { id, status, this_update, next_update, unknown_critical })
    }
}

const SHA1: &digest::Algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;

impl CertId {
    fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.reader();
        let mut algorithm = fields.expect(SEQUENCE, "hash algorithm")?.reader();
        let hash = Oid::read(&algorithm.next()?)?;
        if !algorithm.is_empty() {
            algorithm.next()?;
        }
        algorithm.finish()?;
        let name_hash = fields.expect(OCTET_STRING, "issuer name hash")?.value.to_vec();
        let key_hash = fields.expect(OCTET_STRING, "issuer key hash")?.value.to_vec();
        let serial = fields.expect(INTEGER, "serial number")?.integer()?.to_vec();
        fields.finish()?;
        Ok(Self { hash, name_hash, key_hash, serial })
    }

    /// The one of this certificate by this issuer, hashed with SHA-1: what every responder knows
    /// (RFC 5019 2.1.1). The hash only names; nothing rests on its strength.
    fn of(certificate: &Certificate, issuer: &Certificate) -> Self {
        let hash = |bytes: &[u8]| digest::digest(SHA1, bytes).as_ref().to_vec();
        Self {
            hash: Oid::new(oid::SHA1),
            name_hash: hash(certificate.issuer_der()),
            key_hash: hash(issuer.key_bits()),
            serial: certificate.serial().to_vec(),
        }
    }
}

/// The certificate that answers are looked through for, with the hashes of its issuer by each
/// algorithm, made once: an answer may name a number as often as it likes.
pub(crate) struct Sought<'a> {
    certificate: &'a Certificate,
    issuer: &'a Certificate,
    hashes: [OnceCell<(digest::Digest, digest::Digest)>; 4],
}

impl<'a> Sought<'a> {
    pub(crate) fn new(certificate: &'a Certificate, issuer: &'a Certificate) -> Self {
        Self { certificate, issuer, hashes: Default::default() }
    }

    /// This is the one.
    pub(crate) fn is(&self, id: &CertId) -> bool {
        if id.serial != self.certificate.serial() {
            return false;
        }
        let (index, algorithm) = match id.hash.as_bytes() {
            oid::SHA1 => (0, SHA1),
            oid::SHA256 => (1, &digest::SHA256),
            oid::SHA384 => (2, &digest::SHA384),
            oid::SHA512 => (3, &digest::SHA512),
            _ => return false,
        };
        let (name, key) = self.hashes[index].get_or_init(|| {
            let hash = |bytes: &[u8]| digest::digest(algorithm, bytes);
            (hash(self.certificate.issuer_der()), hash(self.issuer.key_bits()))
        });
        id.name_hash == name.as_ref() && id.key_hash == key.as_ref()
    }
}

/// The DER of an OCSPRequest for one certificate (RFC 6960 4.1.1), with a nonce of 1 to 128 octets
/// (RFC 9654); an empty nonce is left out.
pub fn ocsp_request(certificate: &Certificate, issuer: &Certificate, nonce: &[u8]) -> Vec<u8> {
    let id = CertId::of(certificate, issuer);
    let algorithm = tlv(SEQUENCE, &[tlv(OID, &[id.hash.as_bytes()]), tlv(0x05, &[b""])]);
    let id = tlv(
        SEQUENCE,
        &[
            algorithm,
            tlv(OCTET_STRING, &[&id.name_hash]),
            tlv(OCTET_STRING, &[&id.key_hash]),
            tlv(INTEGER, &[&id.serial]),
        ],
    );
    let list = tlv(SEQUENCE, &[tlv(SEQUENCE, &[id])]);
    let mut parts = vec![list];
    if !nonce.is_empty() {
        let value = tlv(OCTET_STRING, &[tlv(OCTET_STRING, &[nonce])]);
        let extension = tlv(SEQUENCE, &[tlv(OID, &[oid::OCSP_NONCE]), value]);
        parts.push(tlv(context(2), &[tlv(SEQUENCE, &[extension])]));
    }
    tlv(SEQUENCE, &[tlv(SEQUENCE, &parts)])
}

/// Writes one value of less than 64 KiB, which is all that a request comes to.
fn tlv<P: AsRef<[u8]>>(tag: u8, parts: &[P]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    for part in parts {
        out.extend_from_slice(part.as_ref());
    }
    out
}
