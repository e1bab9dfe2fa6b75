//! Guards that several verbs share.

use std::collections::BTreeMap;

use wire::event::{EventKind, TransportSource};
use wire::genesis::{KeyPurpose, Keyholder};
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::{Role, Statement};
use wire::{Encoded, Hash32, UserId};

use crate::fact::Proven;
use crate::identity::Identity;
use crate::scope::Scope;
use crate::state::is_person;
use crate::{Fact, Installation, KeyUse, Refusal, State, Time, hsm_held};

/// What a statement must be about to count for a certificate or a revocation.
pub(super) struct Act<'a> {
    pub(super) verb: EventKind,
    pub(super) uid: &'a UserId,
    pub(super) csr: Option<Hash32>,
    pub(super) spki: Option<Hash32>,
    pub(super) body: Option<&'a [u8]>,
}

/// Whether the holder of the private key to `spki` made the request `csr`.
pub(super) fn possession(facts: &[Fact], spki: Hash32, csr: Hash32) -> Result<(), Refusal> {
    let proven = Fact(Proven::Possession { spki, csr });
    if facts.contains(&proven) {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::BadSignature,
        rule: "proof-of-possession",
        detail: "the holder of the key did not prove possession of it".to_owned(),
        expected: format!("a certification request signed by key {spki}"),
        found: "none".to_owned(),
        remedy: "sign the certification request with the private key itself",
    })
}

/// Whether the word of a transport is there and counts: that of the administrator's socket, or of
/// a TLS peer whose key is that of an enrolment agent for this id.
pub(super) fn transport(state: &State<'_>, uid: &UserId, facts: &[Fact]) -> bool {
    state.installation.hears_transport()
        && facts.iter().any(|fact| match fact.0 {
            Proven::Transport { source: TransportSource::AdminSocket, .. } => true,
            Proven::Transport { source: TransportSource::Mtls, peer } => {
                state.installation.agent(peer).is_some_and(|scope| scope.covers(uid))
            }
            _ => false,
        })
}

/// Whether somebody in `role` with the key `signer` signed exactly this act, in this installation,
/// on this state, under this policy, in time; if so, the intent. `Ok(None)`: no such statement at
/// all.
pub(super) fn signed<'a>(
    state: &State<'_>,
    facts: &'a [Fact],
    role: Role,
    signer: impl Fn(Hash32) -> bool,
    act: &Act<'_>,
    time: Time,
) -> Result<Option<&'a Intent>, Refusal> {
    let mut refused = None;
    for fact in facts {
        let Proven::Signed { statement, signer: key, intent } = &fact.0 else { continue };
        if statement.role != role {
            continue;
        }
        let outcome = stated(state.installation, statement, act.verb)
            .and_then(|()| may_sign(role, *key, &signer))
            .and_then(|()| fits(state, act, intent, time));
        match outcome {
            Ok(()) => return Ok(Some(intent)),
            Err(refusal) => refused = Some(refusal),
        }
    }
    refused.map_or(Ok(None), Err)
}

fn stated(
    installation: &Installation,
    statement: &Statement,
    verb: EventKind,
) -> Result<(), Refusal> {
    same("installation", installation.genesis(), statement.genesis)?;
    same("verb", verb, statement.verb)
}

fn may_sign(role: Role, key: Hash32, signer: impl Fn(Hash32) -> bool) -> Result<(), Refusal> {
    if signer(key) {
        return Ok(());
    }
    Err(evidence("signer", &format!("a key that is a {role} here"), &key))
}

/// Whether an intent is about this act, on this state.
pub(super) fn fits(
    state: &State<'_>,
    act: &Act<'_>,
    intent: &Intent,
    time: Time,
) -> Result<(), Refusal> {
    same("intent.verb", act.verb, intent.verb)?;
    same("intent.subject", Some(act.uid), intent.subject.as_ref())?;
    same("intent.csr", shown(act.csr), shown(intent.csr))?;
    same("intent.new-spki", shown(act.spki), shown(intent.new_spki))?;
    if let Some(body) = act.body {
        same("intent.body", Some(body), intent.body.as_ref().map(|b| b.as_bytes()))?;
    } else if act.verb != EventKind::Enrol {
        same("intent.body", None, intent.body.as_ref().map(|b| b.as_bytes()))?;
    }
    let identity = state.identity.as_ref();
    stale("head", shown(identity.map(|i| i.head)), shown(intent.head))?;
    stale("sequence", identity.map_or(0, |i| i.sequence + 1), intent.sequence)?;
    in_force(state.installation, intent, time)
}

