//! What an enrolment agent's key may do: the scope beside it in the list of agents.
//!
//! `enrol` and `directory` say what for; with neither it is both. `uid-prefix=…` and `uid-suffix=…`
//! say for whom; with none of them it is everybody. `email=DOMAIN` and `upn=DOMAIN` (`*` for every
//! one) say which names the agent may vouch for; with none of them it is none.

use wire::UserId;
use wire::genesis::Keyholder;
use wire::intent::{Name, NameKind};

/// A scope, understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    enrols: bool,
    directory: bool,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    names: Vec<(NameKind, String)>,
}

/// Why an entry is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entry:?} is no part of an agent's scope; there are enrol, directory, uid-prefix=TEXT, \
     uid-suffix=TEXT, email=DOMAIN and upn=DOMAIN"
)]
pub struct ScopeError {
    entry: String,
}

impl Scope {
    /// Reads a scope.
    ///
    /// # Errors
    /// The first entry that is not understood: a restriction that is passed over would be none.
    pub fn parse(entries: &[String]) -> Result<Self, ScopeError> {
        let mut scope = Self::default();
        for entry in entries {
            let wrong = || ScopeError { entry: entry.clone() };
            let (word, value) = match entry.split_once('=') {
                Some((word, value)) if !value.is_empty() => (word, Some(value)),
                Some(_) => return Err(wrong()),
                None => (entry.as_str(), None),
            };
            match (word, value) {
                ("enrol", None) => scope.enrols = true,
                ("directory", None) => scope.directory = true,
                ("uid-prefix", Some(value)) => scope.prefixes.push(value.to_owned()),
                ("uid-suffix", Some(value)) => scope.suffixes.push(value.to_owned()),
                ("email", Some(value)) => scope.names.push((NameKind::Rfc822, value.to_owned())),
                ("upn", Some(value)) => scope.names.push((NameKind::Upn, value.to_owned())),
                _ => return Err(wrong()),
            }
        }
        if !scope.enrols && !scope.directory {
            (scope.enrols, scope.directory) = (true, true);
        }
        Ok(scope)
    }

    /// The scope of an agent; none where it is not understood, so that its key may do nothing.
    pub(crate) fn of(agent: &Keyholder) -> Option<Self> {
        Self::parse(&agent.scope).ok()
    }

    /// Whether it may enrol.
    #[must_use]
    pub fn enrols(&self) -> bool {
        self.enrols
    }

    /// Whether it speaks for the directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Whether it is about this id.
    #[must_use]
    pub fn covers(&self, uid: &UserId) -> bool {
        let (uid, everybody) = (uid.as_str(), self.prefixes.is_empty() && self.suffixes.is_empty());
        everybody
            || self.prefixes.iter().any(|prefix| uid.starts_with(prefix.as_str()))
            || self.suffixes.iter().any(|suffix| uid.ends_with(suffix.as_str()))
    }

    /// Whether it may say that this name is a person's.
    #[must_use]
    pub fn lets_assert(&self, name: &Name) -> bool {
        self.names.iter().any(|(kind, domain)| {
            *kind == name.kind && (domain == "*" || name.domain() == Some(domain.as_str()))
        })
    }
}

#[cfg(test)]
mod tests;
