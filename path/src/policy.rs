//! Certificate policies (RFC 5280 6.1), as the graph of RFC 9618: a node for each policy of each
//! certificate, so that its size is bounded by what the certificates list. (The tree of RFC 5280
//! has a node for each way from the root to a policy, which mappings make exponentially many.)

use std::collections::{BTreeMap, BTreeSet};

use crate::asn1::{INTEGER, Oid, ParseError, SEQUENCE, Tlv, context_primitive};
use crate::oid;

/// The policies that a certificate asserts; qualifiers are skipped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asserted {
    policies: BTreeSet<Oid>,
    any: bool,
    /// The first thing that issuers must not write in qualifiers.
    fault: Option<&'static str>,
}

impl Asserted {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut list = tlv.expect(SEQUENCE, "certificate policies")?.reader();
        if list.is_empty() {
            return Err(tlv.error("an empty list of certificate policies"));
        }
        let mut out = Self::default();
        while !list.is_empty() {
            let information = list.expect(SEQUENCE, "policy information")?;
            let mut fields = information.reader();
            let policy = Oid::read(&fields.next()?)?;
            if let Some(qualifiers) = fields.optional(SEQUENCE)? {
                let fault = read_qualifiers(&qualifiers, policy.as_bytes() == oid::ANY_POLICY)?;
                out.fault = out.fault.or(fault);
            }
            fields.finish()?;
            let new = if policy.as_bytes() == oid::ANY_POLICY {
                !std::mem::replace(&mut out.any, true)
            } else {
                out.policies.insert(policy)
            };
            if !new {
                // RFC 5280 4.2.1.4: no policy more than once.
                return Err(information.error("a certificate policy twice"));
            }
        }
        Ok(out)
    }

    /// What RFC 5280 4.2.1.4 forbids issuers to write, and is taken all the same.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    fn len(&self) -> usize {
        self.policies.len() + 1
    }
}

/// What they say is for people; that they are well formed is for everybody.
fn read_qualifiers(list: &Tlv<'_>, of_any: bool) -> Result<Option<&'static str>, ParseError> {
    let mut qualifiers = list.reader();
    if qualifiers.is_empty() {
        return Err(list.error("an empty list of policy qualifiers"));
    }
    let mut fault = None;
    while !qualifiers.is_empty() {
        let mut qualifier = qualifiers.expect(SEQUENCE, "policy qualifier")?.reader();
        let kind = Oid::read(&qualifier.next()?)?;
        let value = qualifier.next()?;
        qualifier.finish()?;
        let found = match kind.as_bytes() {
            oid::QUALIFIER_CPS if value.tag != IA5_STRING || !value.value.is_ascii() => {
                Some("a pointer to a practice statement that is no IA5String")
            }
            oid::QUALIFIER_NOTICE => notice_fault(&value),
            oid::QUALIFIER_CPS => None,
            _ if of_any => Some("a qualifier of anyPolicy beside CPS pointer and user notice"),
            _ => None,
        };
        fault = fault.or(found);
    }
    Ok(fault)
}

const IA5_STRING: u8 = 0x16;

/// The text of a user notice: at most 200 characters, and not in an IA5String (RFC 6818 3).
fn notice_fault(notice: &Tlv<'_>) -> Option<&'static str> {
    const UTF8: u8 = 0x0c;
    const VISIBLE: u8 = 0x1a;
    const BMP: u8 = 0x1e;
    const MAX: usize = 200;
    let read = || -> Result<Option<Tlv<'_>>, ParseError> {
        let mut fields = notice.expect(SEQUENCE, "user notice")?.reader();
        fields.optional(SEQUENCE)?;
        let text = if fields.is_empty() { None } else { Some(fields.next()?) };
        fields.finish()?;
        Ok(text)
    };
    let Ok(text) = read() else { return Some("a user notice that cannot be read") };
    let text = text?;
    let length = match text.tag {
        UTF8 => std::str::from_utf8(text.value).map_or(0, |text| text.chars().count()),
        VISIBLE => text.value.len(),
        BMP => text.value.len() / 2,
        IA5_STRING => return Some("an explicitText in an IA5String"),
        _ => return Some("an explicitText that is no DisplayText"),
    };
    (!(1..=MAX).contains(&length)).then_some("an explicitText of no or more than 200 characters")
}

/// Policies of the issuer's domain that it considers equivalent to others of the subject's
/// (RFC 5280 4.2.1.5).
#[derive(Clone, Debug)]
pub(crate) struct Mappings(Vec<(Oid, Oid)>);

impl Mappings {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut list = tlv.expect(SEQUENCE, "policy mappings")?.reader();
        let mut out = Vec::new();
        while !list.is_empty() {
            let mut pair = list.expect(SEQUENCE, "policy mapping")?.reader();
            out.push((Oid::read(&pair.next()?)?, Oid::read(&pair.next()?)?));
            pair.finish()?;
        }
        if out.is_empty() {
            return Err(tlv.error("an empty list of policy mappings"));
        }
        Ok(Self(out))
    }

    pub(crate) fn names_any(&self) -> bool {
        let any = |oid: &Oid| oid.as_bytes() == oid::ANY_POLICY;
        self.0.iter().any(|(issuer, subject)| any(issuer) || any(subject))
    }
}

