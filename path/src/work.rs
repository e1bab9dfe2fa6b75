//! The budget of one verification, and the signatures already seen.
//!
//! What hostile input can make expensive is counted, not timed: signatures, certificates visited,
//! and everything else in units of one small comparison. When one of them is used up, the answer is
//! a refusal that says so.

use std::collections::HashMap;

use serde::Serialize;

use crate::cert::Certificate;
use crate::crl::Crl;
use crate::ocsp::Basic;
use crate::profile::Profile;
use crate::report::Failure;
use crate::sig::{self, PublicKey, SignatureAlgorithm};

/// Signatures verified for one leaf, those of its CRLs and OCSP answers included. One of DSA counts
/// as eight (it takes that much longer), and every further MiB that is signed as two, so that the
/// longest list that is read can be verified.
pub(crate) const MAX_SIGNATURES: usize = 200;
/// Certificates visited in the search.
pub(crate) const MAX_STEPS: usize = 2_000;
/// Small comparisons: names with subtrees, candidates, policies, entries of lists.
pub(crate) const MAX_EFFORT: usize = 2_000_000;

pub(crate) type Fingerprint = [u8; 32];

/// What a verification took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Signatures verified; at most 200.
    pub signatures: usize,
    /// Certificates visited in the search; at most 2,000.
    pub certificates: usize,
    /// Small comparisons of names, policies, candidates and entries of lists; at most 2,000,000.
    pub comparisons: usize,
}

/// What may still be spent.
pub(crate) struct Work {
    profile: Profile,
    /// Verified so far.
    signatures: usize,
    signature_cost: usize,
    steps: usize,
    /// Comparisons left.
    pub(crate) effort: usize,
    exhausted: bool,
    certificates: HashMap<(Fingerprint, Fingerprint), Result<(), Failure>>,
    crls: HashMap<(usize, Fingerprint), Result<(), Failure>>,
    ocsp: HashMap<(usize, Fingerprint), Result<(), Failure>>,
    /// Whether a certificate may sign CRLs, by a path to that anchor; while it is being found out,
    /// that it may.
    pub(crate) signers: HashMap<(Fingerprint, Fingerprint), bool>,
    /// Searches for the paths of CRL signers within one another.
    pub(crate) nesting: usize,
}

impl Work {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            signatures: 0,
            signature_cost: 0,
            steps: 0,
            effort: MAX_EFFORT,
            exhausted: false,
            certificates: HashMap::new(),
            crls: HashMap::new(),
            ocsp: HashMap::new(),
            signers: HashMap::new(),
            nesting: 0,
        }
    }

    /// What was done so far.
    pub(crate) fn done(&self) -> Done {
        Done {
            signatures: self.signatures,
            certificates: self.steps,
            comparisons: MAX_EFFORT - self.effort,
        }
    }

    /// Something is used up; nothing more is tried.
    pub(crate) fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// The refusal that says so.
    pub(crate) fn spent(&self) -> Failure {
        Failure::TooMuchWork { signatures: self.signatures, steps: self.steps }
    }

    /// Counts a certificate visited.
    pub(crate) fn step(&mut self) -> Result<(), Failure> {
        if self.steps == MAX_STEPS {
            self.exhausted = true;
        } else {
            self.steps += 1;
        }
        if self.exhausted { Err(self.spent()) } else { Ok(()) }
    }

    /// Counts comparisons.
    pub(crate) fn spend(&mut self, units: usize) -> Result<(), Failure> {
        match self.effort.checked_sub(units) {
            Some(rest) if !self.exhausted => {
                self.effort = rest;
                Ok(())
            }
            _ => {
                self.exhausted = true;
                Err(self.spent())
            }
        }
    }

    /// Ends the search, where a part of it found its own share of the effort used up.
    pub(crate) fn exhaust(&mut self) -> Failure {
        self.exhausted = true;
        self.spent()
    }

    /// Verifies a signature that is not remembered.
    pub(crate) fn verify(
        &mut self,
        algorithm: &SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Failure> {
        let slow = if matches!(key, PublicKey::Dsa { .. }) { 8 } else { 1 };
        self.signature_cost += slow + 2 * (message.len() >> 20);
        if self.signature_cost > MAX_SIGNATURES || self.exhausted {
            return Err(self.exhaust());
        }
        self.signatures += 1;
        sig::verify(algorithm, key, message, signature, self.profile).map_err(Failure::from)
    }

    /// Takes a signature for good that is still to be made.
    pub(crate) fn take_signature(&mut self, certificate: &Certificate, issuer: &Certificate) {
        let pair = (*certificate.fingerprint(), *issuer.fingerprint());
        self.certificates.insert(pair, Ok(()));
    }

    /// The signature of one certificate by another's key. A key that inherits its numbers is taken
    /// for good until they are known.
    pub(crate) fn signature(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), Failure> {
        if issuer.key.inherits() {
            return Ok(());
        }
        self.signature_by(certificate, issuer, &issuer.key)
    }

    /// Takes a signature for good that was verified before.
    pub(crate) fn know(&mut self, certificate: &Certificate, issuer: &Certificate) {
        if certificate.algorithms_agree && !issuer.key.inherits() {
            let pair = (*certificate.fingerprint(), *issuer.fingerprint());
            self.certificates.insert(pair, Ok(()));
        }
    }

    /// The same with the issuer's key as the path makes it.
    pub(crate) fn signature_by(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
        key: &PublicKey,
    ) -> Result<(), Failure> {
        let pair = (*certificate.fingerprint(), *issuer.fingerprint());
        if let Some(known) = self.certificates.get(&pair) {
            return known.clone();
        }
        if !certificate.algorithms_agree {
            return Err(Failure::AlgorithmsDiffer);
        }
        let result =
            self.verify(&certificate.algorithm, key, certificate.tbs(), certificate.signature());
        if !issuer.key.inherits() && !self.exhausted {
            self.certificates.insert(pair, result.clone());
        }
        result
    }

    /// The signature of a CRL, known by its place in the list given.
    pub(crate) fn crl_signature(
        &mut self,
        index: usize,
        crl: &Crl,
        issuer: &Certificate,
        key: &PublicKey,
    ) -> Result<(), Failure> {
        let pair = (index, *issuer.fingerprint());
        if let Some(known) = self.crls.get(&pair) {
            return known.clone();
        }
        let result = self.verify(&crl.algorithm, key, crl.tbs(), crl.signature());
        if !issuer.key.inherits() && !self.exhausted {
            self.crls.insert(pair, result.clone());
        }
        result
    }

    /// The signature of an OCSP answer, known by its place in the list given.
    pub(crate) fn ocsp_signature(
        &mut self,
        index: usize,
        basic: &Basic,
        signer: &Certificate,
        key: &PublicKey,
    ) -> Result<(), Failure> {
        let pair = (index, *signer.fingerprint());
        if let Some(known) = self.ocsp.get(&pair) {
            return known.clone();
        }
        let result = self.verify(&basic.algorithm, key, basic.tbs(), basic.signature());
        if !signer.key.inherits() && !self.exhausted {
            self.ocsp.insert(pair, result.clone());
        }
        result
    }
}
