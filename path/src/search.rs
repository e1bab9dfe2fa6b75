//! Finding a path (RFC 4158): from the leaf upwards, likely issuers first, within a budget.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::cert::Certificate;
use crate::crl::Crl;
use crate::name::Name;
use crate::ocsp::OcspResponse;
use crate::options::{Options, Purpose, Revocation};
use crate::report::{Failure, Report};
use crate::validate;
use crate::verdict::Verdict;
use crate::work::{Fingerprint, Work};

/// The most roots and other certificates that one verification is given: more than all public
/// ones together.
pub const MAX_CERTIFICATES: usize = 20_000;

/// Looks for a path from `leaf` over `untrusted` to one of `roots` on which every check passes.
///
/// The report shows that path, or of those refused the one that came closest. The order of the
/// inputs matters for speed only. Roots are held to their own validity, constraints and usages.
/// Never more than 200 signatures are verified, 2,000 certificates visited and two million small
/// comparisons made, whatever is given.
pub fn verify(leaf: &Certificate, given: &Given<'_>, options: &Options) -> Report {
    verify_knowing(leaf, given, options, &[])
}

/// The same where some signatures are known to be good: of the first certificate of each pair by the
/// second one's key. Whoever validates much under one issuer finds its own path good once.
pub fn verify_knowing(
    leaf: &Certificate,
    given: &Given<'_>,
    options: &Options,
    known: &[(&Certificate, &Certificate)],
) -> Report {
    let mut work = Work::new(options.profile);
    known.iter().for_each(|(certificate, issuer)| work.know(certificate, issuer));
    if given.roots.len() + given.untrusted.len() > MAX_CERTIFICATES {
        let mut verdict = Verdict::new();
        let failure = Failure::TooMany { max: MAX_CERTIFICATES };
        verdict.record(0, "path-building", "6.1", Err(failure));
        return Report::new(options, &[leaf], verdict, work.done());
    }
    let pool = Pool::new(given);
    let anchors = given.roots.iter().map(|root| *root.fingerprint()).collect();
    let mut search = Search::new(&pool, anchors, options, &mut work);
    let mut path = vec![leaf];
    let (path, verdict) = match search.extend(&mut path) {
        Some(verdict) => (path, verdict),
        None => search.refusal(leaf),
    };
    Report::new(options, &path, verdict, work.done())
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
    /// Indices of the lists, the latest first.
    pub(crate) newest_crls: Vec<usize>,
    pub(crate) ocsp: &'a [OcspResponse],
    roots: &'a [Certificate],
    /// By how many certificates each subject is away from a root, going by names alone; made when
    /// there is something to choose.
    distances: OnceCell<HashMap<&'a Name, u8>>,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(given: &Given<'a>) -> Self {
        let mut by_subject: HashMap<&Name, Vec<&Certificate>> = HashMap::new();
        let mut seen = HashSet::new();
        for certificate in given.roots.iter().chain(given.untrusted) {
            if seen.insert(*certificate.fingerprint()) {
                by_subject.entry(&certificate.subject).or_default().push(certificate);
            }
        }
        let Given { crls, ocsp, roots, .. } = *given;
        let mut newest_crls: Vec<usize> = (0..crls.len()).collect();
        newest_crls.sort_by_key(|index| std::cmp::Reverse(crls[*index].this_update));
        Self { by_subject, crls, newest_crls, ocsp, roots, distances: OnceCell::new() }
    }

    /// How far this certificate is from a root by the way of its own issuer; 255 when no way leads
    /// there.
    fn distance(&self, issuer: &Certificate) -> u8 {
        let distances = self.distances.get_or_init(|| {
            let mut below: HashMap<&Name, Vec<&Name>> = HashMap::new();
            for certificate in self.by_subject.values().flatten() {
                below.entry(&certificate.issuer).or_default().push(&certificate.subject);
            }
            let mut distances: HashMap<&Name, u8> =
                self.roots.iter().map(|root| (&root.subject, 0)).collect();
            let mut queue: VecDeque<&Name> = distances.keys().copied().collect();
            while let Some(name) = queue.pop_front() {
                let next = distances[name].saturating_add(1);
                for subject in below.remove(name).unwrap_or_default() {
                    distances.entry(subject).or_insert_with(|| {
                        queue.push_back(subject);
                        next
                    });
                }
            }
            distances
        });
        distances.get(&issuer.issuer).map_or(u8::MAX, |above| above.saturating_add(1))
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
        // It is asked to sign lists, not to be whom the leaf has to be.
        let mut options = options.clone().purpose(Purpose::Any);
        (options.email, options.upn) = (None, None);
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
        self.work.spend(last.effort()).ok()?;
        if path.len() == self.options.max_depth {
            let max = self.options.max_depth;
            self.note_dead_end(path, || Failure::TooDeep { max });
            return None;
        }
        let candidates = self.pool.named(&last.issuer);
        let sizes: usize = candidates.iter().map(|c| 1 + c.effort() / 8).sum();
        let mut effort = sizes + candidates.len() * path.len();
        let mut issuers: Vec<_> = candidates
            .iter()
            .copied()
            .filter(|issuer| !path.iter().any(|above| same_entity(above, issuer, &mut effort)))
            .collect();
        self.work.spend(effort).ok()?;
        if issuers.is_empty() {
            self.note_dead_end(path, || Failure::NoIssuer { issuer: last.issuer.to_string() });
        }
        if issuers.len() > 1 {
            self.work.spend(issuers.len() * last.extensions.authority_key_id.effort()).ok()?;
            issuers.sort_by_cached_key(|issuer| self.unlikeliness(last, issuer));
        }
        for issuer in issuers {
            if let Err(failure) = self.work.signature(last, issuer) {
                path.push(issuer);
                self.note_dead_end(path, || failure);
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

    /// Smaller is tried earlier: key identifiers that match, then anchors and what is near one, then
    /// what is valid now.
    fn unlikeliness(&self, certificate: &Certificate, issuer: &Certificate) -> [u8; 4] {
        let key_id = certificate.extensions.authority_key_id.distance(issuer);
        let is_anchor = self.anchors.contains(issuer.fingerprint());
        let anchor = if is_anchor { 0 } else { self.pool.distance(issuer).max(1) };
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

    fn note_dead_end(&mut self, path: &[&'a Certificate], failure: impl FnOnce() -> Failure) {
        let longer = |(seen, _): &(Vec<&Certificate>, Failure)| path.len() > seen.len();
        if self.dead_end.as_ref().is_none_or(longer) {
            self.dead_end = Some((path.to_vec(), failure()));
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
