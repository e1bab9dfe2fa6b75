//! From user ids to people who can be sealed to: fetched, verified, one result each.

use std::collections::HashMap;
use std::path::Path;

use evidence::Issuance;
use evidence::issuance::CRL_COUNTER_BITS;
use wire::event::EventKind;
use wire::{Hash32, UserId};

use crate::bundle::{self, BundleError, Known, ProvenIdentity};
use crate::contacts::{Contacts, ContactsError};
use crate::fetch::{MaterialError, Server};
use crate::log::{self, LogError, Seen};
use crate::moves::{self, Since};
use crate::recipient::{
    CLOCK_SKEW, Material, RecipientRefusal, VerifiedRecipient, verify_proven_recipient,
    verify_recipient, verify_switched_recipient,
};
use crate::trust::{CheckpointError, Trust};

/// What became of one person.
#[derive(Debug)]
pub struct Resolved {
    /// The person.
    pub uid: UserId,
    /// Can be sealed to, or why not.
    pub result: Result<VerifiedRecipient, MaterialError>,
}

/// What is demanded beyond the certificate's own checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogProof {
    /// The log's proof. A trust file without a log key is refused.
    #[default]
    Demanded,
    /// The log's proof, unless the trust file names no log key.
    IfThereIsALogKey,
}

/// Fetches and verifies each person once, in the order given. Those who pass are pinned in the
/// contacts file; of those whose key is not the one known, and of whom nothing proves that they
/// changed it, the certificate is kept there as evidence, and so are two checkpoints of which one
/// does not continue the other. `now` is asked after each fetch and gives seconds since 1970.
///
/// # Errors
/// The contacts file could not be read or written. Everything else is a result.
pub async fn resolve(
    server: &Server,
    trust: &Trust,
    log_proof: LogProof,
    contacts_file: &Path,
    uids: &[UserId],
    now: impl Fn() -> i64,
) -> Result<Vec<Resolved>, ContactsError> {
    let contacts = Contacts::load(contacts_file)?;
    let genesis = trust.genesis();
    let mut seen = contacts.log(genesis).cloned();
    let mut known = HashMap::new();
    let mut out: Vec<Resolved> = Vec::new();
    for uid in uids {
        if out.iter().any(|resolved| resolved.uid == *uid) {
            continue;
        }
        let outcome = verified(server, trust, log_proof, &contacts, uid, seen.as_ref(), &now).await;
        let result = outcome.map(|(recipient, proven)| {
            if let Some(proven) = proven {
                seen = Some(proven.checkpoint().clone());
                known.extend(proven.known().map(|known| (uid.clone(), known.clone())));
            }
            recipient
        });
        out.push(Resolved { uid: uid.clone(), result });
    }
    let at = now();
    Contacts::update(contacts_file, |contacts| {
        for resolved in &mut out {
            match &resolved.result {
                // Known under another key since the file was read: then it is refused after all.
                Ok(recipient) => {
                    if let Err(refusal) = contacts.pin(recipient, at) {
                        resolved.result = Err(refusal.into());
                    } else if let Some(known) = known.get(&resolved.uid) {
                        contacts.remember(genesis, &resolved.uid, known);
                    }
                }
                Err(MaterialError::Refused(refusal)) => {
                    contacts.keep_refusal(genesis, refusal, at);
                }
                Err(MaterialError::Log { source, shown, .. })
                    if matches!(**source, LogError::Forked { .. }) =>
                {
                    contacts.keep_fork(shown, at);
                }
                Err(
                    MaterialError::Fetch(_)
                    | MaterialError::Unproven { .. }
                    | MaterialError::Log { .. },
                ) => {}
            }
        }
        if let Some(seen) = &seen {
            contacts.saw(seen);
        }
    })?;
    Ok(out)
}

