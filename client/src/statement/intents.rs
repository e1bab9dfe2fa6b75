//! One intent for each verb.

use wire::body::{Channel, Channels, recovery_commitment};
use wire::event::{EventKind, Revoked};
use wire::intent::{Intent, Name, NameKind};
use wire::{Encoded, Hash32, octets};

use super::{Draft, On};
use crate::keys::{KeyError, Signer, certification_request};

/// Name of the profile of people's certificates.
const PROFILE: &str = "person";

/// How long most intents count, in seconds.
pub const HOUR: u64 = 3600;

/// Greatest age of a request that several officers sign one after the other, in seconds.
pub const FOR_SEVERAL: u64 = 14 * 24 * HOUR;

/// A first certificate, over the key of this certification request (DER). What the holder sets with
/// it, a recovery key and channels, the holder's own key has to sign.
///
/// # Errors
/// No random numbers.
pub fn enrolment(
    on: &On,
    request: &[u8],
    spki: &[u8],
    recovery_key: Option<&[u8]>,
    channels: Vec<Channel>,
) -> Result<Draft, KeyError> {
    // The names to begin with are those that `on` says.
    let mut draft = certified(on, EventKind::Enrol, request, spki)?;
    // A person asks, an agent signs another day.
    draft.intent.expiry = on.now + FOR_SEVERAL;
    draft.intent.recovery_commitment = recovery_key.map(recovery_commitment);
    if !channels.is_empty() {
        let channels = Channels { version: 1, channels };
        draft.intent.body = Some(octets(&channels.to_canonical()));
    }
    Ok(draft)
}

/// A new certificate over the same key.
///
/// # Errors
/// The key cannot be used.
pub fn renewal(on: &On, key: &dyn Signer) -> Result<Draft, KeyError> {
    with_request(on, EventKind::Renew, key)
}

/// Other names besides the id: all that there are to be. Whoever vouches for those that are new
/// signs, too. `spki` is the identity's key.
///
/// # Errors
/// No random numbers.
pub fn rename(on: &On, spki: Hash32, names: &[Name]) -> Result<Draft, KeyError> {
    let mut draft = plain(on, EventKind::Rename)?;
    draft.intent.names = all_names(on, names);
    draft.intent.profile = PROFILE.to_owned();
    draft.intent.new_spki = Some(spki);
    Ok(draft)
}

/// A revocation.
///
/// # Errors
/// No random numbers.
pub fn revocation(on: &On, revoked: &Revoked) -> Result<Draft, KeyError> {
    let mut draft = plain(on, EventKind::Revoke)?;
    draft.intent.body = Some(octets(&revoked.to_canonical()));
    Ok(draft)
}

/// Another key, at once; old and new key sign.
///
/// # Errors
/// The key cannot be used.
pub fn rekey(on: &On, new: &dyn Signer) -> Result<Draft, KeyError> {
    with_request(on, EventKind::Rekey, new)
}

/// Another key, at once, by the recovery key, which `next_recovery_key` replaces.
///
/// # Errors
/// The key cannot be used.
pub fn recovery(on: &On, new: &dyn Signer, next_recovery_key: &[u8]) -> Result<Draft, KeyError> {
    let mut draft = with_request(on, EventKind::Recover, new)?;
    draft.intent.recovery_commitment = Some(recovery_commitment(next_recovery_key));
    Ok(draft)
}

/// A switch to another key, which officers approve. It counts for `lifetime` seconds: until it is
/// approved and its wait is over.
///
/// # Errors
/// The key cannot be used.
pub fn switch(
    on: &On,
    new: &dyn Signer,
    recovery_key: Option<&[u8]>,
    lifetime: u64,
) -> Result<Draft, KeyError> {
    let mut draft = with_request(on, EventKind::SwitchRequest, new)?;
    draft.intent.recovery_commitment = recovery_key.map(recovery_commitment);
    draft.intent.expiry = on.now + lifetime;
    Ok(draft)
}

/// Lifts a suspension. Where the recovery key signs, `next_recovery_key` replaces it.
///
/// # Errors
/// No random numbers.
pub fn resumption(on: &On, next_recovery_key: Option<&[u8]>) -> Result<Draft, KeyError> {
    let mut draft = plain(on, EventKind::Resume)?;
    draft.intent.recovery_commitment = next_recovery_key.map(recovery_commitment);
    Ok(draft)
}

/// Another recovery key.
///
/// # Errors
/// No random numbers.
pub fn recommitment(on: &On, recovery_key: &[u8]) -> Result<Draft, KeyError> {
    let mut draft = plain(on, EventKind::RecoveryCommitmentChange)?;
    draft.intent.recovery_commitment = Some(recovery_commitment(recovery_key));
    Ok(draft)
}

/// Other channels for notices: all that hold afterwards.
///
/// # Errors
/// No random numbers.
pub fn channels(on: &On, channels: Vec<Channel>) -> Result<Draft, KeyError> {
    let mut draft = plain(on, EventKind::ChannelChange)?;
    draft.intent.body = Some(octets(&Channels { version: 1, channels }.to_canonical()));
    Ok(draft)
}

/// A change of the installation: the verb and the body that belongs to it, DER.
///
/// # Errors
/// No random numbers.
pub fn change(on: &On, verb: EventKind, body: &[u8]) -> Result<Draft, KeyError> {
    let mut draft = plain(on, verb)?;
    draft.intent.body = Some(octets(body));
    Ok(draft)
}

/// A verb that needs nothing but its subject: suspend, void, retire. What officers sign one after
/// the other counts longer than what one person signs alone.
///
/// # Errors
/// No random numbers.
pub fn plain(on: &On, verb: EventKind) -> Result<Draft, KeyError> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| KeyError::Crypto)?;
    let by_one = matches!(
        verb,
        EventKind::Renew
            | EventKind::Revoke
            | EventKind::Rekey
            | EventKind::Recover
            | EventKind::RecoveryCommitmentChange
    );
    let intent = Intent {
        version: 1,
        verb,
        subject: on.subject.clone(),
        head: on.head,
        sequence: on.sequence,
        csr: None,
        new_spki: None,
        names: Vec::new(),
        profile: String::new(),
        policy: on.policy,
        recovery_commitment: None,
        body: None,
        nonce: octets(&nonce),
        expiry: on.now + if by_one { HOUR } else { FOR_SEVERAL },
    };
    Ok(Draft::new(on.genesis, intent))
}

fn with_request(on: &On, verb: EventKind, key: &dyn Signer) -> Result<Draft, KeyError> {
    // An intent of an identity always names it; without one there is no request to make.
    let uid = on.subject.clone().ok_or(KeyError::Crypto)?;
    certified(on, verb, &certification_request(key, &uid)?, key.spki_der())
}

fn certified(on: &On, verb: EventKind, request: &[u8], spki: &[u8]) -> Result<Draft, KeyError> {
    let mut draft = plain(on, verb)?;
    draft.intent.names = all_names(on, &on.names);
    draft.intent.profile = PROFILE.to_owned();
    draft.intent.csr = Some(Hash32::of(request));
    draft.intent.new_spki = Some(Hash32::of(spki));
    draft.csr = Some(request.to_vec());
    Ok(draft)
}

/// The id, then the names besides it.
fn all_names(on: &On, besides: &[Name]) -> Vec<Name> {
    let id = on.subject.iter().map(|uid| {
        let value = uid.as_str().to_owned();
        Name { kind: NameKind::UserId, value }
    });
    id.chain(besides.iter().cloned()).collect()
}
