//! Certificate revocation lists (RFC 5280 section 5), read once and indexed by serial number.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::asn1::{
    BIT_STRING, ENUMERATED, GENERALIZED_TIME, INTEGER, OCTET_STRING, Oid, ParseError, Reader,
    SEQUENCE, Tlv, context, context_primitive,
};
use crate::cert::{early_generalized, sha256};
use crate::extensions::{Access, Quirk, RawExtension};
use crate::name::{AuthorityKeyId, GeneralName, Name, PointName};
use crate::sig::SignatureAlgorithm;
use crate::{oid, time};

/// More than any list in use.
pub const MAX_CRL: usize = 64 * 1024 * 1024;
/// The most octets of a list's issuer, of its extensions, and of one entry: what is read of them
/// takes many times that. Of the entries there may be as many as fit.
const MAX_PART: usize = 256 * 1024;
/// An entry of a number and a time takes so many octets at least.
const MIN_ENTRY: usize = 20;

/// A parsed CRL. Nothing about it has been verified.
#[derive(Clone, Debug)]
pub struct Crl {
    der: Vec<u8>,
    tbs: Range<usize>,
    fingerprint: [u8; 32],
    pub(crate) issuer: Name,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) algorithms_agree: bool,
    signature: Range<usize>,
    number: Option<Vec<u8>>,
    pub(crate) authority_key_id: AuthorityKeyId,
    pub(crate) point: Option<IssuingPoint>,
    /// BaseCRLNumber: this is a delta CRL (RFC 5280 5.2.4).
    base: Option<Vec<u8>>,
    /// Critical extensions, of the list or an entry, that are not processed here.
    pub(crate) unknown_critical: Vec<Oid>,
    /// Sorted by serial number.
    entries: Vec<Entry>,
    /// Digests of the issuers that entries of an indirect CRL name.
    entry_issuers: Vec<[u8; 32]>,
    /// The first thing found that RFC 5280 section 5 forbids issuers to write.
    pub(crate) quirk: Option<Quirk>,
}

/// IssuingDistributionPoint (RFC 5280 5.2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IssuingPoint {
    pub(crate) name: Option<PointName>,
    pub(crate) only_users: bool,
    pub(crate) only_cas: bool,
    pub(crate) reasons: Option<u16>,
    pub(crate) indirect: bool,
    pub(crate) only_attributes: bool,
}

/// Small, since there may be millions: a list has less than 2^32 octets.
#[derive(Clone, Copy, Debug)]
struct Entry {
    since: i64,
    /// Where the serial number stands in the list.
    start: u32,
    length: u32,
    /// One more than the index into `entry_issuers`; none means the issuer of the list.
    issuer: Option<NonZeroU32>,
    reason: Option<u8>,
}

impl Entry {
    fn serial<'a>(&self, der: &'a [u8]) -> &'a [u8] {
        &der[self.start as usize..][..self.length as usize]
    }
}

/// What a CRL says of a certificate it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Seconds since 1970.
    pub since: i64,
    /// CRLReason (RFC 5280 5.3.1), where the entry names one.
    pub reason: Option<u8>,
}

impl Revocation {
    /// certificateHold: the only reason that may end.
    pub(crate) const HOLD: u8 = 6;
    /// removeFromCRL: in a delta, no longer revoked.
    pub(crate) const REMOVED: u8 = 8;

    /// The reason by its name in the RFC.
    pub fn reason_name(&self) -> &'static str {
        match self.reason {
            Some(1) => "keyCompromise",
            Some(2) => "cACompromise",
            Some(3) => "affiliationChanged",
            Some(4) => "superseded",
            Some(5) => "cessationOfOperation",
            Some(6) => "certificateHold",
            Some(8) => "removeFromCRL",
            Some(9) => "privilegeWithdrawn",
            Some(10) => "aACompromise",
            _ => "unspecified",
        }
    }
}

