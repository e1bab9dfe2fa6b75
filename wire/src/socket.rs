//! What a gateway, or the local administrator, says to the authority, and what it answers.
//!
//! A connection begins with a [`Hello`] from the caller and a [`Welcome`] from the authority; then
//! requests go one way and responses the other, in any order, paired by `id`. Each is one frame
//! ([`crate::frame`]). A caller never sends a digest or a TBS: there is no message for it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::problem::Problem;
use crate::{Hash32, IdempotencyKey, UserId, rest};

/// Version of the messages; both sides must have the same.
pub const VERSION: u16 = 2;

/// First frame of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// The caller's program and version, for logs.
    pub program: String,
}

/// The authority's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// Go on.
    Ok {
        /// Greatest number of requests in flight on this connection; more are answered
        /// `overloaded`.
        in_flight: u32,
    },
    /// Another version is spoken here; the connection ends.
    Version {
        /// The authority's.
        version: u16,
    },
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Pairs the response with it; the caller's choice, unique among those in flight.
    pub id: u64,
    /// The caller's request id, for logs and problems.
    pub request_id: String,
    /// How long the caller will wait, in milliseconds.
    pub deadline_ms: u32,
    /// The TLS client certificate's SubjectPublicKeyInfo (DER) and common name, where the peer of
    /// the gateway showed one.
    pub peer: Option<Peer>,
    /// What is asked.
    pub body: RequestBody,
}

/// A TLS peer as the gateway saw it. Its word is transport evidence, no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// SubjectPublicKeyInfo, DER.
    pub spki: ByteBuf,
    /// Common name, for people.
    pub name: String,
}

/// Signed material that comes with a request. Formats: [`crate::intent`], [`crate::statement`],
/// [`crate::webauthn`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The intent, DER.
    pub intent: Option<ByteBuf>,
    /// Signed statements, DER.
    pub statements: Vec<ByteBuf>,
    /// WebAuthn assertions, DER.
    pub assertions: Vec<ByteBuf>,
    /// OpenID Connect ID tokens, compact JWS.
    pub id_tokens: Vec<String>,
    /// SubjectPublicKeyInfos (DER) that are revealed: a recovery key that signs, a key to adopt.
    pub public_keys: Vec<ByteBuf>,
    /// Addresses of the channels that the intent names, sealed for the authority (HPKE, RFC 9180):
    /// the gateway does not see them.
    pub addresses: Vec<ByteBuf>,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Enrol, or renew: a certificate for a CSR. Answered with [`ResponseBody::Certificate`].
    Issue {
        /// For whom.
        uid: UserId,
        /// The PKCS#10 request, DER or PEM, as received.
        csr: ByteBuf,
        /// The same key with the same request gives the same certificate.
        idempotency_key: Option<IdempotencyKey>,
        /// Who vouches.
        signed: Signed,
    },
    /// Revoke. Answered with [`ResponseBody::Certificate`].
    Revoke {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
        /// [`crate::event::RevocationReason`] by name.
        reason: String,
        /// Who asks.
        signed: Signed,
    },
    /// Answered with [`ResponseBody::Identity`].
    Identity {
        /// Whose.
        uid: UserId,
    },
    /// Certificates of an identity, newest first. Answered with [`ResponseBody::Certificates`].
    Certificates {
        /// Whose.
        uid: UserId,
        /// Where to go on.
        page: PageRequest,
    },
    /// Answered with [`ResponseBody::History`].
    History {
        /// Whose.
        uid: UserId,
        /// Where to go on.
        page: PageRequest,
    },
    /// Answered with [`ResponseBody::Certificate`].
    Certificate {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
    },
    /// Answered with [`ResponseBody::Installation`].
    Installation,
    /// Answered with [`ResponseBody::Crl`].
    Crl {
        /// Issuer's id.
        issuer: String,
        /// Number of the shard.
        shard: u32,
    },
    /// Answered with [`ResponseBody::Health`].
    Health,
    /// The latest signed checkpoint. Answered with [`ResponseBody::Checkpoint`].
    Checkpoint,
    /// A tile of the log by its C2SP tlog-tiles path (`0/x001/234`, `entries/000.p/5`, …). Answered
    /// with [`ResponseBody::Tile`].
    Tile {
        /// The path below `tile/`.
        path: String,
    },
    /// All that is needed to verify an identity offline. Answered with [`ResponseBody::Bundle`].
    Bundle {
        /// Whose.
        uid: UserId,
        /// Events from this sequence number on; what is before it is at hand.
        since: u64,
    },
    /// Certificates of all identities, for the local administrator and enrolment agents alone.
    /// Answered with [`ResponseBody::Certificates`].
    SearchCertificates {
        /// Which.
        query: Box<rest::CertificateQuery>,
        /// Where to go on.
        page: PageRequest,
    },
    /// Identities, for the local administrator and enrolment agents alone. Answered with
    /// [`ResponseBody::Identities`].
    SearchIdentities {
        /// Which.
        query: Box<rest::IdentityQuery>,
        /// Where to go on.
        page: PageRequest,
    },
    /// What the intent asks for by its verb: rekey, recover, switch-request, suspend, resume, void,
    /// retire, rename, channel-change, recovery-commitment-change, adopt, reissue. Answered with
    /// [`ResponseBody::Done`].
    Ask {
        /// Whom it is about.
        uid: UserId,
        /// The PKCS#10 request that the intent names, DER or PEM.
        csr: Option<ByteBuf>,
        /// The intent and who signed it.
        signed: Signed,
        /// The same key with the same request gives the same answer.
        idempotency_key: Option<IdempotencyKey>,
    },
    /// Officers approve a pending switch. Answered with [`ResponseBody::Done`].
    Approve {
        /// Hash of the switch-request's intent.
        switch: Hash32,
        /// Their statements; the intent need not come along.
        signed: Signed,
    },
    /// Objects to a pending switch, or to an announced retirement. Answered with
    /// [`ResponseBody::Done`].
    Veto {
        /// Hash of the intent that is objected to.
        switch: Hash32,
        /// Who objects; the intent need not come along.
        signed: Signed,
    },
    /// What the intent asks for changes the installation: policy, roster, agents, providers,
    /// escrow, issuers, co-signers, strike. Answered with [`ResponseBody::Done`].
    Change {
        /// The intent and the officers' statements.
        signed: Signed,
    },
    /// A switch, pending or over. Answered with [`ResponseBody::Switch`].
    Switch {
        /// Hash of its intent.
        switch: Hash32,
    },
    /// Pending switches, for the local administrator, officers and agents alone. Answered with
    /// [`ResponseBody::Switches`].
    Switches {
        /// Where to go on.
        page: PageRequest,
    },
    /// The policy in force and who has a say in it. Answered with [`ResponseBody::Policy`].
    Policy,
    /// What an identity, or an id that is not enrolled, may do now and what it takes. Answered with
    /// [`ResponseBody::Ways`].
    Ways {
        /// Whose.
        uid: UserId,
        /// Other rules to suppose ([`crate::rules::Rules`], DER); else those in force.
        rules: Option<ByteBuf>,
    },
    /// Whose key moved, oldest first, for the local administrator and agents alone. Answered with
    /// [`ResponseBody::KeyChanges`].
    KeyChanges {
        /// Where to go on.
        page: PageRequest,
    },
    /// About the tokens, for the local administrator alone. Answered with [`ResponseBody::Hsm`].
    Hsm(crate::hsm::HsmAsk),
}

