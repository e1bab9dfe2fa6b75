//! Statements: who agrees to which intent, in which role, for which act (DESIGN section 3).

use der::Sequence;
use der::asn1::OctetString;

use crate::Hash32;
use crate::codec::{encoded, numbered};
use crate::event::EventKind;

/// The domain-separating first field of every statement.
pub const DOMAIN: &str = "avouch.statement.v1";

numbered! {
    /// In which role somebody signs.
    Role {
        /// The identity's current key.
        CurrentKey = 1, "current-key";
        /// The key that the identity would move to.
        NewKey = 2, "new-key";
        /// The identity's recovery key.
        RecoveryKey = 3, "recovery-key";
        /// An officer of the roster.
        Officer = 4, "officer";
        /// An enrolment agent.
        Agent = 5, "agent";
        /// The directory's service (SCIM).
        Directory = 6, "directory";
        /// An auditor.
        Auditor = 7, "auditor";
    }
}

numbered! {
    /// How a statement is signed. The key's own kind must fit.
    SignatureAlgorithm {
        /// ECDSA on P-256 with SHA-256 (RFC 5758), DER-encoded signature.
        EcdsaP256Sha256 = 1, "ecdsa-p256-sha256";
        /// ECDSA on P-384 with SHA-384 (RFC 5758), DER-encoded signature.
        EcdsaP384Sha384 = 2, "ecdsa-p384-sha384";
        /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2), what PIV tokens offer.
        RsaPkcs1Sha256 = 3, "rsa-pkcs1-sha256";
        /// Ed25519 (RFC 8032).
        Ed25519 = 4, "ed25519";
    }
}

/// The bytes that are signed: nothing else in Avouch begins with [`DOMAIN`], so a signature over a
/// statement is a signature over nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Statement {
    /// [`DOMAIN`].
    pub domain: String,
    /// Format version, 1.
    pub version: u8,
    /// Hash of the genesis event: which installation.
    pub genesis: Hash32,
    /// The act: an approval (`switch-approve`) and a veto of one intent are different acts.
    pub verb: EventKind,
    /// The signer's role.
    pub role: Role,
    /// SHA-256 of the [`crate::intent::Intent`].
    pub intent: Hash32,
    /// SHA-256 of the signed remark, where one belongs to it: how an officer identified the person.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub remark: Option<Hash32>,
}
encoded!(
    Statement,
    "statement",
    limit = 1024,
    check = |statement| {
        if statement.domain != DOMAIN {
            return Err(("domain", format!("is {:?}, not {DOMAIN:?}", statement.domain)));
        }
        Ok(())
    }
);

impl Statement {
    /// A statement of this version.
    #[must_use]
    pub fn new(genesis: Hash32, verb: EventKind, role: Role, intent: Hash32) -> Self {
        Self { domain: DOMAIN.to_owned(), version: 1, genesis, verb, role, intent, remark: None }
    }

    /// The statement with a remark that is signed along.
    #[must_use]
    pub fn with_remark(self, remark: &str) -> Self {
        Self { remark: Some(Hash32::of(remark.as_bytes())), ..self }
    }
}

/// A statement with its signature. The signer's key is named by hash; it is found in the state
/// (the identity, the roster, the agents), never taken from the message.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct SignedStatement {
    /// Format version, 1.
    pub version: u8,
    /// What is signed.
    pub statement: Statement,
    /// SHA-256 of the signer's SubjectPublicKeyInfo.
    pub signer: Hash32,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// The signature over the DER of `statement`.
    pub signature: OctetString,
    /// For an officer's approval: how the person was identified. It says something only where the
    /// statement has its hash.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub remark: Option<String>,
}
encoded!(
    SignedStatement,
    "signed statement",
    limit = 8192,
    check = |signed| {
        // The DER of the envelope says nothing of what is inside: a signature over other bytes of the
        // same shape must not pass for one over a statement.
        match signed.statement.version() {
            Statement::VERSION => {
                signed.statement.check().map_err(|e| ("statement", e.to_string()))
            }
            other => Err(("statement", format!("has version {other}, not {}", Statement::VERSION))),
        }
    }
);