/// Whether the intent was made under the policy in force, and has not expired.
pub(super) fn in_force(
    installation: &Installation,
    intent: &Intent,
    time: Time,
) -> Result<(), Refusal> {
    stale("policy", installation.rules_hash(), intent.policy)?;
    in_time(intent, time)
}

fn in_time(intent: &Intent, time: Time) -> Result<(), Refusal> {
    if time.upper_ms() <= intent.expiry.saturating_mul(1000) {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::StaleIntent,
        rule: "intent.expiry",
        detail: "the intent has expired".to_owned(),
        expected: format!("an expiry after {} s since 1970", time.upper_ms() / 1000),
        found: intent.expiry.to_string(),
        remedy: "make a new intent and sign that",
    })
}

/// Which state of the identity an intent must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The latest event, or the latest that changed the identity itself. The second so that nobody
    /// who can make small events (a stranger who files requests, a thief who renews) outruns
    /// people who sign one after the other.
    HeadOrAnchor,
    /// Any after the last suspension was lifted: a thief cannot outrun who suspends him.
    SinceResumed,
    /// Any: the recovery key is used once, which holds against replay better than a head.
    Any,
}

/// One intent, with the statements about it.
pub(super) struct Case<'a> {
    pub(super) installation: &'a Installation,
    facts: &'a [Fact],
    verb: EventKind,
    intent: Hash32,
    time: Time,
    subject: Option<&'a Identity>,
}

/// Who signed, and with which remark; and why the last one who does not count does not.
struct Signers {
    counted: BTreeMap<Hash32, Option<Hash32>>,
    refused: Option<Refusal>,
}

impl<'a> Case<'a> {
    /// Statements with `verb` over the intent with the hash `intent`.
    pub(super) fn new(
        state: &'a State<'_>,
        facts: &'a [Fact],
        verb: EventKind,
        intent: Hash32,
        time: Time,
    ) -> Self {
        let subject = state.identity.as_ref();
        Self { installation: state.installation, facts, verb, intent, time, subject }
    }

    /// The same for an event of the installation.
    pub(super) fn of_installation(
        installation: &'a Installation,
        facts: &'a [Fact],
        verb: EventKind,
        intent: Hash32,
        time: Time,
    ) -> Self {
        Self { installation, facts, verb, intent, time, subject: None }
    }

    /// The same intent under another verb.
    pub(super) fn for_verb(&self, verb: EventKind) -> Self {
        Self { verb, ..*self }
    }

