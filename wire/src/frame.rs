//! Frames on the sockets: a 32-bit big-endian length, then that many bytes of postcard.
//!
//! The length prefix is read by the transport (which bounds it); this module turns payloads into
//! messages and back, strictly.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Greatest payload of a request, in bytes.
pub const MAX_REQUEST: usize = 256 * 1024;

/// Greatest payload of a response, in bytes (a CRL shard of 100,000 entries has about 4 MB).
pub const MAX_RESPONSE: usize = 16 * 1024 * 1024;

/// Why a payload is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too long.
    #[error("a message of {found} bytes; at most {limit} are allowed")]
    Oversize {
        /// Length found.
        found: usize,
        /// Greatest length allowed.
        limit: usize,
    },
    /// Not postcard of the expected type.
    #[error("not a message of this version: {0}")]
    Malformed(String),
    /// Bytes after the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Encodes a payload (without the length prefix).
///
/// # Errors
/// Refuses a message whose payload would be longer than `limit` bytes.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let payload = postcard::to_stdvec(message).map_err(|e| FrameError::Malformed(e.to_string()))?;
    if payload.len() > limit {
        return Err(FrameError::Oversize { found: payload.len(), limit });
    }
    Ok(payload)
}

/// Decodes a payload of at most `limit` bytes.
///
/// # Errors
/// Refuses overlong payloads, anything that is not the type's postcard, and trailing bytes.
pub fn decode<T: DeserializeOwned>(payload: &[u8], limit: usize) -> Result<T, FrameError> {
    if payload.len() > limit {
        return Err(FrameError::Oversize { found: payload.len(), limit });
    }
    let (message, rest) =
        postcard::take_from_bytes(payload).map_err(|e| FrameError::Malformed(e.to_string()))?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::Trailing(rest.len())) }
}
