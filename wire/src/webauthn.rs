//! WebAuthn assertions as evidence: a statement that a passkey signed.

use der::Sequence;
use der::asn1::OctetString;

use crate::Hash32;
use crate::codec::encoded;
use crate::statement::{SignatureAlgorithm, Statement};

/// A statement with an assertion over it. The assertion's challenge is SHA-256 of the statement's
/// DER, so it names installation, verb, role and intent: an approval cannot serve as a veto.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Assertion {
    /// Format version, 1.
    pub version: u8,
    /// What is signed.
    pub statement: Statement,
    /// SHA-256 of the passkey's SubjectPublicKeyInfo.
    pub signer: Hash32,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// authenticatorData (WebAuthn section 6.1).
    pub authenticator_data: OctetString,
    /// clientDataJSON (WebAuthn section 5.8.1).
    pub client_data: OctetString,
    /// Over authenticatorData ‖ SHA-256(clientDataJSON).
    pub signature: OctetString,
    /// How the person was identified; its hash stands in the statement.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub remark: Option<String>,
}
encoded!(Assertion, "webauthn assertion", limit = 16 * 1024);
