//! Whether a certificate is revoked (RFC 5280 6.3), from CRLs at hand.

use crate::cert::{Certificate, DistributionPoint, key_usage};
use crate::crl::{Crl, Revocation};
use crate::name::{GeneralName, Name};
use crate::report::Failure;
use crate::search::Work;
use crate::sig::SignatureError;
use crate::time::rfc3339;
use crate::validate::Options;

/// Bits 1 to 8 of ReasonFlags: every reason there is.
const ALL_REASONS: u16 = 0x01fe;

/// The status of one certificate: good with the CRL's time, or the failure.
pub(crate) fn status(
    certificate: &Certificate,
    issuer: &Certificate,
    crls: &[Crl],
    options: &Options,
    work: &mut Work,
) -> Result<String, Failure> {
    let mut covered = 0;
    let mut oldest = i64::MAX;
    let mut obstacles = Obstacles::default();
    // The issuer's own list stands in where no point is named or no named one says enough
    // (RFC 5280 6.3.3, last paragraphs).
    let implied = DistributionPoint { name: None, reasons: None, crl_issuer: None };
    let points = certificate.extensions.distribution_points.iter().chain([&implied]);
    for point in points {
        for (index, crl) in crls.iter().enumerate() {
            if !concerns(crl, point, certificate) {
                continue;
            }
            let reasons = point.reasons.unwrap_or(ALL_REASONS)
                & crl.point.as_ref().and_then(|p| p.reasons).unwrap_or(ALL_REASONS)
                & ALL_REASONS;
            if reasons & !covered == 0 {
                continue;
            }
            if let Err(obstacle) = usable(index, crl, issuer, work) {
                obstacles.note(obstacle);
                continue;
            }
            let fresh = fresh(crl, options);
            match crl.find(&certificate.issuer, certificate.serial()) {
                // A list past its time still proves a revocation, unless that can be lifted.
                Some(found)
                    if fresh.is_ok()
                        || (crl.this_update <= options.at.saturating_add(options.clock_skew)
                            && found.reason != Some(Revocation::HOLD)) =>
                {
                    let Revocation { since, .. } = found;
                    return Err(Failure::Revoked { since, reason: found.reason_name() });
                }
                _ => match fresh {
                    Ok(()) => {
                        covered |= reasons;
                        oldest = oldest.min(crl.this_update);
                    }
                    Err(why) => obstacles.note(Obstacle::Stale(why)),
                },
            }
            if covered == ALL_REASONS {
                return Ok(format!("not listed in the CRL of {}", rfc3339(oldest)));
            }
        }
    }
    Err(obstacles.into_failure(certificate, covered))
}

/// Whether any CRL at hand might speak of certificates by this issuer.
pub(crate) fn known(certificate: &Certificate, crls: &[Crl]) -> bool {
    crls.iter().any(|crl| crl.issuer == certificate.issuer)
}

/// A reason why a CRL does not count, the more telling the later.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Unusable(String),
    Stale(String),
}

#[derive(Default)]
struct Obstacles(Option<Obstacle>);

impl Obstacles {
    fn note(&mut self, obstacle: Obstacle) {
        if self.0.as_ref().is_none_or(|seen| *seen < obstacle) {
            self.0 = Some(obstacle);
        }
    }

    fn into_failure(self, certificate: &Certificate, covered: u16) -> Failure {
        match self.0 {
            Some(Obstacle::Stale(why)) => Failure::StatusStale { why },
            Some(Obstacle::Unusable(why)) => Failure::StatusMissing { why },
            None if covered != 0 => Failure::StatusMissing {
                why: "the CRLs at hand cover some reasons for revocation only".into(),
            },
            None => Failure::StatusMissing {
                why: format!("no CRL by \"{}\" that covers this certificate", certificate.issuer),
            },
        }
    }
}