impl RequestBody {
    /// What is asked, in a word, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Issue { .. } => "issue",
            Self::Revoke { .. } => "revoke",
            Self::Identity { .. } => "identity",
            Self::Certificates { .. } => "certificates",
            Self::History { .. } => "history",
            Self::Certificate { .. } => "certificate",
            Self::Installation => "installation",
            Self::Crl { .. } => "crl",
            Self::Health => "health",
            Self::Checkpoint => "checkpoint",
            Self::Tile { .. } => "tile",
            Self::Bundle { .. } => "bundle",
            Self::SearchCertificates { .. } => "search-certificates",
            Self::SearchIdentities { .. } => "search-identities",
            Self::Ask { .. } => "ask",
            Self::Approve { .. } => "approve",
            Self::Veto { .. } => "veto",
            Self::Change { .. } => "change",
            Self::Switch { .. } => "switch",
            Self::Switches { .. } => "switches",
            Self::Policy => "policy",
            Self::Ways { .. } => "ways",
            Self::KeyChanges { .. } => "key-changes",
            Self::Hsm(_) => "hsm",
        }
    }

    /// Whether it asks for a decision; everything else only looks.
    #[must_use]
    pub fn decides(&self) -> bool {
        matches!(
            self,
            Self::Issue { .. }
                | Self::Revoke { .. }
                | Self::Ask { .. }
                | Self::Approve { .. }
                | Self::Veto { .. }
                | Self::Change { .. }
        )
    }
}

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// Cursor from the page before.
    pub cursor: Option<String>,
    /// Greatest number of entries, 1 to 1000.
    pub limit: u32,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's id.
    pub id: u64,
    /// The answer.
    pub result: Result<ResponseBody, Problem>,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseBody {
    /// A certificate.
    Certificate {
        /// The certificate.
        certificate: Box<rest::Certificate>,
        /// Whether this request made it (201), or it was there already (200).
        created: bool,
    },
    /// An identity.
    Identity(Box<rest::Identity>),
    /// Certificates.
    Certificates(rest::Page<rest::Certificate>),
    /// History.
    History(rest::Page<rest::HistoryEntry>),
    /// The installation.
    Installation(Box<rest::Installation>),
    /// A CRL.
    Crl {
        /// The CertificateList (RFC 5280 section 5), DER.
        der: ByteBuf,
        /// nextUpdate, seconds since 1970; caches need not ask before.
        next_update: u64,
    },
    /// Health.
    Health(rest::Health),
    /// A checkpoint as a signed note (C2SP tlog-checkpoint), text.
    Checkpoint(String),
    /// A tile; immutable.
    Tile(ByteBuf),
    /// A bundle.
    Bundle(Box<crate::bundle::Bundle>),
    /// Identities.
    Identities(rest::Page<rest::Identity>),
    /// What was done.
    Done(Box<rest::Done>),
    /// A switch.
    Switch(Box<rest::Switch>),
    /// Switches.
    Switches(rest::Page<rest::Switch>),
    /// The policy.
    Policy(Box<rest::Policy>),
    /// What can be done.
    Ways(Vec<rest::Way>),
    /// Whose key moved.
    KeyChanges(rest::Page<rest::KeyChange>),
    /// How the tokens are.
    Hsm(Box<crate::hsm::HsmReport>),
}
