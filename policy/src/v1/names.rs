//! Names besides the id: who may say that an e-mail address or UPN is a person's.

use wire::Encoded;
use wire::intent::{Intent, Name, NameKind};
use wire::problem::ProblemCode;

use super::guard::Case;
use crate::fact::Proven;
use crate::identity::{Identity, besides_the_id};
use crate::scope::Scope;
use crate::{Fact, Refusal};

/// The names besides the id that an intent gives, each of which the identity has already, or
/// somebody vouches for: the threshold of officers, an agent whose scope lets it, or, of an e-mail
/// address, the identity provider that has verified it.
pub(super) fn vouched(
    case: &Case<'_>,
    facts: &[Fact],
    intent: &Intent,
    has: &[Name],
) -> Result<Vec<Name>, Refusal> {
    let names = besides_the_id(&intent.names);
    let added: Vec<&Name> = names.iter().filter(|name| !has.contains(name)).collect();
    if added.is_empty() || matches!(case.by_threshold(), Ok(true)) {
        return Ok(names);
    }
    let scopes: Vec<Scope> = case.agents(intent.subject.as_ref());
    let hash = intent.hash();
    let verified = |name: &Name| {
        name.kind == NameKind::Rfc822
            && facts.iter().any(|fact| match &fact.0 {
                Proven::Identified { email, intent: of, .. } => {
                    *of == hash && email.as_ref() == Some(&name.value)
                }
                _ => false,
            })
    };
    for name in added {
        if !verified(name) && !scopes.iter().any(|scope| scope.lets_assert(name)) {
            return Err(Refusal {
                code: ProblemCode::RefusedName,
                rule: "names-are-vouched-for",
                detail: format!(
                    "nobody who may say so says that this {} is the person's",
                    name.kind
                ),
                expected:
                    "the threshold of officers, an agent whose scope has the domain, or an ID \
                           token with the verified e-mail address"
                        .to_owned(),
                found: name.value.clone(),
                remedy: "have an officer or agent sign the same intent, or leave the name out",
            });
        }
    }
    Ok(names)
}

/// Demands that an intent that changes no names gives none, or those that the identity has.
pub(super) fn as_they_are(identity: &Identity, intent: &Intent) -> Result<(), Refusal> {
    let names = besides_the_id(&intent.names);
    if names.is_empty() || names == identity.details.names {
        return Ok(());
    }
    let shown = |names: &[Name]| -> String {
        names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ")
    };
    Err(Refusal {
        code: ProblemCode::RefusedName,
        rule: "names-as-they-are",
        detail: format!("a {} changes no names", intent.verb),
        expected: shown(&identity.details.names),
        found: shown(&names),
        remedy: "rename first, or leave the names out",
    })
}
