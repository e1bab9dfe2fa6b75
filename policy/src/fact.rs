//! Facts: what signed bytes prove.

use wire::Hash32;
use wire::event::TransportSource;
use wire::intent::Intent;
use wire::statement::Statement;

/// Something proven. Outside of tests only the `evidence` crate makes facts, after it has verified
/// the bytes behind them; the workspace's checks hold that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact(pub(crate) Proven);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proven {
    /// A certification request's own signature verifies.
    Possession { spki: Hash32, csr: Hash32 },
    /// A statement's signature verifies under the key with hash `signer`, and `intent` is the
    /// value whose hash it signs.
    Signed { statement: Statement, signer: Hash32, intent: Box<Intent> },
    /// The recovery key with this hash is the one that this commitment is to.
    Revealed { spki: Hash32, commitment: Hash32 },
    /// An identity provider says that its user `subject` asked for the intent with this hash.
    /// `email` is an address of that user that it has verified.
    Identified { issuer: String, subject: String, email: Option<String>, intent: Hash32 },
    /// The co-signer with this verifier key's hash signed a checkpoint that holds the leaf at
    /// `from`, and a later one at `until`, seconds by its own clock.
    Waited { cosigner: Hash32, leaf: Hash32, from: u64, until: u64 },
    /// The issuing key with SHA-256 `issuer` signed a certificate over key `spki`.
    Certified { spki: Hash32, issuer: Hash32 },
    /// A transport let somebody talk. No bytes are signed.
    Transport { source: TransportSource, peer: Hash32 },
}

/// Makers of facts, for `evidence` alone.
pub mod mint {
    use super::{Fact, Hash32, Intent, Proven, Statement, TransportSource};

    /// The holder of the private key to `spki` made the request `csr` (both SHA-256).
    #[must_use]
    pub fn possession(spki: Hash32, csr: Hash32) -> Fact {
        Fact(Proven::Possession { spki, csr })
    }

    /// The key with SHA-256 `signer` signed `statement`, which is about `intent`.
    #[must_use]
    pub fn signed(statement: Statement, signer: Hash32, intent: Intent) -> Fact {
        Fact(Proven::Signed { statement, signer, intent: Box::new(intent) })
    }

    /// The recovery key with SHA-256 `spki` is the one that `commitment` is to.
    #[must_use]
    pub fn revealed(spki: Hash32, commitment: Hash32) -> Fact {
        Fact(Proven::Revealed { spki, commitment })
    }

    /// A configured identity provider's token, in force, names `subject` and has the hash of
    /// `intent` as its nonce; it has verified the user's address `email`, where there is one.
    #[must_use]
    pub fn identified(
        issuer: String,
        subject: String,
        email: Option<String>,
        intent: Hash32,
    ) -> Fact {
        Fact(Proven::Identified { issuer, subject, email, intent })
    }

    /// The co-signer whose verifier key (`vkey` text) has this SHA-256 co-signed a checkpoint that
    /// holds `leaf` at `from`, and a later one at `until` (seconds since 1970, its own clock).
    #[must_use]
    pub fn waited(cosigner: Hash32, leaf: Hash32, from: u64, until: u64) -> Fact {
        Fact(Proven::Waited { cosigner, leaf, from, until })
    }

    /// The issuing key with SHA-256 `issuer` signed a certificate over the key with SHA-256 `spki`.
    #[must_use]
    pub fn certified(spki: Hash32, issuer: Hash32) -> Fact {
        Fact(Proven::Certified { spki, issuer })
    }

    /// A transport let a peer talk.
    #[must_use]
    pub fn transport(source: TransportSource, peer: Hash32) -> Fact {
        Fact(Proven::Transport { source, peer })
    }
}
