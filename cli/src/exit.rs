//! Exit codes, and the one place that gives each failure its own (docs/exit-codes.md).

use std::process::ExitCode;

use wire::problem::{Problem, ProblemCode};

/// Exit code of a failed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something local: a file, an argument.
    Local = 1,
    /// The server cannot be reached or fails.
    Remote = 2,
    /// The HSM is not available.
    Hsm = 3,
    /// There is no such identity.
    NoIdentity = 10,
    /// A chain does not verify.
    Chain = 11,
    /// A certificate is revoked, or an identity suspended.
    Revoked = 12,
    /// A certificate has expired, or is not valid yet.
    Expired = 13,
    /// An identity has changed.
    Changed = 14,
    /// A proof of the log does not hold.
    LogProof = 15,
    /// A status is too old, or there is none.
    Stale = 16,
    /// The policy refused.
    Refused = 20,
    /// Not finished yet.
    Pending = 21,
}

impl Exit {
    /// The code with this number; libraries give numbers of the same list.
    pub(crate) fn from_number(n: u8) -> Self {
        const ALL: [Exit; 12] = [
            Exit::LogProof,
            Exit::Remote,
            Exit::Hsm,
            Exit::NoIdentity,
            Exit::Chain,
            Exit::Revoked,
            Exit::Expired,
            Exit::Changed,
            Exit::Stale,
            Exit::Refused,
            Exit::Pending,
            Exit::Local,
        ];
        ALL.into_iter().find(|exit| *exit as u8 == n).unwrap_or(Self::Local)
    }
}

/// A failed command: what happened, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its own code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A local failure.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(Exit::Local, message)
    }

    /// The code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// The code, to compare with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let mut message = format!("{} ({})", problem.detail, problem.code.slug());
        for (label, value) in [
            ("rule", &problem.rule),
            ("expected", &problem.expected),
            ("found", &problem.found),
            ("what to do", &problem.remedy),
        ] {
            if let Some(value) = value {
                message.push_str(&format!("\n  {label}: {value}"));
            }
        }
        Self::new(of_problem(problem.code), message)
    }
}

/// The exit code that belongs to a problem of the server's.
pub(crate) fn of_problem(code: ProblemCode) -> Exit {
    use ProblemCode as P;
    match code {
        P::UnknownIdentity => Exit::NoIdentity,
        P::HsmUnavailable => Exit::Hsm,
        P::Pending => Exit::Pending,
        P::IdentitySuspended | P::IdentityRetired | P::AlreadyRevoked => Exit::Revoked,
        P::AuthorityUnavailable
        | P::StoreUnavailable
        | P::Overloaded
        | P::Stopped
        | P::Timeout
        | P::Internal
        | P::TooManyRequests
        | P::UnknownRoute
        | P::MethodNotAllowed
        | P::NotAcceptable
        | P::UnsupportedMediaType => Exit::Remote,
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests;
