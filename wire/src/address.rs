//! Addresses of channels: what a channel's hash stands for, and how it travels to the authority.
//!
//! Contacts and the gateway see a channel as a hash. The address itself goes from the client to the
//! authority in a [`SealedAddress`]: HPKE (RFC 9180), base mode, DHKEM(P-256, HKDF-SHA256),
//! HKDF-SHA256, AES-256-GCM, under the key that the trust file names. [`info`] and [`aad`] bind
//! what is sealed to the installation, the identity and the channel, so that a blob that somebody
//! saw is of no use for another one.

use der::Sequence;
use der::asn1::OctetString;

use crate::body::{Channel, ChannelKind};
use crate::codec::encoded;
use crate::{FormatError, Hash32, UserId, octets};

/// Length of a channel's salt, in bytes.
pub const SALT: usize = 32;
/// Length of an encapsulated key and of the authority's public key: an uncompressed point on P-256
/// (RFC 9180 section 7.1).
pub const POINT: usize = 65;
/// Longest mail address (RFC 5321 section 4.5.3.1.3, without the angle brackets).
pub const MAX_MAIL: usize = 254;
/// Longest webhook address.
pub const MAX_WEBHOOK: usize = 512;
/// Most addresses in one request: as many as an identity can have channels.
pub const MAX_ADDRESSES: usize = 8;

/// Domain of what is sealed.
const DOMAIN: &[u8] = b"avouch.address.v1\0";

/// A channel's address with the salt of its hash.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Address {
    /// Format version, 1.
    version: u8,
    /// How.
    kind: ChannelKind,
    /// Random; without it anybody could try addresses against the hash.
    salt: OctetString,
    /// Where.
    address: String,
}
encoded!(
    Address,
    "address",
    limit = 1024,
    check = |address| {
        let n = address.salt.as_bytes().len();
        if n != SALT {
            return Err(("salt", format!("has {n} bytes, not {SALT}")));
        }
        match address.kind {
            ChannelKind::Mail => mail(&address.address),
            ChannelKind::Webhook => webhook(&address.address),
        }
        .map_err(|reason| ("address", reason))
    }
);

impl Address {
    /// An address with the salt that its channel's hash will have.
    ///
    /// # Errors
    /// [`FormatError::Field`] for what is no address of its kind.
    pub fn new(kind: ChannelKind, salt: [u8; SALT], address: &str) -> Result<Self, FormatError> {
        let address = Self { version: 1, kind, salt: octets(&salt), address: address.to_owned() };
        crate::Encoded::check(&address)?;
        Ok(address)
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.salt.as_bytes()
    }

    /// How notices go there.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Where they go.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The channel as events and intents name it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let hash = Hash32::of(&[self.salt.as_bytes(), self.address.as_bytes()].concat());
        Channel { kind: self.kind, address: hash }
    }
}

/// An [`Address`] that only the authority can read.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct SealedAddress {
    /// Format version, 1.
    pub version: u8,
    /// The channel's hash ([`Channel::address`]).
    pub channel: Hash32,
    /// The encapsulated key.
    pub enc: OctetString,
    /// The sealed [`Address`] with its tag.
    pub ciphertext: OctetString,
}
encoded!(
    SealedAddress,
    "sealed address",
    limit = 2048,
    check = |sealed| {
        let n = sealed.enc.as_bytes().len();
        if n != POINT {
            return Err(("enc", format!("has {n} bytes, not {POINT}")));
        }
        Ok(())
    }
);

/// HPKE's `info`: the domain and the installation.
#[must_use]
pub fn info(genesis: Hash32) -> Vec<u8> {
    [DOMAIN, genesis.as_bytes()].concat()
}

/// HPKE's `aad`: the channel and whose it is.
#[must_use]
pub fn aad(channel: Hash32, uid: &UserId) -> Vec<u8> {
    [channel.as_bytes(), uid.as_str().as_bytes()].concat()
}

/// A mail address as it can stand in a header and in an envelope as it is: a dot-atom and a host
/// name (RFC 5321 section 4.1.2). Quoted local parts, literals and everything beyond ASCII are
/// refused.
fn mail(text: &str) -> Result<(), String> {
    if text.len() > MAX_MAIL {
        return Err(format!("{} bytes; a mail address has at most {MAX_MAIL}", text.len()));
    }
    let (local, host) = text.rsplit_once('@').ok_or("a mail address has an @")?;
    let atom = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    if local.len() > 64 || !local.split('.').all(atom) {
        return Err("before the @ stand at most 64 letters, digits and !#$%&'*+-/=?^_`{|}~, with \
                    single dots between them"
            .to_owned());
    }
    host_name(host)
}

/// An HTTPS address without user and fragment.
fn webhook(text: &str) -> Result<(), String> {
    if text.len() > MAX_WEBHOOK {
        return Err(format!("{} bytes; a webhook has at most {MAX_WEBHOOK}", text.len()));
    }
    let rest = text.strip_prefix("https://").ok_or("a webhook begins with https://")?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['#', '\\', '"', '<', '>']) {
        return Err("a webhook has no spaces, no fragment and no other than ASCII signs".to_owned());
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
    if port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is not a port"));
    }
    host_name(host)
}

/// A host name (RFC 1123 section 2.1), or an IPv4 address, which looks like one.
fn host_name(host: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(format!("{host:?} is not a host name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
