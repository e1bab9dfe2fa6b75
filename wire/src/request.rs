//! Requests in files: what several people sign one after the other, or what is handed in elsewhere,
//! to an auditor for one.
//!
//! JSON of version 1. Whoever signs one looks at the intent in it, not at what somebody says it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::Hash32;
use crate::rest::SignedRequest;
use crate::socket::Signed;

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;

const VERSION: u8 = 1;

/// What a file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What its intent says.
    Request,
    /// An approval of the switch that it names.
    Approval,
    /// A veto of what it names.
    Veto,
}

/// A request in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFile {
    avouch_request: u8,
    /// The installation that it is for: hash of its genesis event.
    pub genesis: Hash32,
    /// What it asks for.
    pub kind: Kind,
    /// For an approval or a veto: hash of the intent that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<Hash32>,
    /// What is sent.
    pub request: SignedRequest,
}

/// Why bytes are no request file.
#[derive(Debug, thiserror::Error)]
pub enum RequestFileError {
    /// Too long.
    #[error("{found} bytes; at most {MAX_FILE} are read")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not JSON of this shape.
    #[error("not a request file: {0}")]
    Json(#[from] serde_json::Error),
    /// Of a version that this program does not know.
    #[error("version {0}; this program knows version 1")]
    Version(u8),
    /// A part that is not base64.
    #[error("{part} cannot be read: {why}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A part is missing, or too many are there.
    #[error("{0}")]
    Shape(&'static str),
}

impl RequestFile {
    /// What an intent asks for.
    #[must_use]
    pub fn request(genesis: Hash32, request: SignedRequest) -> Self {
        Self { avouch_request: VERSION, genesis, kind: Kind::Request, switch: None, request }
    }

    /// An approval or a veto of the intent with this hash.
    #[must_use]
    pub fn about(genesis: Hash32, kind: Kind, switch: Hash32, request: SignedRequest) -> Self {
        Self { avouch_request: VERSION, genesis, kind, switch: Some(switch), request }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// See [`RequestFileError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestFileError> {
        if bytes.len() > MAX_FILE {
            return Err(RequestFileError::TooLong { found: bytes.len() });
        }
        let file: Self = serde_json::from_slice(bytes)?;
        if file.avouch_request != VERSION {
            return Err(RequestFileError::Version(file.avouch_request));
        }
        let shape = |reason| Err(RequestFileError::Shape(reason));
        match (file.kind, file.switch.is_some(), file.request.intent.is_some()) {
            (Kind::Request, false, true) | (Kind::Approval | Kind::Veto, true, false) => Ok(file),
            (Kind::Request, ..) => shape("a request has an intent, and no switch"),
            _ => shape("an approval or veto names a switch, and has no intent"),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain text and numbers: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What is sent, as bytes: the certification request (PEM), and what was signed.
    ///
    /// # Errors
    /// A part that is not base64.
    pub fn signed(&self) -> Result<(Option<Vec<u8>>, Signed), RequestFileError> {
        let request = &self.request;
        let intent = request.intent.as_slice();
        let signed = Signed {
            intent: decoded("intent", intent)?.pop(),
            statements: decoded("statements", &request.statements)?,
            assertions: decoded("assertions", &request.assertions)?,
            id_tokens: request.id_tokens.clone(),
            public_keys: decoded("public_keys", &request.public_keys)?,
            addresses: decoded("addresses", &request.addresses)?,
        };
        Ok((request.csr.clone().map(String::into_bytes), signed))
    }
}

fn decoded(part: &'static str, texts: &[String]) -> Result<Vec<ByteBuf>, RequestFileError> {
    let decode = |text: &String| {
        let decoded = STANDARD.decode(text).map(ByteBuf::from);
        decoded.map_err(|error| RequestFileError::Part { part, why: error.to_string() })
    };
    texts.iter().map(decode).collect()
}
