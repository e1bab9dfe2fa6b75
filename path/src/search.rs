//! Finding a path (RFC 4158): from the leaf upwards, likely issuers first, within a budget.

use std::collections::{HashMap, HashSet};

use crate::cert::Certificate;
use crate::crl::Crl;
use crate::name::Name;
use crate::ocsp::OcspResponse;
use crate::options::{Options, Purpose, Revocation};
use crate::report::{Failure, Report};
use crate::validate;
use crate::verdict::Verdict;
use crate::work::{Fingerprint, Work};

/// Looks for a path from `leaf` over `untrusted` to one of `roots` on which every check passes.
///
/// The report shows that path, or of those refused the one that came closest. The order of the
/// inputs matters for speed only. Roots are held to their own validity, constraints and usages.
/// Never more than 200 signatures are verified, 2,000 certificates visited and two million small
/// comparisons made, whatever is given.
pub fn verify(leaf: &Certificate, given: &Given<'_>, options: &Options) -> Report {
    let pool = Pool::new(given);
    let mut work = Work::new(options.profile);
    let anchors = given.roots.iter().map(|root| *root.fingerprint()).collect();
    let mut search = Search::new(&pool, anchors, options, &mut work);
    let mut path = vec![leaf];
    let (path, verdict) = match search.extend(&mut path) {
        Some(verdict) => (path, verdict),
        None => search.refusal(leaf),
    };
    Report::new(options, &path, verdict, work.signatures())
}

/// What there is to verify with. Nothing of it is believed but the roots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// The trust anchors.
    pub roots: &'a [Certificate],
    /// Certificates that may be part of a path.
    pub untrusted: &'a [Certificate],
    /// Revocation lists.
    pub crls: &'a [Crl],
    /// Answers of OCSP responders.
    pub ocsp: &'a [OcspResponse],
}

/// Everything given, for looking up.
pub(crate) struct Pool<'a> {
    by_subject: HashMap<&'a Name, Vec<&'a Certificate>>,
    pub(crate) crls: &'a [Crl],
    pub(crate) ocsp: &'a [OcspResponse],
}

impl<'a> Pool<'a> {
    fn new(given: &Given<'a>) -> Self {
        let mut by_subject: HashMap<&Name, Vec<&Certificate>> = HashMap::new();
        let mut seen = HashSet::new();
        for certificate in given.roots.iter().chain(given.untrusted) {
            if seen.insert(*certificate.fingerprint()) {
                by_subject.entry(&certificate.subject).or_default().push(certificate);
            }
        }
        Self { by_subject, crls: given.crls, ocsp: given.ocsp }
    }

