//! What a holder signs: an intent on the state of the identity as the server shows it, and a
//! statement over it. The authority checks both against its own state, so a server that shows
//! another state gets a statement that counts for nothing.

use wire::event::{EventKind, Revoked};
use wire::intent::{Intent, Name, NameKind};
use wire::rest::Identity;
use wire::statement::{Role, SignatureAlgorithm as Wire, SignedStatement, Statement};
use wire::{Encoded, Hash32, UserId, octets};

use crate::keys::{KeyError, SignatureAlgorithm, Signer};

/// Name of the profile of people's certificates.
const PROFILE: &str = "person";

/// How long an intent counts, in seconds.
const LIFETIME: u64 = 3600;

/// An intent with the holder's statement over it, both DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderStatement {
    /// The [`Intent`].
    pub intent: Vec<u8>,
    /// The [`SignedStatement`].
    pub statement: Vec<u8>,
}

/// The state of an installation and an identity that an intent names.
#[derive(Debug, Clone, Copy)]
pub struct On<'a> {
    /// Hash of the genesis event, from the trust file.
    pub genesis: Hash32,
    /// Hash of the policy in force.
    pub policy: Hash32,
    /// The identity.
    pub identity: &'a Identity,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// Agrees to a renewal with this certification request (DER).
///
/// # Errors
/// The key cannot be used.
pub fn renewal(
    signer: &dyn Signer,
    on: &On<'_>,
    request: &[u8],
) -> Result<HolderStatement, KeyError> {
    let mut intent = intent(on, EventKind::Renew)?;
    intent.csr = Some(Hash32::of(request));
    intent.new_spki = Some(Hash32::of(signer.spki_der()));
    intent.names = vec![user_id(&on.identity.uid)];
    intent.profile = PROFILE.to_owned();
    sign(signer, on, &intent)
}

/// Asks for a revocation.
///
/// # Errors
/// The key cannot be used.
pub fn revocation(
    signer: &dyn Signer,
    on: &On<'_>,
    revoked: &Revoked,
) -> Result<HolderStatement, KeyError> {
    let mut intent = intent(on, EventKind::Revoke)?;
    intent.body = Some(octets(&revoked.to_canonical()));
    sign(signer, on, &intent)
}

fn user_id(uid: &UserId) -> Name {
    Name { kind: NameKind::UserId, value: uid.as_str().to_owned() }
}

fn intent(on: &On<'_>, verb: EventKind) -> Result<Intent, KeyError> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| KeyError::Crypto)?;
    Ok(Intent {
        version: 1,
        verb,
        subject: Some(on.identity.uid.clone()),
        head: Some(on.identity.head),
        sequence: on.identity.sequence + 1,
        csr: None,
        new_spki: None,
        names: Vec::new(),
        profile: String::new(),
        policy: on.policy,
        recovery_commitment: None,
        body: None,
        nonce: octets(&nonce),
        expiry: on.now + LIFETIME,
    })
}

fn sign(signer: &dyn Signer, on: &On<'_>, intent: &Intent) -> Result<HolderStatement, KeyError> {
    let statement = Statement::new(on.genesis, intent.verb, Role::CurrentKey, intent.hash());
    let algorithm = match signer.algorithm() {
        SignatureAlgorithm::EcdsaSha256 => Wire::EcdsaP256Sha256,
        SignatureAlgorithm::EcdsaSha384 => Wire::EcdsaP384Sha384,
        SignatureAlgorithm::RsaPkcs1Sha256 => Wire::RsaPkcs1Sha256,
    };
    let signed: SignedStatement =
        evidence::sign_statement(statement, signer.spki_der(), algorithm, |message| {
            signer.sign(message)
        })?;
    Ok(HolderStatement { intent: intent.to_canonical(), statement: signed.to_canonical() })
}
