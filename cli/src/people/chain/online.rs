//! Verifying with what the certificates' addresses give.

use std::collections::HashSet;

use client::online::{Fetched, Limits, Online};
use path::{Certificate, Class, Options, Report, Revocation};

use super::Material;
use crate::exit::{Exit, Failure};
use crate::runtime;

/// Fetches the issuers that are missing, then, for the path found, who is revoked: from OCSP, or
/// from CRLs where there is no responder or its answer does not do.
pub(super) fn verify(
    material: &mut Material,
    options: &Options,
    max_depth: usize,
    limits: Limits,
) -> Result<(Report, Vec<Fetched>), Failure> {
    let mut online = Online::new(limits).map_err(|e| Failure::new(Exit::Local, e.to_string()))?;
    let report = runtime()?.block_on(async {
        let at_hand: Vec<&Certificate> = material.roots.iter().chain(&material.untrusted).collect();
        let issuers = online.issuers(&material.leaf, &at_hand, max_depth).await;
        material.untrusted.extend(issuers);
        if options.wants_revocation() == Revocation::Ignored {
            return Ok(material.verify(options));
        }
        let without = material.verify(&options.clone().revocation(Revocation::Ignored));
        if !without.is_valid() {
            return Ok(without);
        }
        let path = certificates(&without, material);
        let mut lists = HashSet::new();
        for pair in path.windows(2) {
            let [certificate, issuer] = pair else { continue };
            let mut nonce = [0; 32];
            getrandom::fill(&mut nonce)
                .map_err(|e| Failure::local(format!("no random numbers: {e}")))?;
            match online.ocsp(certificate, issuer, &nonce).await {
                Some(answer) => material.ocsp.push(answer),
                None => {
                    lists.insert(*certificate.fingerprint());
                    material.crls.extend(online.crls(certificate).await);
                }
            }
        }
        let report = material.verify(options);
        if report.failure().is_none_or(|failure| failure.class() != Class::Stale) {
            return Ok(report);
        }
        for certificate in &path {
            if lists.insert(*certificate.fingerprint()) {
                material.crls.extend(online.crls(certificate).await);
            }
        }
        Ok(material.verify(options))
    });
    report.map(|report| (report, online.log))
}

/// The certificates of the path found.
fn certificates(report: &Report, material: &Material) -> Vec<Certificate> {
    let all = || std::iter::once(&material.leaf).chain(&material.untrusted).chain(&material.roots);
    report
        .fingerprints()
        .iter()
        .filter_map(|wanted| all().find(|c| c.fingerprint() == wanted))
        .cloned()
        .collect()
}
