//! Evidence as received or stored, and the facts that it proves.

use policy::{Fact, Installation};
use wire::event::{EvidenceKind, EvidenceRef, TransportWord};
use wire::problem::{Problem, ProblemCode};
use wire::statement::SignedStatement;
use wire::{Encoded, Hash32};
use x509::{Csr, CsrError, KeyRules};

/// Most pieces of evidence with one request.
pub(crate) const MAX_EVIDENCE: usize = 64;

/// A piece of evidence with the name that events give it.
pub(crate) fn piece(kind: EvidenceKind, data: Vec<u8>) -> (EvidenceRef, Vec<u8>) {
    (EvidenceRef { kind, hash: Hash32::of(&data) }, data)
}

/// The certification request among the evidence, parsed and its signature verified again.
pub(crate) fn csr(
    evidence: &[(EvidenceRef, Vec<u8>)],
    rules: &KeyRules,
) -> Result<Option<Csr>, CsrError> {
    evidence
        .iter()
        .find(|(reference, _)| reference.kind == EvidenceKind::Csr)
        .map(|(_, data)| Csr::parse(data, rules))
        .transpose()
}

/// What the evidence proves. `spki_of` finds a signer's SubjectPublicKeyInfo in the state.
///
/// # Errors
/// Names the first piece that does not hold; a piece that proves nothing is not passed over.
pub(crate) fn facts(
    installation: &Installation,
    csr: Option<&Csr>,
    intent: Option<&[u8]>,
    evidence: &[(EvidenceRef, Vec<u8>)],
    spki_of: &impl Fn(Hash32) -> Option<Vec<u8>>,
) -> Result<Vec<Fact>, Box<Problem>> {
    evidence
        .iter()
        .map(|(reference, data)| {
            if Hash32::of(data) != reference.hash {
                return Err(refused(format!("the {} is not the one named", reference.kind)));
            }
            match reference.kind {
                EvidenceKind::Csr => csr
                    .filter(|csr| csr.hash() == reference.hash)
                    .map(evidence::possession)
                    .ok_or_else(|| refused("there is more than one certification request".into())),
                EvidenceKind::Statement => statement(installation, csr, intent, data, spki_of),
                EvidenceKind::Transport => TransportWord::from_canonical(data)
                    .map(|word| evidence::transport(&word))
                    .map_err(|error| refused(error.to_string())),
                EvidenceKind::IdToken | EvidenceKind::WebAuthn => {
                    Err(refused(format!("{} evidence is not taken yet", reference.kind)))
                }
            }
        })
        .collect()
}

fn statement(
    installation: &Installation,
    csr: Option<&Csr>,
    intent: Option<&[u8]>,
    data: &[u8],
    spki_of: &impl Fn(Hash32) -> Option<Vec<u8>>,
) -> Result<Fact, Box<Problem>> {
    let intent = intent.ok_or_else(|| refused("a statement came without its intent".into()))?;
    let signed =
        SignedStatement::from_canonical(data).map_err(|error| refused(error.to_string()))?;
    let agent = installation.agent(signed.signer).map(|agent| agent.spki.as_bytes().to_vec());
    let own = csr.filter(|csr| csr.spki_hash() == signed.signer).map(|csr| csr.spki_der().to_vec());
    let spki = agent.or(own).or_else(|| spki_of(signed.signer)).ok_or_else(|| {
        refused(format!("nobody here has the key {} that signed a statement", signed.signer))
    })?;
    evidence::statement(data, intent, &spki).map_err(|error| refused(error.to_string()))
}

fn refused(detail: String) -> Box<Problem> {
    Box::new(
        Problem::new(ProblemCode::EvidenceRefused, detail)
            .rule("evidence")
            .remedy("send evidence that was made for exactly this request"),
    )
}
