//! Refusals: stable code, rule, expected, found, what to do.

use wire::problem::{Problem, ProblemCode};

/// Why the policy says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: ProblemCode,
    /// The rule, by its name.
    pub rule: &'static str,
    /// What happened, in words.
    pub detail: String,
    /// What would have been taken.
    pub expected: String,
    /// What was there instead.
    pub found: String,
    /// What to do.
    pub remedy: &'static str,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::new(refusal.code, refusal.detail)
            .rule(refusal.rule)
            .expected(refusal.expected, refusal.found)
            .remedy(refusal.remedy)
    }
}
