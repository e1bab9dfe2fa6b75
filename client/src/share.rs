//! From user ids to people who can be sealed to: fetched, verified, one result each.

use std::path::Path;

use wire::UserId;
use wire::trust::TrustFile;

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
        let result = match server.material(uid).await {
            Ok(material) => verify_recipient(trust, &contacts, uid, material, now())
                .map_err(MaterialError::from),
            Err(e) => Err(e),
        };
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
                Err(MaterialError::Fetch(_)) => {}
            }
        }
    })?;
    Ok(out)
}
