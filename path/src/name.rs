//! Distinguished names and general names, compared as RFC 5280 section 7 says.

mod attribute;

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest;

use crate::asn1::{
    OCTET_STRING, Oid, ParseError, Reader, SEQUENCE, SET, Tlv, context, context_primitive,
};
use crate::cert::Certificate;
use crate::oid;

/// A distinguished name (RFC 5280 4.1.2.4).
///
/// Two names are equal when their relative names are, in order; a relative name is a set of
/// attributes. String values are compared without regard to their string type, to case and to the
/// amount of white space (7.1); other values byte for byte.
#[derive(Clone)]
pub struct Name {
    /// One canonical form per relative name.
    rdns: Vec<Vec<u8>>,
    shown: Vec<(Oid, String)>,
    /// The first attribute that is not of the type that RFC 5280 gives it.
    fault: Option<&'static str>,
}

/// More than any name in use. An attribute of nine octets takes twenty times that once it is read.
const MAX_ATTRIBUTES: usize = 256;

impl Name {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut name = Self { rdns: Vec::new(), shown: Vec::new(), fault: None };
        let mut sequence = tlv.expect(SEQUENCE, "name")?.reader();
        while !sequence.is_empty() {
            name.push(&sequence.expect(SET, "relative distinguished name")?)?;
        }
        Ok(name)
    }

    /// Adds the relative name whose attributes are the members of this SET.
    pub(crate) fn push(&mut self, set: &Tlv<'_>) -> Result<(), ParseError> {
        let mut set_reader = set.reader();
        let mut attributes = Vec::new();
        while !set_reader.is_empty() {
            if self.shown.len() == MAX_ATTRIBUTES {
                return Err(set.error(format!("a name of more than {MAX_ATTRIBUTES} attributes")));
            }
            let mut attribute = set_reader.expect(SEQUENCE, "attribute")?.reader();
            let kind = Oid::read(&attribute.next()?)?;
            let value = attribute.next()?;
            attribute.finish()?;
            let text = text(&value);
            self.fault = self.fault.or_else(|| attribute::fault(&kind, &value, text.as_deref()));
            attributes.push(canonical(&kind, &value, text.as_deref()));
            self.shown.push((kind, text.unwrap_or_else(|| format!("#{}", hex::encode(value.raw)))));
        }
        if attributes.is_empty() {
            return Err(set.error("an empty relative distinguished name"));
        }
        attributes.sort_unstable();
        self.rdns.push(attributes.concat());
        Ok(())
    }

    /// A name without attributes.
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// What RFC 5280 4.1.2.4 and appendix A do not allow in it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// SHA-256 over what two equal names have in common, and no others.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for rdn in &self.rdns {
            context.update(&(rdn.len() as u64).to_be_bytes());
            context.update(rdn);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// Its size in octets, about.
    pub(crate) fn len(&self) -> usize {
        self.rdns.iter().map(Vec::len).sum()
    }

    /// All values of the attribute with this object identifier (its value octets), in order.
    pub fn attributes<'a>(&'a self, kind: &'a [u8]) -> impl Iterator<Item = &'a str> {
        self.shown.iter().filter(move |(k, _)| k.as_bytes() == kind).map(|(_, v)| v.as_str())
    }

    /// All common names, in order, as text.
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.attributes(oid::COMMON_NAME)
    }

    /// Whether this name lies in the subtree below `base` (RFC 5280 7.1).
    pub(crate) fn is_within(&self, base: &Name) -> bool {
        self.rdns.starts_with(&base.rdns)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.rdns == other.rdns
    }
}

impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.rdns.hash(state);
    }
}

