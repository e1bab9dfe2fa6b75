//! Whether a certificate is revoked, from CRLs (RFC 5280 6.3) and OCSP answers (RFC 6960) at hand.

mod ocsp;

use crate::cert::{Certificate, key_usage};
use crate::crl::{Crl, Revocation};
use crate::extensions::{DistributionPoint, Quirk};
use crate::name::{GeneralName, Name, PointName};
use crate::ocsp::Sought;
use crate::options::Options;
use crate::profile::Profile;
use crate::report::{Class, Failure};
use crate::search::Pool;
use crate::sig::{PublicKey, SignatureError};
use crate::time::rfc3339;
use crate::work::Work;

/// Bits 1 to 8 of ReasonFlags: every reason there is.
const ALL_REASONS: u16 = 0x01fe;

/// Is this certificate revoked?
#[derive(Clone, Copy)]
pub(crate) struct Question<'a, 's> {
    pub(crate) certificate: &'a Certificate,
    /// Its issuer on the path in question.
    pub(crate) issuer: &'a Certificate,
    /// The issuer's key, with the numbers it inherits.
    pub(crate) issuer_key: &'s PublicKey,
    /// The anchor of that path, to which CRL signers need a path as well.
    pub(crate) anchor: &'a Certificate,
    pub(crate) pool: &'s Pool<'a>,
    pub(crate) options: &'s Options,
}

impl Question<'_, '_> {
    /// Not revoked, by what; or revoked, or unknown. If one source says revoked, it is.
    pub(crate) fn status(&self, work: &mut Work) -> Result<String, Failure> {
        let mut obstacles = Obstacles::default();
        let good = self.ocsp_status(&mut obstacles, work)?;
        match (self.crl_status(&mut obstacles, work), good) {
            (Err(failure), Some(good)) if failure.class() == Class::Stale => Ok(good),
            (result, _) => result,
        }
    }

    /// The same from CRLs alone.
    fn crl_status(&self, obstacles: &mut Obstacles, work: &mut Work) -> Result<String, Failure> {
        let Self { certificate, options, .. } = self;
        let mut covered = 0;
        let mut oldest = i64::MAX;
        // The issuer's own list stands in where no point is named or no named one says enough
        // (RFC 5280 6.3.3, last paragraphs).
        let implied = DistributionPoint { name: None, reasons: None, crl_issuer: None };
        let points = certificate.extensions.distribution_points.iter().chain([&implied]);
        for point in points {
            // The newest first, since what it says counts more than what earlier ones said.
            for &index in &self.pool.newest_crls {
                let crl = &self.pool.crls[index];
                work.spend(effort(crl, point, certificate))?;
                if crl.is_delta() || !concerns(crl, point, certificate) {
                    continue;
                }
                let reasons = point.reasons.unwrap_or(ALL_REASONS)
                    & crl.point.as_ref().and_then(|p| p.reasons).unwrap_or(ALL_REASONS)
                    & ALL_REASONS;
                if reasons & !covered == 0 {
                    continue;
                }
                if let Err(obstacle) = self.usable(index, work) {
                    obstacles.note(obstacle);
                    continue;
                }
                let fresh = fresh(crl, options);
                let listed = self.listed(crl, work)?;
                match listed {
                    // A list past its time still proves a revocation, unless that can be lifted.
                    Some(found) if fresh.is_ok() || outlasts(crl, found, options) => {
                        let Revocation { since, .. } = found;
                        return Err(Failure::Revoked { since, reason: found.reason_name() });
                    }
                    // What breaks the rules may still revoke, but it clears nobody.
                    _ => match fresh.map_err(Obstacle::Stale).and(conforming(crl, options)) {
                        Ok(()) => {
                            covered |= reasons;
                            oldest = oldest.min(crl.this_update);
                        }
                        Err(obstacle) => obstacles.note(obstacle),
                    },
                }
                if covered == ALL_REASONS {
                    return Ok(format!("not listed in the CRL of {}", rfc3339(oldest)));
                }
            }
        }
        Err(obstacles.failure(certificate, covered))
    }