/// After how many more certificates a policy is required, or mapping inhibited
/// (RFC 5280 4.2.1.11).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Constraints {
    require_explicit: Option<u32>,
    inhibit_mapping: Option<u32>,
}

impl Constraints {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "policy constraints")?.reader();
        let number = |tlv: Option<Tlv<'_>>| tlv.map(|t| t.unsigned()).transpose();
        let require_explicit = number(fields.optional(context_primitive(0))?)?;
        let inhibit_mapping = number(fields.optional(context_primitive(1))?)?;
        fields.finish()?;
        if require_explicit.is_none() && inhibit_mapping.is_none() {
            return Err(tlv.error("policy constraints that constrain nothing"));
        }
        Ok(Self { require_explicit, inhibit_mapping })
    }
}

/// SkipCerts of inhibitAnyPolicy (RFC 5280 4.2.1.14).
pub(crate) fn read_inhibit_any(tlv: &Tlv<'_>) -> Result<u32, ParseError> {
    tlv.expect(INTEGER, "inhibit anyPolicy")?.unsigned()
}

/// What a certificate's extensions say of policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) asserted: Option<Asserted>,
    pub(crate) mappings: Option<Mappings>,
    pub(crate) constraints: Option<Constraints>,
    pub(crate) inhibit_any: Option<u32>,
}

/// What the caller asks for (RFC 5280 6.1.1 (c), (e), (f), (g)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The user-initial-policy-set; empty means any policy.
    pub(crate) policies: BTreeSet<Oid>,
    pub(crate) require_explicit: bool,
    pub(crate) inhibit_mapping: bool,
    pub(crate) inhibit_any: bool,
}

impl Wanted {
    fn takes_any(&self) -> bool {
        self.policies.is_empty() || self.policies.iter().any(|p| p.as_bytes() == oid::ANY_POLICY)
    }
}

/// Why the policies of a path do not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A policy is required, and no policy holds for the whole path (6.1.3 (f)).
    NoPolicy,
    /// A policy is required, and none of those that hold is among the wanted (6.1.5 (g)).
    NotWanted,
    /// A mapping from or to anyPolicy (6.1.4 (a)).
    MapsAny,
    /// The work allowed is used up.
    TooMuchWork,
}

impl Refusal {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::NoPolicy => "a policy is required, and none holds for the whole path",
            Self::NotWanted => "a policy is required, and none of those that hold is one asked for",
            Self::MapsAny => "a mapping from or to anyPolicy",
            Self::TooMuchWork => "too many policies",
        }
    }
}

/// What holds for a whole path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) explicit: bool,
    /// The user-constrained-policy-set, in terms of the anchor's domain (6.1.6); anyPolicy stands
    /// for every policy.
    pub(crate) policies: BTreeSet<Oid>,
}

impl Holds {
    /// For people; the first few.
    pub(crate) fn shown(&self) -> String {
        const SHOWN: usize = 8;
        let required = if self.explicit { "required" } else { "not required" };
        let mut names: Vec<_> = self.policies.iter().take(SHOWN).map(ToString::to_string).collect();
        if self.policies.len() > SHOWN {
            names.push(format!("{} more", self.policies.len() - SHOWN));
        }
        match names.as_slice() {
            [] => format!("{required}; none holds"),
            _ => format!("{required}; {}", names.join(", ")),
        }
    }
}

/// One certificate's policies, on the way down from the anchor.
pub(crate) struct Step<'a> {
    pub(crate) extensions: &'a Extensions,
    pub(crate) self_issued: bool,
}

/// Processes the certificates below the anchor, from its side to the leaf. `budget` counts policies
/// and mappings down. On a refusal, the position in `steps` is told.
///
/// The anchor's own certificate may constrain the path as RFC 5937 says.
pub(crate) fn process(
    anchor: &Extensions,
    steps: &[Step<'_>],
    wanted: &Wanted,
    budget: &mut usize,
) -> Result<Holds, (usize, Refusal)> {
    let never = u32::MAX;
    let start = |now: bool| if now { 0 } else { never };
    let mut counters = Counters {
        explicit: start(wanted.require_explicit),
        mapping: start(wanted.inhibit_mapping),
        any: start(wanted.inhibit_any),
    };
    counters.lower(anchor);
    let mut graph =
        Graph { done: Vec::new(), current: Level { nodes: BTreeMap::new(), any: true } };
    for (index, step) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        let refuse = |refusal| Err((index, refusal));
        let size = step.extensions.asserted.as_ref().map_or(1, Asserted::len)
            + step.extensions.mappings.as_ref().map_or(0, |m| m.0.len())
            + graph.current.nodes.len();
        match budget.checked_sub(size) {
            Some(rest) => *budget = rest,
            None => return refuse(Refusal::TooMuchWork),
        }
        let any_counts = counters.any > 0 || (!last && step.self_issued);
        graph.assert(step.extensions.asserted.as_ref(), any_counts);
        if counters.explicit == 0 && graph.current.is_empty() {
            return refuse(Refusal::NoPolicy);
        }
        if last {
            // 6.1.5 (a) and (b).
            counters.explicit = counters.explicit.saturating_sub(1);
            if step.extensions.constraints.is_some_and(|c| c.require_explicit == Some(0)) {
                counters.explicit = 0;
            }
            break;
        }
        if step.extensions.mappings.as_ref().is_some_and(Mappings::names_any) {
            return refuse(Refusal::MapsAny);
        }
        graph.map(step.extensions.mappings.as_ref(), counters.mapping > 0);
        if !step.self_issued {
            counters.count();
        }
        counters.lower(step.extensions);
    }
    let explicit = counters.explicit == 0;
    let policies = graph.hold(wanted);
    if explicit && policies.is_empty() {
        let refusal = if graph.current.is_empty() { Refusal::NoPolicy } else { Refusal::NotWanted };
        return Err((steps.len().saturating_sub(1), refusal));
    }
    Ok(Holds { explicit, policies })
}