/// For people: `CN=alice,O=Example`, most specific first, control characters escaped.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, value)) in self.shown.iter().rev().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match kind.as_bytes() {
                oid::COMMON_NAME => f.write_str("CN")?,
                oid::COUNTRY => f.write_str("C")?,
                oid::LOCALITY => f.write_str("L")?,
                oid::STATE => f.write_str("ST")?,
                oid::ORGANIZATION => f.write_str("O")?,
                oid::ORGANIZATIONAL_UNIT => f.write_str("OU")?,
                oid::USER_ID => f.write_str("UID")?,
                oid::DOMAIN_COMPONENT => f.write_str("DC")?,
                oid::EMAIL_ADDRESS => f.write_str("emailAddress")?,
                _ => write!(f, "{kind}")?,
            }
            f.write_str("=")?;
            for c in value.chars() {
                match c {
                    ',' | '+' | '"' | '\\' | '<' | '>' | ';' => write!(f, "\\{c}")?,
                    c if c.is_control() => write!(f, "{}", c.escape_default())?,
                    c => write!(f, "{c}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text of a value of one of the ASN.1 string types.
fn text(value: &Tlv<'_>) -> Option<String> {
    match value.tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(value.value.to_vec()).ok(),
        // TeletexString: read as Latin-1, as everybody does.
        0x14 => Some(value.value.iter().map(|octet| char::from(*octet)).collect()),
        // UniversalString.
        0x1c if value.value.len().is_multiple_of(4) => value
            .value
            .chunks_exact(4)
            .map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]])))
            .collect(),
        // BMPString.
        0x1e if value.value.len().is_multiple_of(2) => {
            let units = value.value.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// Length-prefixed type and folded value, so that no two different attributes look alike.
fn canonical(kind: &Oid, value: &Tlv<'_>, text: Option<&str>) -> Vec<u8> {
    let (marker, folded) = match text {
        Some(text) => (b't', fold(text).into_bytes()),
        None => (b'r', value.raw.to_vec()),
    };
    let mut out = Vec::with_capacity(kind.as_bytes().len() + folded.len() + 9);
    for part in [kind.as_bytes(), &folded] {
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
    }
    out.push(marker);
    out
}

/// A string as it is compared: prepared by RFC 4518 (mapped, case folded, NFKC), without white space
/// at the ends, with single spaces within (its section 2.6.1, in short). What the preparation
/// prohibits is compared as it stands.
pub(crate) fn fold(text: &str) -> String {
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let prepared = if plain {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        match stringprep::x520prep(text, true) {
            Ok(prepared) => prepared,
            Err(_) => return text.to_owned(),
        }
    };
    let mut out = String::with_capacity(prepared.len());
    for word in prepared.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// One GeneralName (RFC 5280 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralName {
    /// otherName: the type and the DER of the value.
    Other(Oid, Vec<u8>),
    /// rfc822Name.
    Email(String),
    /// dNSName.
    Dns(String),
    /// directoryName.
    Directory(Name),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress: 4 or 16 octets, with a mask in name constraints 8 or 32.
    Ip(Vec<u8>),
    /// A form that is only recognised, by its tag: x400Address, ediPartyName, registeredID.
    Unsupported(u8, Vec<u8>),
}

impl GeneralName {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        const OTHER: u8 = context(0);
        const EMAIL: u8 = context_primitive(1);
        const DNS: u8 = context_primitive(2);
        const X400: u8 = context(3);
        const DIRECTORY: u8 = context(4);
        const EDI: u8 = context(5);
        const URI: u8 = context_primitive(6);
        const IP: u8 = context_primitive(7);
        const REGISTERED: u8 = context_primitive(8);
        let ia5 = || match std::str::from_utf8(tlv.value) {
            Ok(text) if text.is_ascii() => Ok(text.to_owned()),
            _ => Err(tlv.error("an IA5String with octets beyond ASCII")),
        };
        Ok(match tlv.tag {
            OTHER => {
                let mut fields = tlv.reader();
                let kind = Oid::read(&fields.next()?)?;
                let value = fields.expect(context(0), "value of an otherName")?;
                fields.finish()?;
                Self::Other(kind, value.value.to_vec())
            }
            EMAIL => Self::Email(ia5()?),
            DNS => Self::Dns(ia5()?),
            URI => Self::Uri(ia5()?),
            DIRECTORY => {
                let mut inner = tlv.reader();
                let name = Name::read(&inner.next()?)?;
                inner.finish()?;
                Self::Directory(name)
            }
            IP => Self::Ip(tlv.value.to_vec()),
            X400 | EDI | REGISTERED => Self::Unsupported(tlv.tag & 0x1f, tlv.value.to_vec()),
            tag => return Err(tlv.error(format!("a general name with tag {tag:#04x}"))),
        })
    }

    /// The members of GeneralNames, given its content.
    pub(crate) fn read_all(mut names: Reader<'_>) -> Result<Vec<Self>, ParseError> {
        /// More than any list in use. A name of two octets takes many times that once it is read.
        const MAX_NAMES: usize = 65_536;
        let mut out = Vec::new();
        if names.is_empty() {
            return Err(names.error("an empty list of general names"));
        }
        while !names.is_empty() {
            if out.len() == MAX_NAMES {
                return Err(names.error(format!("more than {MAX_NAMES} general names")));
            }
            out.push(Self::read(&names.next()?)?);
        }
        Ok(out)
    }

    /// Its size in octets, about.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Other(_, value) | Self::Unsupported(_, value) | Self::Ip(value) => value.len(),
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => text.len(),
            Self::Directory(name) => name.len(),
        }
    }

    /// The name of the form, as in the RFC.
    pub fn form(&self) -> &'static str {
        match self {
            Self::Other(..) => "otherName",
            Self::Email(_) => "rfc822Name",
            Self::Dns(_) => "dNSName",
            Self::Directory(_) => "directoryName",
            Self::Uri(_) => "uniformResourceIdentifier",
            Self::Ip(_) => "iPAddress",
            Self::Unsupported(3, _) => "x400Address",
            Self::Unsupported(5, _) => "ediPartyName",
            Self::Unsupported(..) => "registeredID",
        }
    }
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.form())?;
        match self {
            Self::Other(kind, value) => write!(f, "{kind} #{}", hex::encode(value)),
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => {
                write!(f, "{}", text.escape_default())
            }
            Self::Directory(name) => write!(f, "{name}"),
            Self::Ip(octets) => match <[u8; 4]>::try_from(octets.as_slice()) {
                Ok(v4) => write!(f, "{}", std::net::Ipv4Addr::from(v4)),
                Err(_) => match <[u8; 16]>::try_from(octets.as_slice()) {
                    Ok(v6) => write!(f, "{}", std::net::Ipv6Addr::from(v6)),
                    Err(_) => write!(f, "#{}", hex::encode(octets)),
                },
            },
            Self::Unsupported(_, value) => write!(f, "#{}", hex::encode(value)),
        }
    }
}

