//! The trust file: what a client must have been given out of band to verify anything.

use der::Sequence;
use der::asn1::OctetString;
use serde::{Deserialize, Serialize};

use crate::address::POINT;
use crate::codec::encoded;
use crate::{Encoded, Hash32, Realm, octets};

/// Why a text is not a trust file.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not JSON of the expected shape; unknown members are refused.
    #[error("the trust file is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a later program.
    #[error("the trust file has version {found}; this program knows version 1")]
    Version {
        /// Version found.
        found: u8,
    },
    /// A value that cannot be.
    #[error("the trust file's {field} is not valid: {reason}")]
    Field {
        /// Which member.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What the fingerprint covers.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct TrustBody {
    version: u8,
    realm: Realm,
    genesis: Hash32,
    root: OctetString,
    log: String,
    quorum: String,
    max_status_age: u64,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    addresses: Option<OctetString>,
}
encoded!(TrustBody, "trust file");

/// The file's JSON shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustJson {
    version: u8,
    realm: Realm,
    genesis: Hash32,
    /// The root certificate's DER in hexadecimal.
    root: String,
    #[serde(default)]
    log: String,
    #[serde(default)]
    quorum: String,
    max_status_age: u64,
    /// The key that addresses of channels are sealed to, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addresses: Option<String>,
    #[serde(default)]
    server: String,
}

/// A parsed trust file. JSON on disk; the fingerprint is SHA-256 over a DER form of everything but
/// the server's address, which is a convenience and not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFile {
    body: TrustBody,
    server: String,
}

impl TrustFile {
    /// A trust file for an installation. `root` is the root certificate's DER, `log` the log's
    /// verifier key and `quorum` a C2SP tlog-policy text (both empty where there is none yet),
    /// `max_status_age` in seconds.
    ///
    /// # Errors
    /// Refuses a root beyond DER's length limit and a status age of zero.
    pub fn new(
        realm: Realm,
        genesis: Hash32,
        root: &[u8],
        log: String,
        quorum: String,
        max_status_age: u64,
        server: String,
    ) -> Result<Self, TrustError> {
        let field = |field, reason: &str| TrustError::Field { field, reason: reason.to_owned() };
        if max_status_age == 0 {
            return Err(field("max_status_age", "zero seconds: no status could ever be fresh"));
        }
        if root.is_empty() {
            return Err(field("root", "empty"));
        }
        let root = OctetString::new(root).map_err(|_| field("root", "too long"))?;
        let addresses = None;
        let body =
            TrustBody { version: 1, realm, genesis, root, log, quorum, max_status_age, addresses };
        Ok(Self { body, server })
    }

    /// The same with the key that addresses of channels are sealed to ([`crate::address`]): an
    /// uncompressed point on P-256.
    ///
    /// # Errors
    /// Refuses what does not have the form of such a point.
    pub fn with_address_key(mut self, key: &[u8]) -> Result<Self, TrustError> {
        let wrong = |reason| TrustError::Field { field: "addresses", reason };
        if key.len() != POINT || key.first() != Some(&4) {
            return Err(wrong(format!("not an uncompressed point of {POINT} bytes")));
        }
        self.body.addresses = Some(octets(key));
        Ok(self)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Refuses anything but a version 1 file without unknown members.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let json: TrustJson = serde_json::from_str(text)?;
        if json.version != 1 {
            return Err(TrustError::Version { found: json.version });
        }
        let root = hex::decode(&json.root)
            .map_err(|e| TrustError::Field { field: "root", reason: e.to_string() })?;
        let trust = Self::new(
            json.realm,
            json.genesis,
            &root,
            json.log,
            json.quorum,
            json.max_status_age,
            json.server,
        )?;
        let Some(key) = json.addresses else { return Ok(trust) };
        let key = hex::decode(&key)
            .map_err(|e| TrustError::Field { field: "addresses", reason: e.to_string() })?;
        trust.with_address_key(&key)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let json = TrustJson {
            version: self.body.version,
            realm: self.body.realm.clone(),
            genesis: self.body.genesis,
            root: hex::encode(self.root()),
            log: self.body.log.clone(),
            quorum: self.body.quorum.clone(),
            max_status_age: self.body.max_status_age,
            addresses: self.address_key().map(hex::encode),
            server: self.server.clone(),
        };
        let mut text = serde_json::to_string_pretty(&json)
            .expect("strings and numbers always serialise to JSON");
        text.push('\n');
        text
    }

    /// What two people compare: SHA-256 over everything that is trusted.
    #[must_use]
    pub fn fingerprint(&self) -> Hash32 {
        self.body.hash()
    }

    /// The installation's realm.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.body.realm
    }

    /// Hash of the genesis event.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.body.genesis
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        self.body.root.as_bytes()
    }

    /// The log's verifier key; empty where there is none yet.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.body.log
    }

    /// The quorum, C2SP tlog-policy text.
    #[must_use]
    pub fn quorum(&self) -> &str {
        &self.body.quorum
    }

    /// Greatest age of a status, in seconds.
    #[must_use]
    pub fn max_status_age(&self) -> u64 {
        self.body.max_status_age
    }

    /// The key that addresses of channels are sealed to; none in a file from before there was one.
    #[must_use]
    pub fn address_key(&self) -> Option<&[u8]> {
        self.body.addresses.as_ref().map(OctetString::as_bytes)
    }

    /// Where the server was when the file was written; a convenience, not trusted.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }
}

#[cfg(test)]
mod tests;
