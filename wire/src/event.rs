//! Events: the one ordered log that all state follows from (DESIGN section 3).

use der::Sequence;
use der::asn1::OctetString;

use crate::codec::{encoded, numbered};
use crate::{Hash32, UserId};

numbered! {
    /// What an event does. The numbers are frozen; new kinds take new numbers.
    EventKind {
        /// Leaf 0: the installation's first roster, policy, agents and issuing keys.
        Genesis = 0, "genesis";
        /// An identity begins with key 0.
        Enrol = 1, "enrol";
        /// An identity begins with a key that existed before.
        Adopt = 2, "adopt";
        /// A new certificate for the same key.
        Renew = 3, "renew";
        /// A new certificate for the same key by campaign, without the holder.
        Reissue = 4, "reissue";
        /// The next key, signed for by the old one.
        Rekey = 5, "rekey";
        /// The next key, signed for by the recovery key.
        Recover = 6, "recover";
        /// A switch to a new key is asked for.
        SwitchRequest = 7, "switch-request";
        /// An officer approves a pending switch.
        SwitchApprove = 8, "switch-approve";
        /// A pending switch takes effect.
        SwitchComplete = 9, "switch-complete";
        /// A pending switch is dropped.
        Veto = 10, "veto";
        /// Active to suspended.
        Suspend = 11, "suspend";
        /// Suspended to active.
        Resume = 12, "resume";
        /// A certificate is revoked; the identity has no key from then on.
        Revoke = 13, "revoke";
        /// An enrolment is declared false.
        Void = 14, "void";
        /// The identity ends; its id is never used again.
        Retire = 15, "retire";
        /// The names in the certificate change.
        Rename = 16, "rename";
        /// Where notices go changes.
        ChannelChange = 17, "channel-change";
        /// The commitment to the recovery key changes.
        RecoveryCommitmentChange = 18, "recovery-commitment-change";
        /// The policy changes.
        PolicyChange = 19, "policy-change";
        /// The officers change.
        RosterChange = 20, "roster-change";
        /// The enrolment agents change.
        AgentsChange = 21, "agents-change";
        /// The identity providers' keys change.
        ProvidersChange = 22, "providers-change";
        /// The organisation's escrow key changes.
        EscrowChange = 23, "escrow-change";
        /// A leaf that the auditors refuse is declared dead.
        Strike = 24, "strike";
        /// An issuing key is added or withdrawn.
        IssuersChange = 25, "issuers-change";
        /// The co-signers change.
        CosignersChange = 26, "cosigners-change";
    }
}

impl EventKind {
    /// Whether a certificate follows from the event, which then has a [`Certified`] body.
    #[must_use]
    pub fn certifies(self) -> bool {
        use EventKind as K;
        matches!(
            self,
            K::Enrol
                | K::Adopt
                | K::Renew
                | K::Reissue
                | K::Rekey
                | K::Recover
                | K::SwitchComplete
                | K::Rename
        )
    }

    /// Whether the event belongs to one identity (else to the installation).
    #[must_use]
    pub fn is_of_identity(self) -> bool {
        use EventKind as K;
        !matches!(
            self,
            K::Genesis
                | K::PolicyChange
                | K::RosterChange
                | K::AgentsChange
                | K::ProvidersChange
                | K::EscrowChange
                | K::Strike
                | K::IssuersChange
                | K::CosignersChange
        )
    }
}

numbered! {
    /// What a piece of evidence is.
    EvidenceKind {
        /// A PKCS#10 certification request (RFC 2986), DER.
        Csr = 1, "csr";
        /// A [`crate::statement::SignedStatement`].
        Statement = 2, "statement";
        /// An OpenID Connect ID token (compact JWS).
        IdToken = 3, "id-token";
        /// A WebAuthn assertion ([`crate::webauthn::Assertion`]).
        WebAuthn = 4, "webauthn";
        /// The word of the transport alone, a [`TransportWord`].
        Transport = 5, "transport";
        /// A SubjectPublicKeyInfo (DER) that is revealed: a recovery key that signs.
        PublicKey = 6, "public-key";
        /// A [`crate::waited::WaitProof`].
        WaitProof = 7, "wait-proof";
        /// The certificate of a completed switch (DER), signed by the issuing authority for switches.
        SwitchCertificate = 8, "switch-certificate";
    }
}

numbered! {
    /// Where the word of a transport comes from.
    TransportSource {
        /// A TLS client certificate that the gateway saw.
        Mtls = 1, "mtls";
        /// The local administrator's socket.
        AdminSocket = 2, "admin-socket";
    }
}

