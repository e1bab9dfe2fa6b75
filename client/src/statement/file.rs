//! Requests in files ([`wire::request`]), as the client signs and reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::intent::Intent;
use wire::{Encoded, FormatError, Hash32};

use super::Draft;

pub use wire::request::{Kind, MAX_FILE, RequestFile, RequestFileError};

/// Why a file is no request.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no request file at all.
    #[error(transparent)]
    File(#[from] RequestFileError),
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

impl Draft {
    /// The file that it makes, as far as it is signed.
    #[must_use]
    pub fn to_file(&self) -> RequestFile {
        RequestFile::request(self.genesis, self.to_rest())
    }

    /// The request in a file, to be signed on or sent.
    ///
    /// # Errors
    /// See [`FileError`]; also where the file is no request.
    pub fn of_file(file: &RequestFile) -> Result<Self, FileError> {
        let part = |part: &'static str| {
            move |why: &dyn std::fmt::Display| FileError::Part { part, why: why.to_string() }
        };
        let decode = |name: &'static str, texts: &[String]| {
            let decode = |text: &String| STANDARD.decode(text).map_err(|e| part(name)(&e));
            texts.iter().map(decode).collect::<Result<Vec<_>, _>>()
        };
        let request = &file.request;
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
            genesis: file.genesis,
            intent,
            csr,
            statements: decode("statements", &request.statements)?,
            public_keys: decode("public_keys", &request.public_keys)?,
            id_tokens: request.id_tokens.clone(),
            addresses: decode("addresses", &request.addresses)?,
        })
    }
}