impl Crl {
    /// Reads one DER CRL and nothing after it; at most [`MAX_CRL`] bytes.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > MAX_CRL {
            let what = format!("a CRL of {} bytes; the limit is {MAX_CRL}", der.len());
            return Err(ParseError::new(MAX_CRL, what));
        }
        let mut input = Reader::new(der);
        let outer = input.expect(SEQUENCE, "certificate list")?;
        input.finish()?;
        let mut outer = outer.reader();
        let tbs = outer.expect(SEQUENCE, "tbsCertList")?;
        let outer_algorithm = small(outer.expect(SEQUENCE, "signatureAlgorithm")?)?;
        let signature = outer.expect(BIT_STRING, "signature")?;
        outer.finish()?;
        let signature_octets = signature.bit_octets()?;
        let signature_end = signature.offset + signature.raw.len();

        let mut fields = tbs.reader();
        let version = match fields.optional(INTEGER)? {
            None => 1,
            Some(number) if number.unsigned()? == 1 => 2,
            Some(number) => return Err(number.error("a CRL version other than 2")),
        };
        let inner_algorithm = fields.expect(SEQUENCE, "signature algorithm")?;
        let issuer = Name::read(&small(fields.expect(SEQUENCE, "issuer")?)?)?;
        let this_time = fields.next()?;
        let this_update = time::read(&this_time)?;
        let next_time = match fields.peek() {
            Some(crate::asn1::UTC_TIME | crate::asn1::GENERALIZED_TIME) => Some(fields.next()?),
            _ => None,
        };
        let next_update = next_time.as_ref().map(time::read).transpose()?;
        let mut crl = Self {
            tbs: tbs.range(),
            fingerprint: sha256(der),
            issuer,
            this_update,
            next_update,
            algorithm: SignatureAlgorithm::read(&outer_algorithm)?,
            algorithms_agree: outer_algorithm.raw == inner_algorithm.raw,
            signature: signature_end - signature_octets.len()..signature_end,
            number: None,
            authority_key_id: AuthorityKeyId::default(),
            point: None,
            base: None,
            unknown_critical: Vec::new(),
            entries: Vec::new(),
            entry_issuers: Vec::new(),
            quirk: None,
            der: Vec::new(),
        };
        crl.note(version == 1, "5.1.2.1", "a list of version 1");
        crl.note(
            early_generalized(&this_time) || next_time.as_ref().is_some_and(early_generalized),
            "5.1.2.4",
            "a GeneralizedTime before 2050",
        );
        crl.note(crl.issuer.is_empty(), "5.1.2.3", "an issuer without a name");
        crl.note(next_update.is_none(), "5.1.2.5", "no nextUpdate");
        let early = next_update.is_some_and(|next| next < this_update);
        crl.note(early, "5.1.2.5", "a nextUpdate before thisUpdate");
        if let Some(list) = fields.optional(SEQUENCE)? {
            crl.note(list.value.is_empty(), "5.1.2.6", "a list of entries without one");
            crl.read_entries(&list, version)?;
        }
        if let Some(explicit) = fields.optional(context(0))? {
            if version != 2 {
                return Err(explicit.error("extensions in a version 1 CRL"));
            }
            let mut inner = explicit.reader();
            let list = small(inner.expect(SEQUENCE, "CRL extensions")?)?;
            inner.finish()?;
            crl.note(list.value.is_empty(), "5.1.2.7", "a list of extensions without one");
            crl.read_extensions(list.reader())?;
        }
        fields.finish()?;
        let key = |entry: &Entry| (entry.serial(der), entry.start);
        crl.entries.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        crl.der = der.to_vec();
        crl.note_omissions();
        Ok(crl)
    }

    /// Reads all CRLs of a PEM text, or the one of a DER file.
    pub fn from_pem_or_der(input: &[u8]) -> Result<Vec<Self>, ParseError> {
        Self::each_from_pem_or_der(input).into_iter().collect()
    }

    /// The same, each by itself. There is at least one, or an error that says why not.
    pub fn each_from_pem_or_der(input: &[u8]) -> Vec<Result<Self, ParseError>> {
        crate::pem::each(input, &["X509 CRL", "CRL"], Self::from_der)
    }

    /// Who signed it, it says.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// When it was made, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.this_update
    }

    /// When the next one is due at the latest, in seconds since 1970.
    pub fn next_update(&self) -> Option<i64> {
        self.next_update
    }

    /// The octets of its cRLNumber, big-endian.
    pub fn number(&self) -> Option<&[u8]> {
        self.number.as_deref()
    }

    /// Lists changes only.
    pub(crate) fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// Lists the changes since `complete`, or since one before it, and `complete` is not newer
    /// (RFC 5280 5.2.4).
    pub(crate) fn updates(&self, complete: &Self) -> bool {
        // Longer numbers are greater, since none has leading zeros but for the sign.
        let size = |n: &[u8]| (n.len(), n.to_vec());
        match (&self.base, &self.number, &complete.number) {
            (Some(base), Some(own), Some(other)) => {
                size(base) <= size(other) && size(own) >= size(other)
            }
            _ => false,
        }
    }

    /// How many certificates it lists.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Lists none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// What the list says of this serial number of this issuer. `effort` counts the entries looked
    /// at, of which an indirect list may have many with one number.
    pub(crate) fn find(
        &self,
        issuer: &Name,
        serial: &[u8],
        effort: &mut usize,
    ) -> Option<Revocation> {
        *effort += 1 + issuer.len() / 64;
        let start = self.entries.partition_point(|entry| entry.serial(&self.der) < serial);
        let mut of_number = self.entries[start..]
            .iter()
            .take_while(|entry| entry.serial(&self.der) == serial)
            .inspect(|_| *effort += 1);
        let mut known = None;
        of_number
            .find(|entry| {
                // Hashed once, however many entries have this number.
                let (digest, own) =
                    known.get_or_insert_with(|| (issuer.digest(), self.issuer == *issuer));
                match entry.issuer {
                    Some(index) => self.entry_issuers[index.get() as usize - 1] == *digest,
                    None => *own,
                }
            })
            .map(|entry| Revocation { since: entry.since, reason: entry.reason })
    }

    pub(crate) fn tbs(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }

    fn note(&mut self, found: bool, rfc: &'static str, what: &'static str) {
        if found && self.quirk.is_none() {
            self.quirk = Some(Quirk { rfc, what });
        }
    }

    /// What the whole list should have had, or not have had.
    fn note_omissions(&mut self) {
        self.note(self.number.is_none(), "5.2.3", "no CRL number");
        let odd = |n: &[u8]| n.len() > 20 || n.first().is_some_and(|top| top & 0x80 != 0);
        let number = self.number.as_deref().is_some_and(odd);
        self.note(number, "5.2.3", "a CRL number that is negative or of more than 20 octets");
        let base = self.base.as_deref().is_some_and(odd);
        self.note(base, "5.2.4", "a base number that is negative or of more than 20 octets");
        let key_id = self.authority_key_id.key_id.is_some();
        self.note(!key_id, "5.2.1", "no authority key identifier with a key identifier");
        let twice = self.entries.windows(2).any(|pair| {
            let [a, b] = pair else { return false };
            a.issuer == b.issuer && a.serial(&self.der) == b.serial(&self.der)
        });
        self.note(twice, "5.1.2.6", "the same serial number twice");
        let removed = |entry: &Entry| entry.reason == Some(Revocation::REMOVED);
        let removes = !self.is_delta() && self.entries.iter().any(removed);
        self.note(removes, "5.3.1", "removeFromCRL in a complete list");
        let unknown = |entry: &Entry| entry.reason.is_some_and(|code| code == 7 || code > 10);
        self.note(self.entries.iter().any(unknown), "5.3.1", "a reason that there is not");
        let indirect = self.point.as_ref().is_some_and(|point| point.indirect);
        let others = !indirect && !self.entry_issuers.is_empty();
        self.note(others, "5.3.3", "entries of other issuers in a list that is not indirect");
    }

    fn read_entries(&mut self, whole: &Tlv<'_>, version: u8) -> Result<(), ParseError> {
        let mut list = whole.reader();
        let mut count = 0;
        while !list.is_empty() {
            small(list.expect(SEQUENCE, "revoked certificate")?)?;
            count += 1;
        }
        self.entries.reserve_exact(count.min(whole.value.len() / MIN_ENTRY));
        let mut list = whole.reader();
        let mut issuer = None;
        while !list.is_empty() {
            let entry = list.expect(SEQUENCE, "revoked certificate")?;
            let mut fields = entry.reader();
            let serial = fields.expect(INTEGER, "serial number")?;
            serial.integer()?;
            let time = fields.next()?;
            let since = time::read(&time)?;
            self.note(early_generalized(&time), "5.1.2.6", "a GeneralizedTime before 2050");
            let mut reason = None;
            if let Some(extensions) = fields.optional(SEQUENCE)? {
                if version != 2 {
                    return Err(extensions.error("entry extensions in a version 1 CRL"));
                }
                let none = extensions.value.is_empty();
                self.note(none, "5.1.2.6", "a list of entry extensions without one");
                for extension in RawExtension::read_all(extensions.reader())? {
                    let critical = match extension.oid.as_bytes() {
                        oid::CERTIFICATE_ISSUER => Some(true),
                        oid::CRL_REASON | oid::INVALIDITY_DATE => Some(false),
                        _ => None,
                    };
                    let wrong = critical.is_some_and(|wanted| wanted != extension.critical);
                    self.note(wrong, "5.3", "an entry extension of the wrong criticality");
                    match extension.oid.as_bytes() {
                        oid::CRL_REASON => {
                            let code = only(&extension.value)?.expect(ENUMERATED, "CRL reason")?;
                            match code.value {
                                [code] => reason = Some(*code),
                                _ => return Err(code.error("a malformed CRL reason")),
                            }
                        }
                        oid::INVALIDITY_DATE => {
                            let read = only(&extension.value)
                                .and_then(|date| date.expect(GENERALIZED_TIME, "date"))
                                .and_then(|date| time::read(&date));
                            self.note(read.is_err(), "5.3.2", "an invalidity date that is none");
                        }
                        oid::CERTIFICATE_ISSUER => {
                            issuer = self.entry_issuer(&only(&extension.value)?)?;
                        }
                        _ if extension.critical => self.note_unknown(extension.oid),
                        _ => {}
                    }
                }
            }
            fields.finish()?;
            let too_far = |_| serial.error("beyond what a list may be");
            let start = u32::try_from(serial.value_offset()).map_err(too_far)?;
            let length = u32::try_from(serial.value.len()).map_err(too_far)?;
            self.entries.push(Entry { since, start, length, issuer, reason });
        }
        Ok(())
    }

    /// The issuer that this entry and those after it are about (RFC 5280 5.3.3).
    fn entry_issuer(&mut self, names: &Tlv<'_>) -> Result<Option<NonZeroU32>, ParseError> {
        let mut list = names.expect(SEQUENCE, "certificate issuer")?.reader();
        let mut found = None;
        while !list.is_empty() {
            // One after the other, since there may be thousands of no use.
            if let GeneralName::Directory(name) = GeneralName::read(&list.next()?)? {
                found = found.or_else(|| Some(name.digest()));
            }
        }
        let digest =
            found.ok_or_else(|| names.error("a certificate issuer without a directory name"))?;
        if self.entry_issuers.last() != Some(&digest) {
            self.entry_issuers.push(digest);
        }
        Ok(u32::try_from(self.entry_issuers.len()).ok().and_then(NonZeroU32::new))
    }

    fn note_unknown(&mut self, oid: Oid) {
        if self.unknown_critical.len() < 8 {
            self.unknown_critical.push(oid);
        }
    }

    fn read_extensions(&mut self, list: Reader<'_>) -> Result<(), ParseError> {
        let all = RawExtension::read_all(list)?;
        let is_delta = all.iter().any(|one| one.oid.as_bytes() == oid::DELTA_CRL_INDICATOR);
        for extension in all {
            let critical = match extension.oid.as_bytes() {
                oid::ISSUING_DISTRIBUTION_POINT | oid::DELTA_CRL_INDICATOR => Some(true),
                oid::AUTHORITY_KEY_ID
                | oid::CRL_NUMBER
                | oid::FRESHEST_CRL
                | oid::AUTHORITY_INFO_ACCESS => Some(false),
                _ => None,
            };
            let wrong = critical.is_some_and(|wanted| wanted != extension.critical);
            self.note(wrong, "5.2", "an extension of the wrong criticality");
            match extension.oid.as_bytes() {
                oid::AUTHORITY_KEY_ID => {
                    self.authority_key_id = AuthorityKeyId::read(&only(&extension.value)?)?;
                }
                oid::CRL_NUMBER => {
                    let number = only(&extension.value)?.expect(INTEGER, "CRL number")?;
                    self.number = Some(number.integer()?.to_vec());
                }
                oid::ISSUING_DISTRIBUTION_POINT => {
                    let (point, fault) = IssuingPoint::read(&only(&extension.value)?)?;
                    self.note(fault.is_some(), "5.2.5", fault.unwrap_or_default());
                    self.point = Some(point);
                }
                oid::DELTA_CRL_INDICATOR => {
                    let base = only(&extension.value)?.expect(INTEGER, "base CRL number")?;
                    self.base = Some(base.integer()?.to_vec());
                }
                oid::ISSUER_ALT_NAME => {}
                oid::FRESHEST_CRL if is_delta => {
                    self.note(true, "5.2.6", "a freshest CRL in a delta");
                }
                oid::AUTHORITY_INFO_ACCESS => {
                    let access = only(&extension.value).and_then(|tlv| Access::read_all(&tlv));
                    let issuers =
                        |access: &Access| access.method.as_bytes() == oid::ACCESS_CA_ISSUERS;
                    let wrong = !access.is_ok_and(|all| all.iter().all(issuers));
                    self.note(wrong, "5.2.7", "an access method beside caIssuers");
                }
                _ if extension.critical => self.note_unknown(extension.oid),
                _ => {}
            }
        }
        Ok(())
    }
}

