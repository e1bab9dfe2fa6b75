//! Whether a certificate is revoked, from OCSP answers at hand (RFC 6960 3.2).

use super::{Obstacle, Obstacles, Question, Validity};
use crate::cert::{Certificate, key_usage};
use crate::crl::Revocation;
use crate::ocsp::{Basic, Single, Sought, Status};
use crate::options::Options;
use crate::profile::Profile;
use crate::report::Failure;
use crate::time::rfc3339;
use crate::work::Work;
use crate::{oid, strict};

/// The most certificates of one answer that are tried as its signer.
const MAX_SIGNERS: usize = 4;

impl<'a> Question<'a, '_> {
    /// Good, by which answer; or revoked; or neither, with the reasons noted.
    pub(super) fn ocsp_status(
        &self,
        obstacles: &mut Obstacles,
        work: &mut Work,
    ) -> Result<Option<String>, Failure> {
        let mut good: Option<i64> = None;
        let sought = Sought::new(self.certificate, self.issuer);
        for (index, response) in self.pool.ocsp.iter().enumerate() {
            let basic = match response.basic() {
                Ok(basic) => basic,
                Err(why) => {
                    obstacles.note(Obstacle::Unusable(why.into()));
                    continue;
                }
            };
            work.spend(1 + basic.singles.len())?;
            // Of several about the same certificate the newest counts, of two as new what revokes.
            let single = basic
                .singles
                .iter()
                .filter(|single| sought.is(&single.id))
                .max_by_key(|s| (s.this_update, matches!(s.status, Status::Revoked(_))));
            let Some(single) = single else { continue };
            // Each certificate sent along may be its signer's.
            work.spend(basic.certificates.iter().map(Certificate::effort).sum())?;
            if let Err(obstacle) = self.ocsp_usable(index, basic, single, work) {
                obstacles.note(obstacle);
                continue;
            }
            let fresh = fresh(basic, single, self.options);
            match (single.status, fresh) {
                (Status::Revoked(found), fresh)
                    if fresh.is_ok() || lasts(single, found, self.options) =>
                {
                    let Revocation { since, .. } = found;
                    return Err(Failure::Revoked { since, reason: found.reason_name() });
                }
                (_, Err(why)) => obstacles.note(Obstacle::Stale(why)),
                (Status::Good, Ok(())) => good = good.max(Some(single.this_update)),
                (Status::Unknown, Ok(())) => {
                    let why = "the OCSP responder does not know this certificate".into();
                    obstacles.note(Obstacle::Unusable(why));
                }
                (Status::Revoked(_), Ok(())) => {}
            }
        }
        Ok(good.map(|at| format!("good by the OCSP answer of {}", rfc3339(at))))
    }

    /// Signed by one who may answer for the issuer (RFC 6960 4.2.2.2), and nothing in it that is
    /// not understood.
    fn ocsp_usable(
        &self,
        index: usize,
        basic: &'a Basic,
        single: &Single,
        work: &mut Work,
    ) -> Result<(), Obstacle> {
        if basic.unknown_critical || single.unknown_critical {
            let why = "the OCSP answer has unknown critical extensions";
            return Err(Obstacle::Unusable(why.into()));
        }
        let mut result = Err(Obstacle::Unusable(
            "no certificate of the OCSP answer's signer, or not one of its issuer".into(),
        ));
        if basic.responder.is(self.issuer) {
            result = work
                .ocsp_signature(index, basic, self.issuer, self.issuer_key)
                .map_err(|e| Obstacle::Unusable(format!("the OCSP answer: {e}")));
            if result.is_ok() {
                return result;
            }
        }
        let delegates = basic.certificates.iter().filter(|c| basic.responder.is(c));
        for delegate in delegates.take(MAX_SIGNERS) {
            result = self.is_delegate(delegate, work).and_then(|()| {
                work.ocsp_signature(index, basic, delegate, &delegate.key)
                    .map_err(|e| Obstacle::Unusable(format!("the OCSP answer: {e}")))
            });
            if result.is_ok() {
                return result;
            }
        }
        result
    }

    /// A certificate for signing OCSP answers, issued directly by the issuer in question.
    fn is_delegate(&self, delegate: &'a Certificate, work: &mut Work) -> Result<(), Obstacle> {
        let unusable = |why: String| {
            let who = &delegate.subject;
            Err(Obstacle::Unusable(format!("the OCSP answer's signer \"{who}\" {why}")))
        };
        let extensions = &delegate.extensions;
        if delegate.issuer != self.issuer.subject {
            return unusable("is not of the certificate's issuer".into());
        }
        let signing = extensions
            .extended_key_usage
            .as_ref()
            .is_some_and(|list| list.iter().any(|oid| oid.as_bytes() == oid::OCSP_SIGNING));
        if !signing {
            return unusable("may not sign OCSP answers: no OCSPSigning".into());
        }
        let usage = key_usage::DIGITAL_SIGNATURE | key_usage::NON_REPUDIATION;
        if extensions.key_usage.is_some_and(|bits| bits & usage == 0) {
            return unusable("lacks the key usage digitalSignature".into());
        }
        if !extensions.unknown_critical.is_empty() {
            return unusable("has unknown critical extensions".into());
        }
        if !(delegate.not_before..=delegate.not_after).contains(&self.options.at) {
            return unusable("is outside its validity".into());
        }
        if self.options.profile == Profile::Strict
            && let Some(quirk) = strict::quirks(delegate, Some(self.issuer)).first()
        {
            return unusable(format!(
                "is not as {} has issuers write it: {}",
                quirk.rfc, quirk.what
            ));
        }
        if let Err(e) = work.signature_by(delegate, self.issuer, self.issuer_key) {
            return unusable(format!("does not verify: {e}"));
        }
        if extensions.ocsp_no_check {
            return Ok(());
        }
        // Its own status comes from CRLs alone: answers of responders about responders may go
        // round in circles (RFC 6960 4.2.2.2.1).
        let question = Question { certificate: delegate, ..*self };
        let mut obstacles = Obstacles::default();
        match question.crl_status(&mut obstacles, work) {
            Ok(_) => Ok(()),
            Err(failure @ Failure::Revoked { .. }) => unusable(format!("is {failure}")),
            // Where nothing is known, it is a matter of local policy.
            Err(_) if self.options.profile == Profile::Rfc5280 => Ok(()),
            Err(failure) => unusable(format!("has no noCheck extension, and: {failure}")),
        }
    }
}

/// A revocation that stands although the answer's time is over.
fn lasts(single: &Single, found: Revocation, options: &Options) -> bool {
    single.this_update <= options.at.saturating_add(options.clock_skew)
        && found.reason != Some(Revocation::HOLD)
}

fn fresh(basic: &Basic, single: &Single, options: &Options) -> Result<(), String> {
    let validity = Validity {
        what: "OCSP answer",
        this_update: single.this_update,
        next_update: single.next_update,
    };
    validity.fresh(options)?;
    if basic.produced_at > options.at.saturating_add(options.clock_skew) {
        return Err(format!(
            "the OCSP answer was made on {}, later than {}",
            rfc3339(basic.produced_at),
            rfc3339(options.at)
        ));
    }
    Ok(())
}
