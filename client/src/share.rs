//! From user ids to people who can be sealed to: fetched, verified, one result each.

use std::path::Path;

use wire::UserId;
use wire::trust::TrustFile;

use crate::bundle;
use crate::contacts::{Contacts, ContactsError};
use crate::fetch::{MaterialError, Server};
use crate::recipient::{VerifiedRecipient, verify_recipient};

/// What became of one person.
#[derive(Debug)]
pub struct Resolved {
    /// The person.
    pub uid: UserId,
    /// Can be sealed to, or why not.
    pub result: Result<VerifiedRecipient, MaterialError>,
}

/// Fetches and verifies each person once, in the order given. Those who pass are pinned in the
/// contacts file; of those whose key is not the one known the certificate is kept there as
/// evidence. `now` is asked after each fetch and gives seconds since 1970.
///
/// # Errors
/// The contacts file could not be read or written. Everything else is a result.
pub async fn resolve(
    server: &Server,
    trust: &TrustFile,
    contacts_file: &Path,
    uids: &[UserId],
    now: impl Fn() -> i64,
) -> Result<Vec<Resolved>, ContactsError> {
    let contacts = Contacts::load(contacts_file)?;
    let mut out: Vec<Resolved> = Vec::new();
    for uid in uids {
        if out.iter().any(|resolved| resolved.uid == *uid) {
            continue;
        }
        let result = verified(server, trust, &contacts, uid, &now).await;
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
                    }
                }
                Err(MaterialError::Refused(refusal)) => {
                    contacts.keep_refusal(trust.genesis(), refusal, at);
                }
                Err(MaterialError::Fetch(_) | MaterialError::Unproven { .. }) => {}
            }
        }
    })?;
    Ok(out)
}

/// Everything that must hold before anything is sealed to a person: the certificate's checks, and,
/// where the trust file names a log key, the log's proof that this is the identity's key.
async fn verified(
    server: &Server,
    trust: &TrustFile,
    contacts: &Contacts,
    uid: &UserId,
    now: &impl Fn() -> i64,
) -> Result<VerifiedRecipient, MaterialError> {
    let material = server.material(uid).await?;
    let recipient = verify_recipient(trust, contacts, uid, material, now())?;
    if trust.log().is_empty() {
        return Ok(recipient);
    }
    let bundle = server.bundle(uid).await?;
    let unproven = |source| MaterialError::Unproven { uid: uid.clone(), source: Box::new(source) };
    let proven = bundle::verify(trust, uid, &bundle).map_err(unproven)?;
    if proven.identity().key.map(|key| key.spki) != Some(recipient.spki_sha256()) {
        return Err(unproven(bundle::BundleError::Certificate));
    }
    Ok(recipient)
}