    /// What a complete list says, and the deltas to it that count.
    fn listed(&self, complete: &Crl, work: &mut Work) -> Result<Option<Revocation>, Failure> {
        let mut effort = self.pool.crls.len();
        let mut find =
            |crl: &Crl| crl.find(&self.certificate.issuer, self.certificate.serial(), &mut effort);
        let mut listed = find(complete);
        for &index in &self.pool.newest_crls {
            let delta = &self.pool.crls[index];
            // The same issuer and scope, and no older key (RFC 5280 6.3.3 (c)).
            let fits = delta.updates(complete)
                && delta.issuer == complete.issuer
                && delta.point == complete.point
                && delta.authority_key_id.key_id == complete.authority_key_id.key_id
                && delta.this_update >= complete.this_update;
            if !fits || self.usable(index, work).is_err() {
                continue;
            }
            // As with complete lists: past its time, or breaking the rules, it may still revoke, but
            // neither clears nor keeps an earlier one from being heard.
            let fresh = fresh(delta, self.options).is_ok();
            if !fresh || conforming(delta, self.options).is_err() {
                match find(delta) {
                    Some(found)
                        if found.reason != Some(Revocation::REMOVED)
                            && (fresh || outlasts(delta, found, self.options)) =>
                    {
                        listed = Some(found);
                        break;
                    }
                    _ => continue,
                }
            }
            match find(delta) {
                Some(found) if found.reason == Some(Revocation::REMOVED) => listed = None,
                Some(found) => listed = Some(found),
                None => {}
            }
            // The newest has all changes since the complete list (5.2.4).
            break;
        }
        work.spend(effort)?;
        Ok(listed)
    }

    /// Steps (f) and (g) of 6.3.3: signed by one who may, and nothing in it that is not
    /// understood.
    fn usable(&self, index: usize, work: &mut Work) -> Result<(), Obstacle> {
        let crl = &self.pool.crls[index];
        let unusable = |why: String| Err(Obstacle::Unusable(why));
        if !crl.unknown_critical.is_empty() {
            let oids: Vec<_> = crl.unknown_critical.iter().map(ToString::to_string).collect();
            return unusable(format!(
                "the CRL has unknown critical extensions {}",
                oids.join(", ")
            ));
        }
        if !crl.algorithms_agree {
            return unusable("the two signature algorithm fields of the CRL differ".into());
        }
        let mut result = unusable(format!("no certificate of the CRL's signer \"{}\"", crl.issuer));
        if crl.issuer == self.issuer.subject {
            result = signed_by(index, crl, self.issuer, self.issuer_key, work);
            if result.is_ok() {
                return result;
            }
        }
        // Another key under the issuer's name, or the signer of an indirect CRL.
        let named = self.pool.named(&crl.issuer);
        let each = 1 + crl.authority_key_id.effort();
        if work.spend(named.iter().map(|other| each + other.effort() / 8).sum()).is_err() {
            return result;
        }
        let mut others: Vec<_> = named.to_vec();
        others.retain(|other| other.key != self.issuer.key || crl.issuer != self.issuer.subject);
        others.sort_by_cached_key(|other| crl.authority_key_id.distance(other));
        for other in others {
            match signed_by(index, crl, other, &other.key, work) {
                Ok(()) if self.pool.is_signer(other, self.anchor, self.options, work) => {
                    return Ok(());
                }
                Ok(()) => {
                    let why = format!("the CRL's signer \"{}\" has no good path", other.subject);
                    result = unusable(why);
                }
                Err(_) => {}
            }
        }
        result
    }
}

/// `strict` finds nothing wrong with the list.
fn conforming(crl: &Crl, options: &Options) -> Result<(), Obstacle> {
    match crl.quirk {
        Some(Quirk { rfc, what }) if options.profile == Profile::Strict => {
            Err(Obstacle::Unusable(format!("not as RFC 5280 {rfc} has issuers write CRLs: {what}")))
        }
        _ => Ok(()),
    }
}

/// Whether the one list at hand, a complete one of this issuer, is fit to clear certificates.
pub(crate) fn examine<'a>(
    issuer: &'a Certificate,
    pool: &Pool<'a>,
    options: &Options,
    work: &mut Work,
) -> Result<(), String> {
    let (certificate, anchor, issuer_key) = (issuer, issuer, &issuer.key);
    let question = Question { certificate, issuer, issuer_key, anchor, pool, options };
    let [crl] = pool.crls else { return Err("not one list".into()) };
    if crl.is_delta() || crl.issuer != issuer.subject {
        return Err(format!("not a complete list by \"{}\"", issuer.subject));
    }
    let told = |obstacle| match obstacle {
        Obstacle::Unusable(why) | Obstacle::Stale(why) => why,
    };
    question.usable(0, work).and_then(|()| conforming(crl, options)).map_err(told)?;
    fresh(crl, options)
}

/// A revocation that stands although the list's time is over.
fn outlasts(crl: &Crl, found: Revocation, options: &Options) -> bool {
    crl.this_update <= options.at.saturating_add(options.clock_skew)
        && found.reason != Some(Revocation::HOLD)
}

