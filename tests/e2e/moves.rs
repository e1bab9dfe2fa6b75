//! Identities that move to new keys, and everybody who tries to move them.

mod attacker;
pub(crate) mod lives;
mod phone;
pub(crate) mod race;
mod writer;

use wire::problem::{Problem, ProblemCode};

/// Whether something was refused with this code, and under this rule.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Problem>, code: ProblemCode, rule: &str) {
    let problem = outcome.expect_err("this must not happen");
    let found = (problem.code, problem.rule.as_deref().unwrap_or_default());
    assert_eq!(found, (code, rule), "{problem:?}");
}