    /// The intent itself, if a statement came with it.
    pub(super) fn the_intent(&self) -> Option<&'a Intent> {
        self.facts.iter().find_map(|fact| match &fact.0 {
            Proven::Signed { statement, intent, .. } if statement.intent == self.intent => {
                Some(intent.as_ref())
            }
            _ => None,
        })
    }

    fn signers(
        &self,
        role: Role,
        counts: impl Fn(Hash32, &Statement) -> Result<(), Refusal>,
    ) -> Signers {
        let mut signers = Signers { counted: BTreeMap::new(), refused: None };
        for fact in self.facts {
            let Proven::Signed { statement, signer, intent } = &fact.0 else { continue };
            if statement.role != role {
                continue;
            }
            let outcome = stated(self.installation, statement, self.verb)
                .and_then(|()| same("intent", self.intent, statement.intent))
                .and_then(|()| in_time(intent, self.time))
                .and_then(|()| counts(*signer, statement));
            match outcome {
                Ok(()) => drop(signers.counted.insert(*signer, statement.remark)),
                Err(refusal) => signers.refused = Some(refusal),
            }
        }
        signers
    }

    /// Whether a key for which `signer` holds signed in `role`. `Ok(false)`: nobody in that role
    /// said anything.
    pub(super) fn by(&self, role: Role, signer: impl Fn(Hash32) -> bool) -> Result<bool, Refusal> {
        let signers = self.signers(role, |key, _| may_sign(role, key, &signer));
        match (signers.counted.is_empty(), signers.refused) {
            (false, _) => Ok(true),
            (true, None) => Ok(false),
            (true, Some(refusal)) => Err(refusal),
        }
    }

    /// Whether the recovery key with this commitment signed.
    pub(super) fn by_recovery_key(&self, commitment: Option<Hash32>) -> Result<bool, Refusal> {
        self.by(Role::RecoveryKey, |signer| {
            self.facts.iter().any(|fact| match fact.0 {
                Proven::Revealed { spki, commitment: of } => {
                    spki == signer && Some(of) == commitment
                }
                _ => false,
            })
        })
    }

    /// Whether the directory's service signed, and the subject is within its scope.
    pub(super) fn by_directory(&self) -> Result<bool, Refusal> {
        self.by(Role::Directory, |key| {
            let scope = self.installation.directory(key);
            scope.is_some_and(|scope| self.subject.is_none_or(|subject| scope.covers(&subject.uid)))
        })
    }

    /// Scopes of the enrolment agents for this id who signed.
    pub(super) fn agents(&self, uid: Option<&UserId>) -> Vec<Scope> {
        let signers = self.signers(Role::Agent, |key, _| {
            may_sign(Role::Agent, key, |key| self.installation.agent(key).is_some())
        });
        let scopes = signers.counted.into_keys().filter_map(|key| self.installation.agent(key));
        scopes.filter(|scope| uid.is_none_or(|uid| scope.covers(uid))).collect()
    }

    /// Officers of the present roster who signed, none of them the subject.
    pub(super) fn officers(&self) -> Result<BTreeMap<Hash32, Option<Hash32>>, Refusal> {
        let signers = self.signers(Role::Officer, |key, _| {
            let Some(officer) = self.installation.officer(key) else {
                return Err(evidence("signer", "a key that is an officer here", &key));
            };
            not_the_subject(officer, key, self.subject)
        });
        match (signers.counted.is_empty(), signers.refused) {
            (true, Some(refusal)) => Err(refusal),
            (_, _) => Ok(signers.counted),
        }
    }

    /// Whether as many officers signed as the policy demands. `Ok(false)`: not one did.
    pub(super) fn by_threshold(&self) -> Result<bool, Refusal> {
        let officers = self.officers()?;
        let (found, needed) = (officers.len(), self.installation.rules().approvals as usize);
        if found == 0 {
            return Ok(false);
        }
        if found < needed {
            return Err(below_threshold(self.verb, needed, found));
        }
        Ok(true)
    }

    /// Demands the threshold.
    pub(super) fn threshold(&self) -> Result<(), Refusal> {
        if self.by_threshold()? {
            return Ok(());
        }
        Err(below_threshold(self.verb, self.installation.rules().approvals as usize, 0))
    }

    /// Demands that the new key counter-signed and that its request is a real one.
    pub(super) fn new_key(
        &self,
        state: &State<'_>,
        spki: Hash32,
        csr: Hash32,
    ) -> Result<(), Refusal> {
        movable(self.installation, self.verb)?;
        possession(self.facts, spki, csr)?;
        unused(state, spki)?;
        if self.by(Role::NewKey, |signer| signer == spki)? {
            return Ok(());
        }
        Err(unsigned("the new key's counter-signature", format!("a statement by key {spki}")))
    }
}

fn below_threshold(verb: EventKind, needed: usize, found: usize) -> Refusal {
    Refusal {
        code: ProblemCode::EvidenceRequired,
        rule: "threshold-of-officers",
        detail: format!("a {verb} needs more officers"),
        expected: format!("{needed} distinct officers, none of them the subject"),
        found: found.to_string(),
        remedy: "ask further officers to sign the same intent",
    }
}

/// No statement of the kind that is needed.
pub(super) fn unsigned(what: &str, expected: String) -> Refusal {
    Refusal {
        code: ProblemCode::EvidenceRequired,
        rule: "only-signed-statements-decide",
        detail: format!("{what} is missing"),
        expected,
        found: "no signed statement".to_owned(),
        remedy: "sign the intent in that role, or ask somebody who can",
    }
}