/// Whether any CRL at hand might speak of this certificate (its issuer's, or one by whom its
/// distribution points name), or any OCSP answer does.
pub(crate) fn known(
    certificate: &Certificate,
    issuer: &Certificate,
    pool: &Pool<'_>,
    work: &mut Work,
) -> Result<bool, Failure> {
    let basics = || pool.ocsp.iter().filter_map(|response| response.basic().ok());
    work.spend(pool.crls.len() + basics().map(|basic| 1 + basic.singles.len()).sum::<usize>())?;
    let sought = Sought::new(certificate, issuer);
    let points = &certificate.extensions.distribution_points;
    let appointed = |crl: &Crl| {
        let names = points.iter().filter_map(|point| point.crl_issuer.as_ref()).flatten();
        names.into_iter().any(|name| matches!(name, GeneralName::Directory(n) if *n == crl.issuer))
    };
    let issuers = points.iter().map(issuers).sum::<usize>() + certificate.issuer.len() / 256;
    work.spend(pool.crls.len() * issuers)?;
    Ok(pool.crls.iter().any(|crl| crl.issuer == certificate.issuer || appointed(crl))
        || basics().any(|basic| basic.singles.iter().any(|single| sought.is(&single.id))))
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

    fn failure(&self, certificate: &Certificate, covered: u16) -> Failure {
        match &self.0 {
            Some(Obstacle::Stale(why)) => Failure::StatusStale { why: why.clone() },
            Some(Obstacle::Unusable(why)) => Failure::StatusMissing { why: why.clone() },
            None if covered != 0 => Failure::StatusMissing {
                why: "the CRLs at hand cover some reasons for revocation only".into(),
            },
            None => Failure::StatusMissing {
                why: format!(
                    "no CRL by \"{}\" and no OCSP answer that covers this certificate",
                    certificate.issuer
                ),
            },
        }
    }
}

/// What it may cost to compare the issuers that a point names with one name.
fn issuers(point: &DistributionPoint) -> usize {
    point.crl_issuer.iter().flatten().map(|name| 1 + name.len() / 256).sum()
}

/// What it may cost to hold the names of a point against those of a CRL.
fn effort(crl: &Crl, point: &DistributionPoint, certificate: &Certificate) -> usize {
    let of = |name: Option<&PointName>| 1 + name.map_or(0, |name| name.effort(&crl.issuer));
    let issuers = issuers(point);
    certificate.issuer.len() / 256
        + of(crl.point.as_ref().and_then(|p| p.name.as_ref())) * (of(point.name.as_ref()) + issuers)
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
    if !issuer_fits {
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

/// The CRL's signature by this certificate's key, which may be used so.
fn signed_by(
    index: usize,
    crl: &Crl,
    signer: &Certificate,
    key: &PublicKey,
    work: &mut Work,
) -> Result<(), Obstacle> {
    let unusable = |why: String| Err(Obstacle::Unusable(why));
    if signer.extensions.key_usage.is_some_and(|bits| bits & key_usage::CRL_SIGN == 0) {
        return unusable(format!("the key usage of \"{}\" lacks cRLSign", signer.subject));
    }
    let listed = crl.authority_key_id.key_id.as_deref();
    if let (Some(listed), Some(own)) = (listed, signer.subject_key_id())
        && listed != own
    {
        return unusable("the CRL is signed with another key of the issuer".into());
    }
    match work.crl_signature(index, crl, signer, key) {
        Ok(()) => Ok(()),
        Err(Failure::Signature(SignatureError::Invalid { .. })) => {
            unusable("the signature of the CRL does not verify under the issuer's key".into())
        }
        Err(other) => unusable(format!("the CRL: {other}")),
    }
}

fn fresh(crl: &Crl, options: &Options) -> Result<(), String> {
    let Crl { this_update, next_update, .. } = *crl;
    Validity { what: "CRL", this_update, next_update }.fresh(options)
}

/// For how long a CRL or an OCSP answer holds.
struct Validity {
    what: &'static str,
    this_update: i64,
    next_update: Option<i64>,
}

impl Validity {
    /// It holds at the time in question, and is not older than the caller allows.
    fn fresh(&self, options: &Options) -> Result<(), String> {
        let Self { what, this_update, next_update } = self;
        let (at, since) = (options.at, rfc3339(*this_update));
        if *this_update > at.saturating_add(options.clock_skew) {
            return Err(format!("the {what} is of {since}, later than {}", rfc3339(at)));
        }
        match next_update {
            Some(next) if *next < at => {
                let until = rfc3339(*next);
                return Err(format!("the {what} of {since} was to be replaced by {until}"));
            }
            None if options.max_status_age.is_none() => {
                return Err(format!("the {what} of {since} does not say until when it holds"));
            }
            _ => {}
        }
        match options.max_status_age {
            Some(max) if at.saturating_sub(*this_update) > max => {
                Err(format!("the {what} of {since} is older than the {max} s allowed"))
            }
            _ => Ok(()),
        }
    }
}