/// Steps (b) (1) and (2) of RFC 5280 6.3.3: the CRL is one for this point and this certificate.
fn concerns(crl: &Crl, point: &DistributionPoint, certificate: &Certificate) -> bool {
    let issuing = crl.point.as_ref();
    let directory = |name: &GeneralName| match name {
        GeneralName::Directory(name) => *name == crl.issuer,
        _ => false,
    };
    let issuer_fits = match &point.crl_issuer {
        Some(names) => {
            names.iter().any(directory)
                && (crl.issuer == certificate.issuer || issuing.is_some_and(|p| p.indirect))
        }
        None => crl.issuer == certificate.issuer,
    };
    if !issuer_fits || crl.is_delta {
        return false;
    }
    let Some(issuing) = issuing else { return true };
    let kind_fits = match (issuing.only_users, issuing.only_cas, issuing.only_attributes) {
        (_, _, true) | (true, true, _) => false,
        (true, false, false) => !certificate.is_ca(),
        (false, true, false) => certificate.is_ca(),
        (false, false, false) => true,
    };
    kind_fits
        && issuing.name.as_ref().is_none_or(|name| {
            let listed = name.names(&crl.issuer);
            point_names(point, &crl.issuer).iter().any(|wanted| listed.contains(wanted))
        })
}

/// The names a point goes by; without a name of its own, those of its CRL issuer.
fn point_names(point: &DistributionPoint, issuer: &Name) -> Vec<GeneralName> {
    match (&point.name, &point.crl_issuer) {
        (Some(name), _) => name.names(issuer),
        (None, Some(names)) => names.clone(),
        (None, None) => vec![GeneralName::Directory(issuer.clone())],
    }
}

/// Steps (f) and (g): signed by the issuer, who may, and nothing in it that is not understood.
fn usable(index: usize, crl: &Crl, issuer: &Certificate, work: &mut Work) -> Result<(), Obstacle> {
    let unusable = |why: String| Err(Obstacle::Unusable(why));
    if !crl.unknown_critical.is_empty() {
        let oids: Vec<_> = crl.unknown_critical.iter().map(ToString::to_string).collect();
        return unusable(format!("the CRL has unknown critical extensions {}", oids.join(", ")));
    }
    if !crl.algorithms_agree {
        return unusable("the two signature algorithm fields of the CRL differ".into());
    }
    if crl.issuer != issuer.subject {
        return unusable(format!("the CRL is signed by another, \"{}\"", crl.issuer));
    }
    if issuer.extensions.key_usage.is_some_and(|bits| bits & key_usage::CRL_SIGN == 0) {
        return unusable(format!("the key usage of \"{}\" lacks cRLSign", issuer.subject));
    }
    let listed = crl.authority_key_id.key_id.as_deref();
    if let (Some(listed), Some(own)) = (listed, issuer.subject_key_id())
        && listed != own
    {
        return unusable("the CRL is signed with another key of the issuer".into());
    }
    match work.crl_signature(index, crl, issuer) {
        Ok(()) => Ok(()),
        Err(Failure::Signature(SignatureError::Invalid { .. })) => {
            unusable("the signature of the CRL does not verify under the issuer's key".into())
        }
        Err(other) => unusable(format!("the CRL: {other}")),
    }
}

fn fresh(crl: &Crl, options: &Options) -> Result<(), String> {
    let at = options.at;
    let since = rfc3339(crl.this_update);
    if crl.this_update > at.saturating_add(options.clock_skew) {
        return Err(format!("the CRL is of {since}, later than {}", rfc3339(at)));
    }
    match crl.next_update {
        Some(next) if next < at => {
            return Err(format!("the CRL of {since} was to be replaced by {}", rfc3339(next)));
        }
        None if options.max_status_age.is_none() => {
            return Err(format!("the CRL of {since} does not say until when it holds"));
        }
        _ => {}
    }
    match options.max_status_age {
        Some(max) if at - crl.this_update > max => {
            Err(format!("the CRL of {since} is older than the {max} s allowed"))
        }
        _ => Ok(()),
    }
}