/// Everything that must hold before anything is sealed to a person: the certificate's checks, the
/// log's proof that this is the identity's key, and that the log continues what was seen of it.
async fn verified(
    server: &Server,
    trust: &Trust,
    log_proof: LogProof,
    contacts: &Contacts,
    uid: &UserId,
    seen: Option<&Seen>,
    now: &impl Fn() -> i64,
) -> Result<(VerifiedRecipient, Option<ProvenIdentity>), MaterialError> {
    let material = match server.material(uid).await {
        // Nobody to seal to: perhaps there never was.
        Err(MaterialError::Refused(refusal @ RecipientRefusal::NotActive { .. })) => {
            let voided = voided(server, trust, contacts, uid, now).await;
            return Err(voided.unwrap_or(refusal).into());
        }
        other => other?,
    };
    if trust.log().is_none() && log_proof == LogProof::IfThereIsALogKey {
        return Ok((verify_recipient(trust, contacts, uid, material, now())?, None));
    }
    // The certificate first, whoever is known: a server of another installation fails by its root.
    let old_list = match verify_recipient(trust, &Contacts::new(), uid, material.clone(), now()) {
        // An issuer whose token is locked signs no lists meanwhile: something else may stand in.
        Err(refusal) if refusal.is_stale() && trust.log().is_some() => Some(refusal),
        checked => checked.map(|_| None)?,
    };
    let unproven = |source| MaterialError::Unproven { uid: uid.clone(), source: Box::new(source) };
    if trust.log().is_none() {
        return Err(unproven(CheckpointError::NoLogKey.into()));
    }
    let known = contacts.known(trust.genesis(), uid);
    let since = known.as_ref().map_or(0, Known::next);
    let bundle = server.bundle(uid, since).await?;
    let seconds = u64::try_from(now()).unwrap_or(0);
    let proven = bundle::verify(trust, uid, &bundle, known.as_ref(), seconds).map_err(unproven)?;
    let shown = Hash32::from_bytes(material.certificate.spki_hash());
    if proven.identity().key.map(|key| key.spki) != Some(shown) {
        return Err(unproven(BundleError::Certificate));
    }
    if let Some(seen) = seen {
        let shown = proven.checkpoint();
        log::continues(server, seen, shown).await.map_err(|source| MaterialError::Log {
            uid: uid.clone(),
            source: Box::new(source),
            shown: Box::new(shown.clone()),
        })?;
    }
    let recipient = match old_list {
        None => verify_proven_recipient(trust, contacts, uid, material, &proven, now())?,
        Some(_) if is_recent(server, trust, &proven, &material, now()).await? => {
            verify_switched_recipient(trust, contacts, uid, material, &proven, now())?
        }
        Some(refusal) => return Err(refusal.into()),
    };
    Ok((recipient, Some(proven)))
}

/// Whether the enrolment of a contact was declared false, as the log proves it. What cannot be
/// proven changes nothing.
async fn voided(
    server: &Server,
    trust: &Trust,
    contacts: &Contacts,
    uid: &UserId,
    now: &impl Fn() -> i64,
) -> Option<RecipientRefusal> {
    trust.log()?;
    let expected = contacts.find(trust.genesis(), uid)?.spki_sha256;
    let known = contacts.known(trust.genesis(), uid);
    let bundle = server.bundle(uid, known.as_ref().map_or(0, Known::next)).await.ok()?;
    let seconds = u64::try_from(now()).unwrap_or(0);
    let proven = bundle::verify(trust, uid, &bundle, known.as_ref(), seconds).ok()?;
    match moves::since(&proven, expected) {
        Since::Voided(at_ms) => {
            Some(RecipientRefusal::Voided { uid: uid.clone(), expected, at_ms })
        }
        _ => None,
    }
}

/// Whether the proof is recent though the CRL is old, because the issuer that signs switches signs
/// CRLs only while its token is open. Co-signers say when they saw the checkpoint; else the other
/// issuer's CRL is recent, and says which size the log had by then.
async fn is_recent(
    server: &Server,
    trust: &Trust,
    proven: &ProvenIdentity,
    material: &Material,
    now: i64,
) -> Result<bool, MaterialError> {
    let Ok(issuance) = Issuance::new(proven.installation()) else { return Ok(false) };
    let (own, other) = (issuance.ca(EventKind::SwitchComplete), issuance.ca(EventKind::Renew));
    let by_own = x509::Certificate::parse(material.certificate.der())
        .is_ok_and(|certificate| certificate.is_signed_by(own.issuer()));
    if own.hash() == other.hash() || !by_own {
        return Ok(false);
    }
    if proven.as_of().is_some() {
        // Its age was looked at with the proof.
        return Ok(true);
    }
    let der = server.first_crl(&other.issuer().id()).await?;
    let Ok(list) = x509::Crl::parse(&der) else { return Ok(false) };
    let url = issuance.profile().crl_url(other.issuer(), Some(0));
    let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let age = seconds(trust.file().max_status_age());
    let in_time = seconds(list.this_update()).saturating_add(age) >= now
        && seconds(list.this_update()) <= now + CLOCK_SKEW
        && list.next_update().is_some_and(|next| seconds(next) >= now);
    let covered = list.number().map(|number| number >> CRL_COUNTER_BITS);
    Ok(in_time
        && list.is_signed_by(other.issuer())
        && list.distribution_point() == Some(&url)
        && covered.is_some_and(|size| size <= u128::from(proven.checkpoint().size)))
}
