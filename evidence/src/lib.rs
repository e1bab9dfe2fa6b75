//! Signed bytes in, facts out. Nothing else makes a [`policy::Fact`].
//!
//! Each function verifies the bytes first and says in one sentence what they prove. Whether the
//! fact is enough is the policy's business.

pub mod audit;
pub mod dossier;
pub mod handed;
mod id_token;
pub mod issuance;
mod replay;
mod statement;
#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, clippy::new_without_default)]
pub mod testing;
mod timeline;
mod waited;
mod webauthn;

use policy::Fact;
use policy::fact::mint;
use wire::event::TransportWord;
use wire::genesis::KeyPurpose;

pub use id_token::{TokenError, id_token};
pub use issuance::Issuance;
pub use replay::{History, HistoryError, Snapshot, SnapshotError, Step};
pub use statement::{StatementError, sign_statement, statement, verify_signature};
pub use timeline::{Era, Timeline, TimelineError};
pub use waited::{WaitError, waited};
pub use webauthn::{WebAuthnError, origin_of, webauthn};

/// A parsed certification request proves that whoever made it holds the private key (RFC 2986
/// section 3): [`x509::Csr`] exists only after its signature has been verified.
#[must_use]
pub fn possession(csr: &x509::Csr) -> Fact {
    mint::possession(csr.spki_hash(), csr.hash())
}

/// A transport's word proves that somebody was let in, and nothing more.
#[must_use]
pub fn transport(word: &TransportWord) -> Fact {
    mint::transport(word.source, word.peer)
}

/// A certificate (DER) that an issuing authority for switches signed: it says over which key.
#[must_use]
pub fn switch_certificate(installation: &policy::Installation, der: &[u8]) -> Option<Fact> {
    let certificate = x509::Certificate::parse(der).ok()?;
    let mut keys = installation.keys(KeyPurpose::SwitchIssuing);
    let by = keys.find(|key| {
        x509::Issuer::from_certificate(key.certificate.as_bytes()).is_ok_and(|issuer| {
            issuer.key().spki_der() == key.spki.as_bytes() && certificate.is_signed_by(&issuer)
        })
    })?;
    let spki = wire::Hash32::of(certificate.spki_der());
    Some(mint::certified(spki, wire::Hash32::of(by.spki.as_bytes())))
}

/// A recovery key, revealed: it is the one that this commitment is to.
#[must_use]
pub fn revealed(spki: &[u8]) -> Fact {
    mint::revealed(wire::Hash32::of(spki), wire::body::recovery_commitment(spki))
}
