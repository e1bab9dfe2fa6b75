//! Why a server gave no good answer, or nothing that can be verified.

use wire::UserId;
use wire::problem::ProblemCode;
use wire::rest::ProblemJson;

use crate::bundle::BundleError;
use crate::log::{LogError, Seen};
use crate::recipient::RecipientRefusal;

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// An address that is not one.
    #[error("{url:?} is not the address of a server (https://HOST[:PORT]): {why}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// TLS certificates or keys that cannot be read.
    #[error("TLS: {0}")]
    Tls(String),
    /// No connection, or it broke.
    #[error("{url}: {why}")]
    Transport {
        /// What was asked for.
        url: String,
        /// Every cause in turn.
        why: String,
    },
    /// The server refused, and says why (RFC 9457).
    #[error("{}{}", .problem.detail, retry(*.retry_after))]
    Problem {
        /// The answer.
        problem: Box<ProblemJson>,
        /// When to try again, in seconds.
        retry_after: Option<u32>,
    },
    /// Another status, without a problem in the body.
    #[error("{url}: the server answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A larger answer than is read.
    #[error("{url}: the answer is longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// An answer that makes no sense.
    #[error("{url}: the answer cannot be understood: {why}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        why: String,
    },
}

fn retry(seconds: Option<u32>) -> String {
    seconds.map(|s| format!(" (try again in {s} s)")).unwrap_or_default()
}

impl FetchError {
    /// The command line's exit code: 1, 2, 3, 10, 20 or 21.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Address { .. } | Self::Tls(_) => 1,
            Self::Problem { problem, .. } => match ProblemCode::from_slug(&problem.code) {
                Some(ProblemCode::UnknownIdentity) => 10,
                Some(ProblemCode::HsmUnavailable) => 3,
                Some(ProblemCode::Pending) => 21,
                _ if matches!(problem.status, 403 | 409 | 422) => 20,
                _ => 2,
            },
            _ => 2,
        }
    }

    /// The code of the problem, if the server named one.
    #[must_use]
    pub fn problem_code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem { problem, .. } => ProblemCode::from_slug(&problem.code),
            _ => None,
        }
    }
}

/// Why there is nothing to verify.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// The server could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server says that there is nobody to seal to.
    #[error(transparent)]
    Refused(#[from] RecipientRefusal),
    /// The log does not prove what the server says.
    #[error("{uid}: {source}")]
    Unproven {
        /// The person.
        uid: UserId,
        /// The check that failed.
        source: Box<BundleError>,
    },
    /// The log does not continue what was seen of it before.
    #[error("{uid}: {source}")]
    Log {
        /// The person.
        uid: UserId,
        /// What is wrong.
        source: Box<LogError>,
        /// The checkpoint that was shown.
        shown: Box<Seen>,
    },
}

impl MaterialError {
    /// The command line's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fetch(e) => e.exit_code(),
            Self::Refused(e) => e.exit_code(),
            Self::Unproven { source, .. } => source.exit_code(),
            Self::Log { source, .. } => source.exit_code(),
        }
    }
}