/// An officer does not decide about herself.
fn not_the_subject(
    officer: &Keyholder,
    key: Hash32,
    subject: Option<&Identity>,
) -> Result<(), Refusal> {
    let Some(subject) = subject else { return Ok(()) };
    let uid = subject.uid.as_str();
    let named = is_person(officer, uid);
    let keys = [subject.key.map(|key| key.spki), subject.pending().map(|p| p.spki)];
    if named || keys.contains(&Some(key)) {
        return Err(Refusal {
            code: ProblemCode::EvidenceRefused,
            rule: "officer-is-not-the-subject",
            detail: "an officer does not decide about her own identity".to_owned(),
            expected: "an officer other than the subject".to_owned(),
            found: officer.name.clone(),
            remedy: "ask another officer",
        });
    }
    Ok(())
}

/// Whether the installation may move identities by an event of this kind: every key that could
/// sign the certificate of the move is HSM-held.
pub(crate) fn movable(installation: &Installation, by: EventKind) -> Result<(), Refusal> {
    for key in installation.keys(installation.issuing_purpose(by)) {
        if let Err(why) = hsm_held(&key.protection, installation.rules()) {
            return Err(Refusal {
                code: ProblemCode::HsmRequired,
                rule: "no-hsm-no-move",
                detail: format!("the {} key is not HSM-held: {why}", key.purpose),
                expected: "issuing keys generated on a token, sensitive, never extractable, not \
                           modifiable"
                    .to_owned(),
                found: why.to_string(),
                remedy: "move the installation to an HSM; until then no identity gets a new key",
            });
        }
    }
    Ok(())
}

/// Demands that the latest switch was signed by the issuing authority that signs switches, where
/// there is one: else whoever has the other's key would go around it, with a renewal of a key that
/// was never certified.
pub(super) fn switch_signed(
    state: &State<'_>,
    identity: &Identity,
    facts: &[Fact],
) -> Result<(), Refusal> {
    let Some(unshown) = identity.details.unshown else { return Ok(()) };
    let is_issuer = |hash: Hash32| {
        let mut keys = state.installation.keys(KeyPurpose::SwitchIssuing);
        keys.any(|key| Hash32::of(key.spki.as_bytes()) == hash)
    };
    let shown = facts.iter().any(|fact| {
        matches!(&fact.0, Proven::Certified { spki, issuer }
            if *spki == unshown.spki && is_issuer(*issuer))
    });
    if shown {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::NotYet,
        rule: "a-switch-is-signed-first",
        detail: "the certificate of the latest switch is not signed yet".to_owned(),
        expected: format!("a certificate over key {} by the authority for switches", unshown.spki),
        found: "none".to_owned(),
        remedy: "wait until operators open the token of the issuing authority for switches",
    })
}

/// Whether the key was never anybody's.
pub(super) fn unused(state: &State<'_>, spki: Hash32) -> Result<(), Refusal> {
    let KeyUse::Known { by } = &state.key_use else { return Ok(()) };
    let own = state.identity.as_ref().is_some_and(|identity| identity.uid == *by);
    Err(Refusal {
        code: if own { ProblemCode::KeyWasUsed } else { ProblemCode::KeyInUse },
        rule: if own { "no-way-back-to-a-past-key" } else { "one-key-one-identity" },
        detail: "the new key is, or was, in use".to_owned(),
        expected: "a key that no identity of this installation ever had".to_owned(),
        found: format!("key {spki} of {}", if own { "this identity" } else { "another identity" }),
        remedy: "make a new key for this identity",
    })
}

/// Checks what an intent is about; says whether it names the very head.
pub(super) fn fresh(
    state: &State<'_>,
    identity: &Identity,
    intent: &Intent,
    freshness: Freshness,
    time: Time,
) -> Result<bool, Refusal> {
    same("intent.subject", Some(&identity.uid), intent.subject.as_ref())?;
    in_force(state.installation, intent, time)?;
    let on_head = intent.head == Some(identity.head) && intent.sequence == identity.sequence + 1;
    let (anchored, anchor) = identity.anchor();
    let on_anchor = intent.head == Some(anchor) && intent.sequence == anchored + 1;
    let known = intent.sequence <= identity.sequence + 1;
    let holds = on_head
        || match freshness {
            Freshness::HeadOrAnchor => on_anchor,
            Freshness::SinceResumed => known && intent.sequence > identity.details.resumed,
            Freshness::Any => known,
        };
    if holds {
        return Ok(on_head);
    }
    if intent.sequence != identity.sequence + 1 {
        stale("sequence", identity.sequence + 1, intent.sequence)?;
    }
    stale("head", shown(Some(identity.head)), shown(intent.head))?;
    Ok(on_head)
}

