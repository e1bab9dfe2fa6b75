//! Signed bytes in, facts out. Nothing else makes a [`policy::Fact`].
//!
//! Each function verifies the bytes first and says in one sentence what they prove. Whether the
//! fact is enough is the policy's business.

pub mod dossier;
mod replay;
mod statement;

use policy::Fact;
use policy::fact::mint;
use wire::event::TransportWord;

pub use replay::{History, HistoryError};
pub use statement::{StatementError, sign_statement, statement, verify_signature};

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
