//! The pieces of evidence behind one event, and what they prove together.

use policy::{Fact, Installation, Time};
use wire::event::{EvidenceKind, EvidenceRef, TransportWord};
use wire::genesis::Keyholder;
use wire::statement::{Role, SignedStatement};
use wire::webauthn::Assertion;
use wire::{Encoded, FormatError, Hash32};
use x509::{Csr, CsrError, KeyRules};

use crate::id_token::TokenError;
use crate::statement::{StatementError, statement};
use crate::waited::WaitError;
use crate::webauthn::WebAuthnError;

/// Most pieces of evidence behind one event.
pub const MAX_EVIDENCE: usize = 64;

/// One piece: the name that events give it, and the bytes as received.
pub type Piece = (EvidenceRef, Vec<u8>);

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DossierError {
    /// Too much of it.
    #[error("{found} pieces of evidence; at most {MAX_EVIDENCE} are taken")]
    TooMany {
        /// Pieces found.
        found: usize,
    },
    /// The bytes are not those that the event names.
    #[error("the {kind} is not the one that the event names")]
    NotTheOne {
        /// What it should be.
        kind: EvidenceKind,
    },
    /// A certification request beside the one that is asked about.
    #[error("there is more than one certification request")]
    TwoRequests,
    /// A statement without the intent that it signs.
    #[error("a statement came without its intent")]
    NoIntent,
    /// A statement by nobody that the state knows.
    #[error("nobody here has the key {signer} that signed a statement")]
    UnknownSigner {
        /// SHA-256 of the signer's SubjectPublicKeyInfo.
        signer: Hash32,
    },
    /// A statement that does not hold.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A WebAuthn assertion that does not hold.
    #[error(transparent)]
    WebAuthn(#[from] WebAuthnError),
    /// A wait proof that does not hold.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// A certificate that no issuing authority for switches signed.
    #[error("a certificate came along that no issuing authority for switches signed")]
    Certificate,
    /// An ID token that does not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A kind that this version does not weigh.
    #[error("{0} evidence is not taken yet")]
    Kind(EvidenceKind),
}

/// A piece with the name that events give it.
#[must_use]
pub fn piece(kind: EvidenceKind, data: Vec<u8>) -> Piece {
    (EvidenceRef { kind, hash: Hash32::of(&data) }, data)
}

/// The certification request among the evidence, parsed and its signature verified.
///
/// # Errors
/// What [`Csr::parse`] refuses.
pub fn csr(evidence: &[Piece], rules: &KeyRules) -> Result<Option<Csr>, CsrError> {
    evidence
        .iter()
        .find(|(reference, _)| reference.kind == EvidenceKind::Csr)
        .map(|(_, data)| Csr::parse(data, rules))
        .transpose()
}

/// What the evidence proves, but for ID tokens, which need the time: see [`facts_at`].
///
/// # Errors
/// The first piece that does not hold; a piece that proves nothing is not passed over.
pub fn facts(
    installation: &Installation,
    csr: Option<&Csr>,
    intent: Option<&[u8]>,
    evidence: &[Piece],
    spki_of: &impl Fn(Hash32) -> Option<Vec<u8>>,
) -> Result<Vec<Fact>, DossierError> {
    weigh(installation, csr, intent, evidence, spki_of, None)
}

/// What the evidence proves. `spki_of` finds a signer's SubjectPublicKeyInfo among the identity's
/// keys; the request's own key, officers', agents' and revealed recovery keys are found without it.
/// `time` is when it is weighed: on replay, when the event was.
///
/// # Errors
/// The first piece that does not hold; a piece that proves nothing is not passed over.
pub fn facts_at(
    installation: &Installation,
    csr: Option<&Csr>,
    intent: Option<&[u8]>,
    evidence: &[Piece],
    spki_of: &impl Fn(Hash32) -> Option<Vec<u8>>,
    time: Time,
) -> Result<Vec<Fact>, DossierError> {
    weigh(installation, csr, intent, evidence, spki_of, Some(time))
}

fn weigh(
    installation: &Installation,
    csr: Option<&Csr>,
    intent: Option<&[u8]>,
    evidence: &[Piece],
    spki_of: &impl Fn(Hash32) -> Option<Vec<u8>>,
    time: Option<Time>,
) -> Result<Vec<Fact>, DossierError> {
    if evidence.len() > MAX_EVIDENCE {
        return Err(DossierError::TooMany { found: evidence.len() });
    }
    let mut facts = Vec::with_capacity(evidence.len());
    for (reference, data) in evidence {
        let kind = reference.kind;
        if Hash32::of(data) != reference.hash {
            return Err(DossierError::NotTheOne { kind });
        }
        let fact = match kind {
            EvidenceKind::Csr => csr
                .filter(|csr| csr.hash() == reference.hash)
                .map(crate::possession)
                .ok_or(DossierError::TwoRequests)?,
            EvidenceKind::Statement => {
                let intent = intent.ok_or(DossierError::NoIntent)?;
                let signed = SignedStatement::from_canonical(data)?;
                let (role, signer) = (signed.statement.role, signed.signer);
                let spki = signer_key(installation, csr, evidence, role, signer)
                    .or_else(|| spki_of(signer))
                    .ok_or(DossierError::UnknownSigner { signer })?;
                statement(data, intent, &spki)?
            }
            EvidenceKind::PublicKey => crate::revealed(data),
            EvidenceKind::WebAuthn => {
                let intent = intent.ok_or(DossierError::NoIntent)?;
                let signer = Assertion::from_canonical(data)?.signer;
                let officer =
                    installation.officer(signer).ok_or(DossierError::UnknownSigner { signer })?;
                crate::webauthn(data, intent, officer)?
            }
            EvidenceKind::IdToken => {
                let time = time.ok_or(DossierError::Kind(kind))?;
                let intent = Hash32::of(intent.ok_or(DossierError::NoIntent)?);
                crate::id_token(data, intent, installation.providers(), time)?
            }
            EvidenceKind::Transport => crate::transport(&TransportWord::from_canonical(data)?),
            EvidenceKind::SwitchCertificate => {
                crate::switch_certificate(installation, data).ok_or(DossierError::Certificate)?
            }
            EvidenceKind::WaitProof => {
                facts.extend(crate::waited(installation, data)?);
                continue;
            }
        };
        facts.push(fact);
    }
    Ok(facts)
}

/// The key that a signer in this role has by the state, or reveals.
fn signer_key(
    installation: &Installation,
    csr: Option<&Csr>,
    evidence: &[Piece],
    role: Role,
    signer: Hash32,
) -> Option<Vec<u8>> {
    let listed = |holders: &[Keyholder]| {
        let holder = holders.iter().find(|h| Hash32::of(h.spki.as_bytes()) == signer)?;
        Some(holder.spki.as_bytes().to_vec())
    };
    match role {
        Role::Officer => listed(installation.roster()),
        Role::Agent | Role::Directory => listed(installation.agents()),
        Role::RecoveryKey => evidence
            .iter()
            .find(|(piece, _)| piece.kind == EvidenceKind::PublicKey && piece.hash == signer)
            .map(|(_, spki)| spki.clone()),
        Role::NewKey | Role::CurrentKey => {
            csr.filter(|csr| csr.spki_hash() == signer).map(|csr| csr.spki_der().to_vec())
        }
        Role::Auditor => None,
    }
}
