//! What the checks of one path come to.

use crate::report::{Check, Failure, Outcome};

/// Collects checks, and the failure that counts most.
pub(crate) struct Verdict {
    pub(crate) checks: Vec<Check>,
    pub(crate) failure: Option<(usize, Failure)>,
    pub(crate) failures: usize,
}

impl Verdict {
    pub(crate) fn new() -> Self {
        Self { checks: Vec::new(), failure: None, failures: 0 }
    }

    pub(crate) fn record(
        &mut self,
        certificate: usize,
        check: &'static str,
        rfc: &'static str,
        result: Result<Option<String>, Failure>,
    ) {
        let (outcome, detail) = match result {
            Ok(detail) => (Outcome::Passed, detail),
            Err(failure) => {
                let detail = failure.to_string();
                self.failures += 1;
                let rank = failure.class().rank();
                if self.failure.as_ref().is_none_or(|(_, seen)| rank < seen.class().rank()) {
                    self.failure = Some((certificate, failure));
                }
                (Outcome::Failed, Some(detail))
            }
        };
        self.checks.push(Check { certificate, check, rfc, outcome, detail });
    }

    pub(crate) fn skip(
        &mut self,
        certificate: usize,
        check: &'static str,
        rfc: &'static str,
        why: &str,
    ) {
        self.checks.push(Check {
            certificate,
            check,
            rfc,
            outcome: Outcome::Skipped,
            detail: Some(why.into()),
        });
    }
}