impl IssuingPoint {
    /// The point, and what 5.2.5 forbids issuers to say in it.
    fn read(tlv: &Tlv<'_>) -> Result<(Self, Option<&'static str>), ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "issuing distribution point")?.reader();
        let mut out = Self::default();
        let mut fault =
            fields.is_empty().then_some("an issuing distribution point that says nothing");
        if let Some(outer) = fields.optional(context(0))? {
            out.name = Some(PointName::read(&outer)?);
        }
        let mut flag = |fields: &mut Reader<'_>, n| -> Result<bool, ParseError> {
            let set =
                fields.optional(context_primitive(n))?.map(|tlv| tlv.boolean()).transpose()?;
            if set == Some(false) {
                // X.690 11.5.
                fault = fault.or(Some("a default written out"));
            }
            Ok(set.unwrap_or(false))
        };
        out.only_users = flag(&mut fields, 1)?;
        out.only_cas = flag(&mut fields, 2)?;
        if let Some(reasons) = fields.optional(context_primitive(3))? {
            out.reasons = Some(reasons.flags()?);
        }
        out.indirect = flag(&mut fields, 4)?;
        out.only_attributes = flag(&mut fields, 5)?;
        fields.finish()?;
        if u8::from(out.only_users) + u8::from(out.only_cas) + u8::from(out.only_attributes) > 1 {
            fault = Some("a list of two kinds of certificates alone");
        } else if out.only_attributes {
            fault = Some("a list of attribute certificates");
        }
        Ok((out, fault))
    }
}

/// Refuses what would take many times its octets once it is read.
fn small(tlv: Tlv<'_>) -> Result<Tlv<'_>, ParseError> {
    match tlv.raw.len() {
        0..=MAX_PART => Ok(tlv),
        length => Err(tlv.error(format!(
            "a part of a CRL of {length} bytes; the limit is {MAX_PART} for its issuer, its \
             extensions and each entry"
        ))),
    }
}

/// The one value inside an extension's OCTET STRING.
fn only<'a>(octets: &Tlv<'a>) -> Result<Tlv<'a>, ParseError> {
    let mut reader = octets.expect(OCTET_STRING, "extension value")?.reader();
    let value = reader.next()?;
    reader.finish()?;
    Ok(value)
}
