//! What a change of the installation is, and whether it loosens anything.

use wire::body::{Agents, Cosigners, Escrow, Issuers, Providers, Roster, Struck};
use wire::event::EventKind;
use wire::genesis::{Cosigner, InstallationKey, KeyPurpose, Keyholder, Provider, are_distinct};
use wire::problem::ProblemCode;
use wire::rules::Rules;
use wire::{Encoded, FormatError, Hash32};

use crate::scope::Scope;
use crate::{Installation, Refusal};

/// A change of the installation, as its intent's body says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another policy.
    Policy(Box<Rules>),
    /// Other officers.
    Roster(Vec<Keyholder>),
    /// Other enrolment agents.
    Agents(Vec<Keyholder>),
    /// Other identity providers, or other keys of theirs.
    Providers(Vec<Provider>),
    /// Another escrow certificate, or none.
    Escrow(Option<Vec<u8>>),
    /// Other issuing keys.
    Issuers(Vec<InstallationKey>),
    /// Other co-signers.
    Cosigners(Vec<Cosigner>),
    /// A leaf is declared dead.
    Strike(Hash32),
}

impl Change {
    /// Reads the body that belongs to a verb of the installation; none for other verbs.
    ///
    /// # Errors
    /// When the body is not of the verb's format.
    pub fn parse(verb: EventKind, body: &[u8]) -> Result<Option<Self>, FormatError> {
        use EventKind as K;
        Ok(Some(match verb {
            K::PolicyChange => Self::Policy(Box::new(Rules::from_canonical(body)?)),
            K::RosterChange => Self::Roster(Roster::from_canonical(body)?.officers),
            K::AgentsChange => Self::Agents(Agents::from_canonical(body)?.agents),
            K::ProvidersChange => Self::Providers(Providers::from_canonical(body)?.providers),
            K::EscrowChange => Self::Escrow(
                Escrow::from_canonical(body)?.certificate.map(|c| c.as_bytes().to_vec()),
            ),
            K::IssuersChange => Self::Issuers(Issuers::from_canonical(body)?.keys),
            K::CosignersChange => Self::Cosigners(Cosigners::from_canonical(body)?.cosigners),
            K::Strike => Self::Strike(Struck::from_canonical(body)?.leaf),
            _ => return Ok(None),
        }))
    }

    /// Whether anything becomes easier for anybody by it. What loosens waits.
    #[must_use]
    pub fn loosens(&self, old: &Installation) -> bool {
        match self {
            Self::Policy(new) => rules_loosen(old.rules(), new),
            Self::Roster(new) => adds(old.roster(), new),
            Self::Agents(new) => adds(old.agents(), new),
            Self::Providers(new) => adds(old.providers(), new),
            // Taking escrow away lets nobody read more than before.
            Self::Escrow(new) => new.is_some() && new.as_deref() != old.escrow(),
            Self::Issuers(new) => {
                let keys: Vec<_> = old.keys(KeyPurpose::Issuing).cloned().collect();
                adds(&keys, new)
            }
            // Fewer co-signers see less; more of them may be more of the same person's.
            Self::Cosigners(new) => new.as_slice() != old.cosigners(),
            Self::Strike(_) => false,
        }
    }

