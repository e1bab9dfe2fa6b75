//! The token as the authority uses it: what it signs is measured.

use std::ops::Deref;
use std::time::Instant;

use pkcs11::{Hsm, HsmError};

use crate::metrics::Metrics;

/// A token whose signatures are measured.
#[derive(Debug)]
pub(crate) struct Token {
    hsm: Hsm,
    metrics: Metrics,
}

impl Token {
    pub(crate) fn new(hsm: Hsm, metrics: Metrics) -> Self {
        Self { hsm, metrics }
    }

    /// Signs; `what` says in a word what it is, for the metrics. A signature that does not pass
    /// `check` costs the worker its place, and goes nowhere.
    pub(crate) async fn sign<T, E: std::fmt::Display>(
        &self,
        what: &'static str,
        id: &[u8],
        tbs: Vec<u8>,
        check: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, HsmError> {
        let start = Instant::now();
        // The time is the token's; checking is ours.
        let mut took = None;
        let checked = |signature: &[u8]| {
            took = Some(start.elapsed());
            check(signature)
        };
        let signed = self.hsm.sign_with(id, tbs, checked).await;
        self.metrics.signed(what, took.unwrap_or_else(|| start.elapsed()), signed.is_ok());
        signed
    }
}

impl Deref for Token {
    type Target = Hsm;

    fn deref(&self) -> &Hsm {
        &self.hsm
    }
}