/// Demands the very head: what one key signs alone has no reason to be late.
pub(super) fn on_head(identity: &Identity, is_on_head: bool) -> Result<(), Refusal> {
    if is_on_head {
        return Ok(());
    }
    stale("head", identity.head.to_string(), "an earlier event".to_owned())
}

/// Whether a wait of `wait` seconds that began with the event of leaf `leaf` is over: by more than
/// half of the co-signers' own clocks, or, where the policy allows it, by the authority's.
pub(crate) fn wait_over(
    installation: &Installation,
    facts: &[Fact],
    leaf: Hash32,
    began_ms: u64,
    wait: u64,
    time: Time,
) -> Result<(), Refusal> {
    let keys = installation.cosigner_keys();
    let witnessed = keys
        .iter()
        .filter(|key| {
            facts.iter().any(|fact| match fact.0 {
                Proven::Waited { cosigner, leaf: of, from, until } => {
                    cosigner == **key && of == leaf && until.saturating_sub(from) >= wait
                }
                _ => false,
            })
        })
        .count();
    if witnessed * 2 > keys.len() {
        return Ok(());
    }
    let over_ms = began_ms.saturating_add(wait.saturating_mul(1000));
    let unwitnessed = installation.rules().allow_unwitnessed;
    if unwitnessed && time.lower_ms() >= over_ms {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::NotYet,
        rule: "the-wait-is-over",
        detail: "the wait is not over".to_owned(),
        expected: if unwitnessed {
            format!("{wait} s, over at {} s since 1970", over_ms.div_ceil(1000))
        } else {
            format!("{wait} s by the clocks of more than half of {} co-signers", keys.len())
        },
        found: if unwitnessed {
            format!("{} s since 1970", time.lower_ms() / 1000)
        } else {
            format!("{witnessed} co-signers")
        },
        remedy: "wait; whoever is concerned may object until then",
    })
}

/// The person at the provider, where a token names one and it is the one of enrolment.
pub(super) fn person(
    facts: &[Fact],
    intent: &Intent,
    bound: Option<&crate::identity::Binding>,
    demanded: bool,
) -> Result<Option<crate::identity::Binding>, Refusal> {
    let mut found = None;
    for fact in facts {
        let Proven::Identified { issuer, subject, intent: of, .. } = &fact.0 else { continue };
        same("intent", intent.hash(), *of)?;
        let person = crate::identity::Binding { issuer: issuer.clone(), subject: subject.clone() };
        if bound.is_some_and(|bound| *bound != person) {
            return Err(evidence(
                "same-person-at-the-provider",
                "the person whom the identity was enrolled for",
                &subject,
            ));
        }
        found = Some(person);
    }
    if demanded && bound.is_some() && found.is_none() {
        return Err(Refusal {
            rule: "same-person-at-the-provider",
            ..unsigned("an ID token", "an ID token of the person of the enrolment".to_owned())
        });
    }
    Ok(found)
}

pub(super) fn shown(hash: Option<Hash32>) -> String {
    hash.map_or_else(|| "none".to_owned(), |h| h.to_string())
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    rule: &'static str,
    expected: T,
    found: T,
) -> Result<(), Refusal> {
    if expected == found {
        return Ok(());
    }
    Err(evidence(rule, &format!("{expected:?}"), &format!("{found:?}")))
}

pub(super) fn evidence(
    rule: &'static str,
    expected: &str,
    found: &impl std::fmt::Display,
) -> Refusal {
    Refusal {
        code: ProblemCode::EvidenceRefused,
        rule,
        detail: format!("a signed statement does not count here: its {rule} does not fit"),
        expected: expected.to_owned(),
        found: found.to_string(),
        remedy: "sign a statement for exactly this request, in this installation",
    }
}

pub(super) fn stale<T: PartialEq + std::fmt::Display>(
    rule: &'static str,
    expected: T,
    found: T,
) -> Result<(), Refusal> {
    if expected == found {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::StaleIntent,
        rule,
        detail: format!("the intent was made for another state: its {rule} has moved on"),
        expected: expected.to_string(),
        found: found.to_string(),
        remedy: "fetch the present state, look at it, and sign again",
    })
}
