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

    /// Signs; `what` says in a word what it is, for the metrics.
    pub(crate) async fn sign(
        &self,
        what: &'static str,
        id: &[u8],
        tbs: Vec<u8>,
    ) -> Result<Vec<u8>, HsmError> {
        let start = Instant::now();
        let signature = self.hsm.sign(id, tbs).await;
        self.metrics.signed(what, start.elapsed(), signature.is_ok());
        signature
    }
}

impl Deref for Token {
    type Target = Hsm;

    fn deref(&self) -> &Hsm {
        &self.hsm
    }
}
