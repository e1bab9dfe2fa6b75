//! Quorums: whose co-signatures a checkpoint needs (C2SP tlog-policy).
//!
//! Witnesses and auditors are both co-signers here. Which is which, their operators say; what
//! counts is the rule that names them.

mod installation;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use crate::cosign::{CosignError, CosignerKey};
use crate::note::{LogKey, Note};

/// Longest policy text, in bytes.
pub const MAX_POLICY: usize = 64 * 1024;

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the quorum: {reason}")]
pub struct PolicyError {
    /// Line, counted from 1; one beyond the last where something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// One who co-signs, as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    name: String,
    key: CosignerKey,
    url: Option<String>,
}

impl Witness {
    /// Its name within the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        &self.key
    }

    /// Where checkpoints are handed in, where the policy says it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

/// A log, as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    key: LogKey,
    url: Option<String>,
}

impl KnownLog {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Where it is, where the policy says it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

/// Whom a rule asks: a witness or a group, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

/// A policy: known logs, known witnesses, and the rule. Groups name only what stands before them,
/// and every name is a member once, so the rule is a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    logs: Vec<KnownLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// Nobody for `quorum none`.
    rule: Option<Member>,
}

/// What co-signatures of known witnesses a note has: the witness's place, and its time in seconds
/// since 1970.
pub type Times = BTreeMap<usize, u64>;

/// Why a checkpoint has not the quorum's word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// A line under a known witness's name and id that is not its co-signature.
    #[error(transparent)]
    Cosignature(#[from] CosignError),
    /// Too few.
    #[error("the checkpoint is not co-signed as the quorum demands: {0}")]
    Missing(Missing),
}

/// What a quorum still lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The rule that is not met, in words.
    pub rule: String,
    /// Names of the witnesses that could still meet it.
    pub names: Vec<String>,
    /// How many of the quorum's witnesses co-signed.
    pub found: usize,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, names, found } = self;
        write!(f, "{rule}; {found} did, missing: {}", names.join(", "))
    }
}

impl Quorum {
    /// Reads a policy.
    ///
    /// # Errors
    /// Refuses everything that C2SP tlog-policy does, control characters, and more than
    /// [`MAX_POLICY`] bytes.
    pub fn parse(policy: &str) -> Result<Self, PolicyError> {
        text::parse(policy)
    }

    /// The known logs.
    #[must_use]
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// All known witnesses, of which the rule may ask some.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The witnesses that the rule asks, by place.
    #[must_use]
    pub fn asked(&self) -> Vec<usize> {
        let mut asked = Vec::new();
        let mut rest: Vec<Member> = self.rule.into_iter().collect();
        while let Some(member) = rest.pop() {
            match member {
                Member::Witness(at) => asked.push(at),
                Member::Group(at) => rest.extend(&self.groups[at].members),
            }
        }
        asked.sort_unstable();
        asked
    }

    /// Whether nobody is asked: then the log's own signature is all there is.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.rule.is_none()
    }

    /// Whether these witnesses, by place, meet the rule.
    pub fn met(&self, cosigned: impl Fn(usize) -> bool) -> bool {
        self.rule.is_none_or(|rule| self.holds(rule, &cosigned))
    }

    /// What is missing where these witnesses do not meet the rule.
    pub fn missing(&self, cosigned: impl Fn(usize) -> bool) -> Option<Missing> {
        let rule = self.rule.filter(|rule| !self.holds(*rule, &cosigned))?;
        let mut names = Vec::new();
        self.absent(rule, &cosigned, &mut names);
        names.sort_unstable();
        let found = self.asked().into_iter().filter(|at| cosigned(*at)).count();
        let names = names.into_iter().map(|at| self.witnesses[at].name.clone()).collect();
        Some(Missing { rule: self.rule(), names, found })
    }

    /// The co-signatures that a note has of the policy's witnesses. Lines of others are ignored.
    ///
    /// # Errors
    /// A line under a witness's name and id that is not its co-signature, or two of them.
    pub fn times(&self, note: &Note) -> Result<Times, CosignError> {
        let mut times = Times::new();
        for (at, witness) in self.witnesses.iter().enumerate() {
            if let Some(time) = witness.key.time_in(note)? {
                times.insert(at, time);
            }
        }
        Ok(times)
    }

    /// Demands that a note is co-signed as the rule says, and returns who did, and when.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub fn check(&self, note: &Note) -> Result<Times, QuorumError> {
        let times = self.times(note)?;
        match self.missing(|at| times.contains_key(&at)) {
            None => Ok(times),
            Some(missing) => Err(QuorumError::Missing(missing)),
        }
    }

    /// As of when the quorum as a whole vouches: the latest time such that those who co-signed
    /// then or later meet the rule. None where they do not meet it at all, and where nobody is
    /// asked.
    #[must_use]
    pub fn as_of(&self, times: &Times) -> Option<u64> {
        self.rule?;
        let mut sorted: Vec<u64> = times.values().copied().collect();
        sorted.sort_unstable();
        let since = |from: u64| move |at: usize| times.get(&at).is_some_and(|time| *time >= from);
        sorted.into_iter().rev().find(|from| self.met(since(*from)))
    }

    /// The rule in words, outermost first.
    #[must_use]
    pub fn rule(&self) -> String {
        self.rule.map_or_else(|| "nobody co-signs".to_owned(), |rule| self.words(rule))
    }

    fn words(&self, member: Member) -> String {
        match member {
            Member::Witness(at) => self.witnesses[at].name.clone(),
            Member::Group(at) => {
                let Group { threshold, members, .. } = &self.groups[at];
                let words: Vec<String> = members.iter().map(|m| self.words(*m)).collect();
                match (*threshold, words.len()) {
                    (1, 1) => words.concat(),
                    (k, n) if k == n => format!("all of ({})", words.join(", ")),
                    (k, n) => format!("{k} of {n} of ({})", words.join(", ")),
                }
            }
        }
    }

    fn holds(&self, member: Member, cosigned: &impl Fn(usize) -> bool) -> bool {
        match member {
            Member::Witness(at) => cosigned(at),
            Member::Group(at) => {
                let Group { threshold, members, .. } = &self.groups[at];
                members.iter().filter(|m| self.holds(**m, cosigned)).count() >= *threshold
            }
        }
    }

    /// Witnesses below what is not met yet, which did not co-sign.
    fn absent(&self, member: Member, cosigned: &impl Fn(usize) -> bool, into: &mut Vec<usize>) {
        if self.holds(member, cosigned) {
            return;
        }
        match member {
            Member::Witness(at) => into.push(at),
            Member::Group(at) => {
                self.groups[at].members.iter().for_each(|m| self.absent(*m, cosigned, into));
            }
        }
    }
}

#[cfg(test)]
mod tests;