/// explicit_policy, policy_mapping and inhibit_anyPolicy (6.1.2 (d) to (f)).
struct Counters {
    explicit: u32,
    mapping: u32,
    any: u32,
}

impl Counters {
    /// 6.1.4 (h).
    fn count(&mut self) {
        for counter in [&mut self.explicit, &mut self.mapping, &mut self.any] {
            *counter = counter.saturating_sub(1);
        }
    }

    /// 6.1.4 (i) and (j).
    fn lower(&mut self, extensions: &Extensions) {
        let constraints = extensions.constraints.unwrap_or_default();
        self.explicit = self.explicit.min(constraints.require_explicit.unwrap_or(u32::MAX));
        self.mapping = self.mapping.min(constraints.inhibit_mapping.unwrap_or(u32::MAX));
        self.any = self.any.min(extensions.inhibit_any.unwrap_or(u32::MAX));
    }
}

/// The policies valid at one certificate.
struct Level {
    nodes: BTreeMap<Oid, Node>,
    /// anyPolicy is valid.
    any: bool,
}

/// A policy, with those of the level above of which it is a child; none means anyPolicy.
#[derive(Default)]
struct Node {
    parents: Vec<Oid>,
    /// The certificate maps it to others, so that it is expected itself no longer.
    mapped: bool,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.any
    }
}

struct Graph {
    done: Vec<Level>,
    /// First what is expected of the certificate, then what is valid at it.
    current: Level,
}

impl Graph {
    /// Keeps what the certificate asserts of what was expected (6.1.3 (d) and (e)).
    fn assert(&mut self, asserted: Option<&Asserted>, any_counts: bool) {
        let Some(asserted) = asserted else {
            self.current = Level { nodes: BTreeMap::new(), any: false };
            return;
        };
        let any = asserted.any && any_counts;
        if !any {
            self.current.nodes.retain(|policy, _| asserted.policies.contains(policy));
        }
        if self.current.any {
            for policy in &asserted.policies {
                self.current.nodes.entry(policy.clone()).or_default();
            }
        }
        self.current.any &= any;
    }

    /// Makes the next level, of what is expected of the next certificate (6.1.4 (b)).
    fn map(&mut self, mappings: Option<&Mappings>, allowed: bool) {
        let mut next = Level { nodes: BTreeMap::new(), any: self.current.any };
        for (issuer, subject) in mappings.iter().flat_map(|m| &m.0) {
            if !allowed {
                self.current.nodes.remove(issuer);
                continue;
            }
            if self.current.any {
                self.current.nodes.entry(issuer.clone()).or_default();
            }
            if let Some(node) = self.current.nodes.get_mut(issuer) {
                node.mapped = true;
                next.nodes.entry(subject.clone()).or_default().parents.push(issuer.clone());
            }
        }
        for (policy, node) in &self.current.nodes {
            if !node.mapped {
                next.nodes.entry(policy.clone()).or_default().parents.push(policy.clone());
            }
        }
        self.done.push(std::mem::replace(&mut self.current, next));
    }

    /// The user-constrained-policy-set: the policies of the anchor's domain with a descendant at
    /// the last certificate, as far as they are wanted (6.1.5 (g), 6.1.6).
    fn hold(&self, wanted: &Wanted) -> BTreeSet<Oid> {
        let takes_any = wanted.takes_any();
        let mut out = BTreeSet::new();
        if self.current.any {
            if takes_any {
                out.insert(Oid::new(oid::ANY_POLICY));
            } else {
                // Every policy is valid, so the wanted ones are.
                out.extend(wanted.policies.iter().cloned());
            }
        }
        let mut reached: BTreeSet<&Oid> = self.current.nodes.keys().collect();
        for level in std::iter::once(&self.current).chain(self.done.iter().rev()) {
            let mut above = BTreeSet::new();
            for policy in reached {
                let Some(node) = level.nodes.get(policy) else { continue };
                if node.parents.is_empty() && (takes_any || wanted.policies.contains(policy)) {
                    out.insert(policy.clone());
                }
                above.extend(&node.parents);
            }
            reached = above;
        }
        out
    }
}

#[cfg(test)]
mod tests;