/// DistributionPointName (RFC 5280 4.2.1.13), shared by certificates and CRLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PointName {
    Full(Vec<GeneralName>),
    /// A relative name, which is appended to the name of the CRL's issuer.
    Relative(Vec<u8>),
}

impl PointName {
    /// Reads the content of `[0] DistributionPointName`.
    pub(crate) fn read(outer: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut reader = outer.reader();
        let choice = reader.next()?;
        reader.finish()?;
        if choice.tag == context(0) {
            Ok(Self::Full(GeneralName::read_all(choice.reader())?))
        } else if choice.tag == context(1) {
            // Keep it as the SET it stands for, so that it can be read onto any name.
            let mut set = choice.raw.to_vec();
            set[0] = SET;
            Ok(Self::Relative(set))
        } else {
            Err(choice.error("an unknown form of distribution point name"))
        }
    }

    /// Its size, in units of one small comparison.
    pub(crate) fn effort(&self, issuer: &Name) -> usize {
        match self {
            Self::Full(names) => names.iter().map(|name| 1 + name.len() / 64).sum(),
            Self::Relative(set) => 1 + (set.len() + issuer.len()) / 64,
        }
    }

    /// All names this point goes by, given the issuer of the CRL.
    pub(crate) fn names(&self, issuer: &Name) -> Vec<GeneralName> {
        match self {
            Self::Full(names) => names.clone(),
            Self::Relative(set) => {
                let mut name = issuer.clone();
                let pushed = Reader::new(set).next().and_then(|tlv| name.push(&tlv));
                if pushed.is_ok() { vec![GeneralName::Directory(name)] } else { Vec::new() }
            }
        }
    }
}

/// AuthorityKeyIdentifier (RFC 5280 4.2.1.1), shared by certificates and CRLs.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthorityKeyId {
    pub(crate) key_id: Option<Vec<u8>>,
    issuer: Option<Vec<GeneralName>>,
    serial: Option<Vec<u8>>,
}

impl AuthorityKeyId {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "authority key identifier")?.reader();
        let key_id = fields.optional(context_primitive(0))?.map(|t| t.value.to_vec());
        let issuer = match fields.optional(context(1))? {
            Some(names) => Some(GeneralName::read_all(names.reader())?),
            None => None,
        };
        let serial = fields.optional(context_primitive(2))?.map(|t| t.value.to_vec());
        fields.finish()?;
        Ok(Self { key_id, issuer, serial })
    }

    /// The issuer's name without its number, or the other way round.
    pub(crate) fn is_half(&self) -> bool {
        self.issuer.is_some() != self.serial.is_some()
    }

    /// What [`distance`](Self::distance) may cost beside one small comparison.
    pub(crate) fn effort(&self) -> usize {
        let names = self.issuer.iter().flatten();
        names.map(|name| 1 + name.len() / 64).sum::<usize>() / 16
    }

    /// How well a certificate fits what the identifier names: 0 well, 1 nothing is known, 2 badly.
    /// A hint only, since the signature decides.
    pub(crate) fn distance(&self, issuer: &Certificate) -> u8 {
        let by_key = match (self.key_id.as_deref(), issuer.subject_key_id()) {
            (Some(wanted), Some(own)) => Some(wanted == own),
            _ => None,
        };
        let by_serial = match (&self.issuer, self.serial.as_deref()) {
            (Some(names), Some(serial)) => {
                let named = names
                    .iter()
                    .any(|n| matches!(n, GeneralName::Directory(name) if *name == issuer.issuer));
                Some(named && serial == issuer.serial())
            }
            _ => None,
        };
        match (by_key, by_serial) {
            (Some(false), _) | (_, Some(false)) => 2,
            (None, None) => 1,
            _ => 0,
        }
    }
}

/// A SubjectKeyIdentifier's octets.
pub(crate) fn key_id(tlv: &Tlv<'_>) -> Result<Vec<u8>, ParseError> {
    Ok(tlv.expect(OCTET_STRING, "subject key identifier")?.value.to_vec())
}