    /// All certificates with this subject.
    pub(crate) fn named(&self, subject: &Name) -> &[&'a Certificate] {
        self.by_subject.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Whether a certificate that signed a CRL has a good path of its own to this anchor
    /// (RFC 5280 6.3.3 (f)).
    pub(crate) fn is_signer(
        &self,
        signer: &'a Certificate,
        anchor: &Certificate,
        options: &Options,
        work: &mut Work,
    ) -> bool {
        /// A signer whose status is in a CRL whose signer … and no further.
        const MAX_NESTING: usize = 3;
        let key = (*signer.fingerprint(), *anchor.fingerprint());
        if let Some(known) = work.signers.get(&key) {
            return *known;
        }
        if work.nesting == MAX_NESTING {
            return false;
        }
        // A CRL may speak of the certificate of its own signer.
        work.signers.insert(key, true);
        work.nesting += 1;
        let mut options = options.clone().purpose(Purpose::Any);
        if options.revocation == Revocation::Leaf {
            options.revocation = Revocation::Known;
        }
        let anchors = HashSet::from([*anchor.fingerprint()]);
        let found = Search::new(self, anchors, &options, work).extend(&mut vec![signer]).is_some();
        work.nesting -= 1;
        if !found {
            // What was concluded on the assumption that it may falls with it.
            work.signers.clear();
        }
        work.signers.insert(key, found);
        found
    }
}

/// Two certificates are one node of the graph of issuers when names and key agree (RFC 4158 2.4.2).
fn same_entity(a: &Certificate, b: &Certificate, effort: &mut usize) -> bool {
    if a.key != b.key {
        return false;
    }
    *effort += a.effort();
    a.subject == b.subject && a.extensions.alternative_names == b.extensions.alternative_names
}

struct Search<'a, 's> {
    pool: &'s Pool<'a>,
    anchors: HashSet<Fingerprint>,
    options: &'s Options,
    work: &'s mut Work,
    /// The complete path that came closest to being accepted.
    refused: Option<(Vec<&'a Certificate>, Verdict)>,
    /// Without a complete one: the longest that could not go on, and why.
    dead_end: Option<(Vec<&'a Certificate>, Failure)>,
}

impl<'a, 's> Search<'a, 's> {
    fn new(
        pool: &'s Pool<'a>,
        anchors: HashSet<Fingerprint>,
        options: &'s Options,
        work: &'s mut Work,
    ) -> Self {
        Self { pool, anchors, options, work, refused: None, dead_end: None }
    }

    /// Goes on from the last certificate of `path`; on success `path` is the path found.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> Option<Verdict> {
        self.work.step().ok()?;
        let last = *path.last()?;
        if self.anchors.contains(last.fingerprint()) {
            let verdict = validate::path(path, self.pool, self.options, self.work);
            if verdict.failure.is_none() {
                return Some(verdict);
            }
            self.note_refused(path, verdict);
            return None;
        }
        if path.len() == self.options.max_depth {
            self.note_dead_end(path, Failure::TooDeep { max: self.options.max_depth });
            return None;
        }
        let candidates = self.pool.named(&last.issuer);
        let mut effort = candidates.len() * (1 + path.len());
        let mut issuers: Vec<_> = candidates
            .iter()
            .copied()
            .filter(|issuer| !path.iter().any(|above| same_entity(above, issuer, &mut effort)))
            .collect();
        self.work.spend(effort).ok()?;
        if issuers.is_empty() {
            self.note_dead_end(path, Failure::NoIssuer { issuer: last.issuer.to_string() });
        }
        issuers.sort_by_cached_key(|issuer| self.unlikeliness(last, issuer));
        for issuer in issuers {
            if let Err(failure) = self.work.signature(last, issuer) {
                path.push(issuer);
                self.note_dead_end(path, failure);
                path.pop();
                continue;
            }
            path.push(issuer);
            if let Some(verdict) = self.extend(path) {
                return Some(verdict);
            }
            path.pop();
            if self.work.exhausted() {
                return None;
            }
        }
        None
    }

    /// Smaller is tried earlier: key identifiers that match, then anchors, then what is valid now.
    fn unlikeliness(&self, certificate: &Certificate, issuer: &Certificate) -> [u8; 4] {
        let key_id = certificate.extensions.authority_key_id.distance(issuer);
        let anchor = u8::from(!self.anchors.contains(issuer.fingerprint()));
        let valid = (issuer.not_before..=issuer.not_after).contains(&self.options.at);
        [key_id, anchor, u8::from(!valid), u8::from(!issuer.is_ca())]
    }

    fn note_refused(&mut self, path: &[&'a Certificate], verdict: Verdict) {
        // A refusal that says more than «no chain» counts more, then the fewest faults.
        let order = |v: &Verdict| {
            let chain = v.failure.as_ref().is_some_and(|(_, f)| f.class().rank() == 0);
            (chain, v.failures)
        };
        if self.refused.as_ref().is_none_or(|(_, seen)| order(&verdict) < order(seen)) {
            self.refused = Some((path.to_vec(), verdict));
        }
    }

    fn note_dead_end(&mut self, path: &[&'a Certificate], failure: Failure) {
        let longer = |(seen, _): &(Vec<&Certificate>, Failure)| path.len() > seen.len();
        if self.dead_end.as_ref().is_none_or(longer) {
            self.dead_end = Some((path.to_vec(), failure));
        }
    }

    /// The path and the verdict to show for a search without success.
    fn refusal(mut self, leaf: &'a Certificate) -> (Vec<&'a Certificate>, Verdict) {
        const CHECK: (&str, &str) = ("path-building", "6.1");
        if self.work.exhausted() {
            let mut verdict = Verdict::new();
            verdict.record(0, CHECK.0, CHECK.1, Err(self.work.spent()));
            return (vec![leaf], verdict);
        }
        if let Some(refused) = self.refused.take() {
            return refused;
        }
        let (path, failure) = self
            .dead_end
            .take()
            .unwrap_or_else(|| (vec![leaf], Failure::NoIssuer { issuer: leaf.issuer.to_string() }));
        let mut verdict = Verdict::new();
        // A signature that failed is the fault of the certificate below the last.
        let at_signature =
            matches!(failure, Failure::Signature(_) | Failure::AlgorithmsDiffer) && path.len() > 1;
        let failed = if at_signature { path.len() - 2 } else { path.len() - 1 };
        let check = if at_signature { ("signature", "6.1.3 (a) (1)") } else { CHECK };
        verdict.record(failed, check.0, check.1, Err(failure));
        for index in (0..failed).rev() {
            verdict.record(index, "signature", "6.1.3 (a) (1)", Ok(None));
        }
        (path, verdict)
    }
}
