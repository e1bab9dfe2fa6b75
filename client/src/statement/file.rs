//! Requests in files: what several people sign one after the other, or what is handed in elsewhere.
//!
//! JSON of version 1. Whoever signs one looks at the intent in it, not at what somebody says it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wire::intent::Intent;
use wire::rest::SignedRequest;
use wire::{Encoded, FormatError, Hash32};

use super::Draft;

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

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
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
    /// A part that is not base64 or PEM.
    #[error("{part} cannot be read: {why}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The intent is not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A part is missing, or too many are there.
    #[error("{0}")]
    Shape(&'static str),
    /// The certification request is not the one that the intent names.
    #[error("the certification request has hash {found}; the intent names {expected}")]
    OtherRequest {
        /// In the intent.
        expected: String,
        /// Of the request.
        found: String,
    },
}

impl RequestFile {
    /// A request, as far as it is signed.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        let (genesis, request) = (draft.genesis, draft.to_rest());
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
    /// See [`FileError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        if bytes.len() > MAX_FILE {
            return Err(FileError::TooLong { found: bytes.len() });
        }
        let file: Self = serde_json::from_slice(bytes)?;
        if file.avouch_request != VERSION {
            return Err(FileError::Version(file.avouch_request));
        }
        match (file.kind, file.switch.is_some(), file.request.intent.is_some()) {
            (Kind::Request, false, true) | (Kind::Approval | Kind::Veto, true, false) => Ok(file),
            (Kind::Request, ..) => Err(FileError::Shape("a request has an intent, and no switch")),
            _ => Err(FileError::Shape("an approval or veto names a switch, and has no intent")),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain text and numbers: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The request, to be signed on or sent.
    ///
    /// # Errors
    /// See [`FileError`]; also where the file is no request.
    pub fn draft(&self) -> Result<Draft, FileError> {
        let part = |part: &'static str| {
            move |why: &dyn std::fmt::Display| FileError::Part { part, why: why.to_string() }
        };
        let decode = |name: &'static str, texts: &[String]| {
            let decode = |text: &String| STANDARD.decode(text).map_err(|e| part(name)(&e));
            texts.iter().map(decode).collect::<Result<Vec<_>, _>>()
        };
        let request = &self.request;
        let intent = request.intent.clone().ok_or(FileError::Shape("there is no intent"))?;
        let intent = decode("intent", &[intent])?.concat();
        let intent = Intent::from_canonical(&intent)?;
        if !request.assertions.is_empty() {
            return Err(FileError::Shape("WebAuthn assertions are not carried in files"));
        }
        let csr = request
            .csr
            .as_ref()
            .map(|pem| x509::pem::decode_one(pem.as_bytes(), &["CERTIFICATE REQUEST"]))
            .transpose()
            .map_err(|e| part("csr")(&e))?;
        let found = csr.as_deref().map(Hash32::of);
        if found != intent.csr {
            let shown = |hash: Option<Hash32>| hash.map_or("none".to_owned(), |h| h.to_string());
            return Err(FileError::OtherRequest {
                expected: shown(intent.csr),
                found: shown(found),
            });
        }
        Ok(Draft {
            genesis: self.genesis,
            intent,
            csr,
            statements: decode("statements", &request.statements)?,
            public_keys: decode("public_keys", &request.public_keys)?,
            id_tokens: request.id_tokens.clone(),
            addresses: decode("addresses", &request.addresses)?,
        })
    }
}