    /// Whether the installation could live with it.
    pub(crate) fn sound(&self, old: &Installation) -> Result<(), Refusal> {
        let refuse = |rule, expected: String, found: String| Refusal {
            code: ProblemCode::MalformedRequest,
            rule,
            detail: "the installation could not go on like that".to_owned(),
            expected,
            found,
            remedy: "change the intent",
        };
        match self {
            Self::Policy(new) => {
                new.within_bounds().map_err(|(field, reason)| {
                    refuse(
                        "policy-within-bounds",
                        "values within their bounds".to_owned(),
                        format!("{field}: {reason}"),
                    )
                })?;
                if new.leaves_per_crl != old.rules().leaves_per_crl {
                    // Certificates name the CRL that they would be in.
                    return Err(refuse(
                        "crl-ranges-stay",
                        format!("leaves_per_crl = {}", old.rules().leaves_per_crl),
                        new.leaves_per_crl.to_string(),
                    ));
                }
                enough(old.roster().len(), new, &refuse)
            }
            Self::Roster(new) => {
                enough(new.len(), old.rules(), &refuse)?;
                if new.len() > 64 || !distinct(new) {
                    let expected =
                        "at most 64 officers with names and keys of their own".to_owned();
                    return Err(refuse("officers-are-distinct", expected, new.len().to_string()));
                }
                Ok(())
            }
            Self::Agents(new) if !distinct(new) => {
                let expected = "agents with names and keys of their own".to_owned();
                Err(refuse("agents-are-distinct", expected, new.len().to_string()))
            }
            Self::Agents(new) => {
                new.iter().try_for_each(|agent| match Scope::parse(&agent.scope) {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        let expected = "scopes that are understood".to_owned();
                        let found = format!("{}: {error}", agent.name);
                        Err(refuse("agents-scope", expected, found))
                    }
                })
            }
            Self::Issuers(new) => {
                if new.is_empty() || new.iter().any(|key| key.purpose != KeyPurpose::Issuing) {
                    let expected = "one issuing key or more, and nothing else".to_owned();
                    return Err(refuse("somebody-issues", expected, format!("{} keys", new.len())));
                }
                Ok(())
            }
            Self::Cosigners(new) if new.len() > 64 || !are_distinct(new) => {
                // One voice under two names would be half of a quorum.
                let expected = "at most 64 co-signers with keys of their own".to_owned();
                Err(refuse("cosigners-are-distinct", expected, new.len().to_string()))
            }
            Self::Strike(leaf) if old.is_struck(*leaf) => Err(Refusal {
                code: ProblemCode::AlreadyDone,
                ..refuse("strike-once", "a leaf that is not struck".to_owned(), leaf.to_string())
            }),
            _ => Ok(()),
        }
    }
}

fn enough(
    officers: usize,
    rules: &Rules,
    refuse: &impl Fn(&'static str, String, String) -> Refusal,
) -> Result<(), Refusal> {
    if officers >= rules.officers as usize {
        return Ok(());
    }
    let expected = format!("{} officers or more", rules.officers);
    Err(refuse("enough-officers", expected, officers.to_string()))
}

fn distinct(holders: &[Keyholder]) -> bool {
    holders.iter().enumerate().all(|(n, one)| {
        holders[..n].iter().all(|other| other.name != one.name && other.spki != one.spki)
    })
}

fn adds<T: PartialEq>(old: &[T], new: &[T]) -> bool {
    new.iter().any(|entry| !old.contains(entry))
}

/// Field by field. A field that is neither looser nor stricter (the CRLs' size) is left out.
fn rules_loosen(old: &Rules, new: &Rules) -> bool {
    let Rules {
        version: _,
        approvals,
        officers,
        wait,
        request_expiry,
        recovery_window,
        cooldown,
        certificate_validity,
        backdate,
        max_status_age,
        leaves_per_crl: _,
        min_rsa_bits,
        certificates_per_day,
        allow_transport_evidence,
        allow_software_token,
        allow_unwitnessed,
    } = new;
    *approvals < old.approvals
        || *officers < old.officers
        || *wait < old.wait
        || *request_expiry > old.request_expiry
        || *recovery_window < old.recovery_window
        || *cooldown < old.cooldown
        || *certificate_validity > old.certificate_validity
        || *backdate > old.backdate
        || *max_status_age > old.max_status_age
        || *min_rsa_bits < old.min_rsa_bits
        || *certificates_per_day > old.certificates_per_day
        || (*allow_transport_evidence && !old.allow_transport_evidence)
        || (*allow_software_token && !old.allow_software_token)
        || (*allow_unwitnessed && !old.allow_unwitnessed)
}