/// Transport evidence: somebody was allowed to talk, and nothing more is proven. It counts only
/// under the policy's `allow_transport_evidence`, and auditors refuse it.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct TransportWord {
    /// Format version, 1.
    pub version: u8,
    /// Which transport.
    pub source: TransportSource,
    /// SHA-256 of the peer's SubjectPublicKeyInfo; zero for a local administrator.
    pub peer: Hash32,
    /// The peer's name, for people.
    pub name: String,
}
encoded!(TransportWord, "transport word", limit = 1024);

/// One piece of evidence as stored, and as handed to auditors.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Evidence {
    /// What the data is.
    pub kind: EvidenceKind,
    /// The data as it was received, byte for byte.
    pub data: OctetString,
}

impl Evidence {
    /// Wraps received bytes.
    #[must_use]
    pub fn new(kind: EvidenceKind, data: &[u8]) -> Self {
        Self { kind, data: crate::octets(data) }
    }

    /// How an event names this piece.
    #[must_use]
    pub fn reference(&self) -> EvidenceRef {
        EvidenceRef { kind: self.kind, hash: Hash32::of(self.data.as_bytes()) }
    }
}

/// How an event names a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct EvidenceRef {
    /// What the data is.
    pub kind: EvidenceKind,
    /// SHA-256 of the data.
    pub hash: Hash32,
}

/// The envelope of every event. Its leaf commits to these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Event {
    /// Format version, 1.
    pub version: u8,
    /// Version of the policy engine that decided it.
    pub engine: u8,
    /// What it does.
    pub kind: EventKind,
    /// The authority's clock when it decided, in milliseconds since 1970.
    pub time_ms: u64,
    /// The identity, for events of one.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub subject: Option<UserId>,
    /// Number of this event in its identity's (or the installation's) history, from 0.
    pub sequence: u64,
    /// Leaf hash of the event before it in that history; none for the first.
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub previous: Option<Hash32>,
    /// Hash of the policy in force.
    pub policy: Hash32,
    /// The intent, where somebody signed one ([`crate::intent::Intent`], DER).
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    pub intent: Option<OctetString>,
    /// What the decision rests on.
    pub evidence: Vec<EvidenceRef>,
    /// The body that belongs to the kind, DER: [`Certified`], [`Revoked`], …
    pub body: OctetString,
}
encoded!(
    Event,
    "event",
    limit = 1 << 20,
    check = |event| {
        if event.kind.is_of_identity() != event.subject.is_some() {
            return Err(("subject", format!("does not fit a {} event", event.kind)));
        }
        if (event.sequence == 0) != event.previous.is_none() {
            return Err(("previous", format!("does not fit sequence {}", event.sequence)));
        }
        Ok(())
    }
);

/// Body of events after which a certificate is signed (enrol, adopt, renew, reissue, rekey,
/// recover, switch-complete, rename).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Certified {
    /// Format version, 1.
    pub version: u8,
    /// SHA-256 of the SubjectPublicKeyInfo that is certified.
    pub spki: Hash32,
    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub issuer: Hash32,
    /// The serial number, 16 octets.
    pub serial: OctetString,
    /// notBefore, seconds since 1970.
    pub not_before: u64,
    /// notAfter, seconds since 1970.
    pub not_after: u64,
    /// Name of the certificate profile.
    pub profile: String,
    /// SHA-256 of the TBSCertificate that will be signed.
    pub tbs: Hash32,
    /// Whether the holder proved possession of the private key.
    pub possession_proven: bool,
    /// Commitment to the recovery key, where one is set by this event.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub recovery_commitment: Option<Hash32>,
}
encoded!(Certified, "certified body", limit = 4096);

numbered! {
    /// Why a certificate is revoked: the numbers of CRLReason (RFC 5280 section 5.3.1) that fit a
    /// person's key.
    RevocationReason {
        /// No reason given; carried in CRLs by leaving the reason out.
        Unspecified = 0, "unspecified";
        /// The private key is, or may be, in other hands.
        KeyCompromise = 1, "key-compromise";
        /// The person left.
        AffiliationChanged = 3, "affiliation-changed";
        /// A newer certificate took its place.
        Superseded = 4, "superseded";
        /// The key is not used any more.
        CessationOfOperation = 5, "cessation-of-operation";
    }
}

/// Body of a revoke event.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Revoked {
    /// Format version, 1.
    pub version: u8,
    /// The serial number that was asked for, 16 octets. Every certificate over the same key falls
    /// with it.
    pub serial: OctetString,
    /// Why.
    pub reason: RevocationReason,
}
encoded!(Revoked, "revoked body", limit = 1024);
