//! What goes through the pipe: a little-endian u32 length, then postcard.
//!
//! The first frame each way is the greeting. After it, requests carry a number and may be answered
//! in any order; either side writes as many frames at once as it has.

use crate::config::Backend;
use crate::error::HsmError;
use crate::key::{Attestation, KeyInfo, KeySpec, TokenInfo};
use crate::template::Template;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Raised with every change of these types: a worker of another build is refused, not misread.
pub(crate) const VERSION: u32 = 3;

/// Largest frame body. The largest thing ever signed is a CRL.
pub(crate) const MAX_FRAME: usize = 16 << 20;

/// Largest greeting, which is read into memory that is wiped.
pub(crate) const MAX_HELLO: usize = 16 << 10;

/// First frame to the worker. The only one that carries a PIN.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello<'a> {
    pub(crate) version: u32,
    #[serde(borrow)]
    pub(crate) job: Job<'a>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Job<'a> {
    /// Serve requests until the end of input.
    Serve {
        backend: Backend,
        sessions: u32,
        keep_alive: Duration,
        memory: u32,
        template: Template,
        pin: &'a str,
    },
    /// Initialise a fresh token, answer [`Welcome::Token`], end.
    InitToken { module: PathBuf, label: &'a str, so_pin: &'a str, pin: &'a str },
    /// List what the module shows without logging in, answer [`Welcome::Tokens`], end.
    ListTokens { module: PathBuf },
}

/// First frame from the worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Welcome {
    /// The token is found and wants a login. The worker goes on when it is sent [`GO_ON`] or
    /// [`GO_ON_UNLESS_COUNTED`], and says a second welcome after that.
    LoggingIn {
        token: TokenInfo,
    },
    Ready {
        token: TokenInfo,
    },
    Token(TokenInfo),
    Tokens(Vec<TokenInfo>),
    Failed(HsmError),
}

/// One byte to a worker that wants to log in.
pub(crate) const GO_ON: u8 = 1;

/// The same after a login that got no answer: not if the token counts a wrong PIN, which would be
/// that one.
pub(crate) const GO_ON_UNLESS_COUNTED: u8 = 2;

#[derive(Serialize, Deserialize)]
pub(crate) struct Request<'a> {
    pub(crate) number: u64,
    #[serde(borrow)]
    pub(crate) op: Op<'a>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Op<'a> {
    Sign {
        #[serde(with = "serde_bytes")]
        id: &'a [u8],
        #[serde(with = "serde_bytes")]
        tbs: &'a [u8],
    },
    Find {
        #[serde(with = "serde_bytes")]
        id: &'a [u8],
    },
    Keys,
    Generate(KeySpec),
    Forget {
        #[serde(with = "serde_bytes")]
        id: &'a [u8],
    },
    Attestations,
}

/// A frame from the worker after the greeting.
#[derive(Serialize, Deserialize)]
pub(crate) enum Message {
    Answer {
        number: u64,
        body: Result<Answer, HsmError>,
    },
    /// The token or the login is gone. Requests not answered were not carried out, or can be
    /// carried out again without harm; the worker ends after this.
    Lost {
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Signature(#[serde(with = "serde_bytes")] Vec<u8>),
    Key(Option<Box<KeyInfo>>),
    Keys(Vec<KeyInfo>),
    Attestations(Vec<Attestation>),
}

/// Appends one frame to `buffer`.
pub(crate) fn encode<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<(), HsmError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    let taken = std::mem::take(buffer);
    match postcard::to_extend(value, taken) {
        Ok(mut filled) => {
            let len = filled.len() - start - 4;
            if len > MAX_FRAME {
                filled.truncate(start);
                *buffer = filled;
                return Err(HsmError::TooLarge { len, limit: MAX_FRAME });
            }
            // MAX_FRAME fits a u32.
            filled[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
            *buffer = filled;
            Ok(())
        }
        Err(error) => Err(HsmError::Config { detail: format!("frame not encodable: {error}") }),
    }
}
