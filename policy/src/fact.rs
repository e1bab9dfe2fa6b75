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

    /// A transport let a peer talk.
    #[must_use]
    pub fn transport(source: TransportSource, peer: Hash32) -> Fact {
        Fact(Proven::Transport { source, peer })
    }
}
