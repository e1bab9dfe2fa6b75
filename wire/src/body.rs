//! Bodies of the events that move, stop and end identities, and that change the installation
//! (DESIGN section 3). Those after which a certificate follows have [`crate::event::Certified`].

use der::Sequence;
use der::asn1::OctetString;

use crate::Hash32;
use crate::codec::{encoded, numbered};
use crate::genesis::{Cosigner, InstallationKey, Keyholder, Provider};
use crate::intent::MAX_INTENT;
use crate::rules::Rules;
use crate::statement::Role;

/// Domain of the commitment to a recovery key.
const RECOVERY_DOMAIN: &[u8] = b"avouch.recovery.commitment.v1\0";

/// SHA-256(domain ‖ SubjectPublicKeyInfo): what an identity shows of its recovery key until that
/// is used.
#[must_use]
pub fn recovery_commitment(spki: &[u8]) -> Hash32 {
    Hash32::of(&[RECOVERY_DOMAIN, spki].concat())
}

/// Body of a switch-request event: the terms that hold for this request, whatever the policy
/// becomes meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct SwitchRequested {
    /// Format version, 1.
    pub version: u8,
    /// Hash of the intent that approvals and vetoes are about.
    pub intent: Hash32,
    /// SHA-256 of the new key's SubjectPublicKeyInfo.
    pub spki: Hash32,
    /// Officers who must approve.
    pub approvals: u32,
    /// How long it waits, in seconds.
    pub wait: u64,
    /// When it expires, milliseconds since 1970.
    pub expires_ms: u64,
    /// Approvals that came with the request.
    pub approved: Vec<Approval>,
}
encoded!(SwitchRequested, "switch-requested body", limit = 8192);

/// One officer's approval.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Approval {
    /// SHA-256 of the officer's SubjectPublicKeyInfo.
    pub officer: Hash32,
    /// SHA-256 of the text that says how the person was identified.
    pub remark: Hash32,
}

/// Body of a switch-approve event.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct SwitchApproved {
    /// Format version, 1.
    pub version: u8,
    /// Hash of the request's intent.
    pub intent: Hash32,
    /// Who approves with this event.
    pub approved: Vec<Approval>,
}
encoded!(SwitchApproved, "switch-approved body", limit = 8192);

numbered! {
    /// What a veto does.
    VetoEffect {
        /// The request is gone.
        Dropped = 1, "dropped";
        /// An officer-made suspension stands, so whoever holds the current key may be the thief:
        /// the wait doubles and one more officer must approve.
        Slowed = 2, "slowed";
    }
}

/// Body of a veto event.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Vetoed {
    /// Format version, 1.
    pub version: u8,
    /// Hash of the request's intent.
    pub intent: Hash32,
    /// In which role.
    pub by: Role,
    /// To what effect.
    pub effect: VetoEffect,
}
encoded!(Vetoed, "vetoed body", limit = 1024);

/// Body of suspend and resume events.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Standing {
    /// Format version, 1.
    pub version: u8,
    /// Who did it: the current key, officers, the directory, the recovery key.
    pub by: Role,
}
encoded!(Standing, "standing body", limit = 1024);

numbered! {
    /// Where a change that waits has come to.
    Phase {
        /// It is announced and waits.
        Announced = 1, "announced";
        /// It holds from here on.
        Effective = 2, "effective";
    }
}

/// Body of void and retire events.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Ended {
    /// Format version, 1.
    pub version: u8,
    /// Announced or effective.
    pub phase: Phase,
}
encoded!(Ended, "ended body", limit = 1024);

numbered! {
    /// How notices go out.
    ChannelKind {
        /// By mail.
        Mail = 1, "mail";
        /// By a signed call to an address of the organisation.
        Webhook = 2, "webhook";
    }
}

/// Where notices go. Contacts see events, so the address itself is not here: the authority and
/// auditors have it with its salt.
#[derive(Debug, Clone, PartialEq, Eq, Sequence, serde::Serialize, serde::Deserialize)]
pub struct Channel {
    /// How.
    pub kind: ChannelKind,
    /// SHA-256(32 bytes of salt ‖ address).
    pub address: Hash32,
}

/// Body of a channel-change event and of its intent, and of an enrolment's intent that sets the
/// first ones.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Channels {
    /// Format version, 1.
    pub version: u8,
    /// All that hold afterwards; at most 8.
    pub channels: Vec<Channel>,
}
encoded!(
    Channels,
    "channels body",
    limit = 1024,
    check = |body| {
        if body.channels.len() > 8 {
            return Err(("channels", format!("{} of them; at most 8", body.channels.len())));
        }
        Ok(())
    }
);

/// Body of a recovery-commitment-change event.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Recommitted {
    /// Format version, 1.
    pub version: u8,
    /// The new commitment.
    pub commitment: Hash32,
    /// Who set it: the recovery key before it, or the current key.
    pub by: Role,
    /// Until when the recovery key before it wins, milliseconds since 1970; 0: it does not.
    pub old_wins_until_ms: u64,
}
encoded!(Recommitted, "recommitted body", limit = 1024);

/// Body of an event that changes the installation: the body of its intent, and whether it holds
/// yet.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Changed {
    /// Format version, 1.
    pub version: u8,
    /// Announced or effective.
    pub phase: Phase,
    /// What changes: [`Rules`], [`Roster`], [`Agents`], [`Providers`], [`Escrow`], [`Issuers`],
    /// [`Cosigners`] or [`Struck`], DER.
    pub change: OctetString,
}
encoded!(Changed, "changed body", limit = MAX_INTENT);

/// Greatest length of a list that an intent carries, in bytes. Sixty-four officers with RSA-4096
/// keys have less than half of it.
pub const MAX_LIST: usize = 120 * 1024;

macro_rules! list {
    ($(#[$meta:meta])* $name:ident, $field:ident, $of:ty, $format:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Sequence)]
        pub struct $name {
            /// Format version, 1.
            pub version: u8,
            /// All of them, as they are afterwards.
            pub $field: Vec<$of>,
        }
        encoded!($name, $format, limit = MAX_LIST);
    };
}

list!(
    /// The officers after a roster-change.
    Roster, officers, Keyholder, "roster"
);
list!(
    /// The enrolment agents after an agents-change.
    Agents, agents, Keyholder, "agents"
);
list!(
    /// The identity providers after a providers-change.
    Providers, providers, Provider, "providers"
);
list!(
    /// The issuing keys after an issuers-change, the one that signs last.
    Issuers, keys, InstallationKey, "issuers"
);
list!(
    /// The co-signers after a cosigners-change.
    Cosigners, cosigners, Cosigner, "cosigners"
);

/// The organisation's escrow certificate after an escrow-change.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Escrow {
    /// Format version, 1.
    pub version: u8,
    /// The certificate, DER; none: escrow is off.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub certificate: Option<OctetString>,
}
encoded!(Escrow, "escrow");

/// What a strike declares dead.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Struck {
    /// Format version, 1.
    pub version: u8,
    /// Leaf hash.
    pub leaf: Hash32,
    /// Index of the leaf in the log, which leads to what follows from it; without it, the leaf is an
    /// identity's latest.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub index: Option<u64>,
}
encoded!(Struck, "struck", limit = 1024);

/// The rules after a policy-change are the body themselves.
pub type PolicyChanged = Rules;
