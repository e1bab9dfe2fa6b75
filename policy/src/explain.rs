//! What may this identity do now, and what would it take?

use wire::Hash32;
use wire::event::EventKind;

use crate::file::duration_text;
use crate::identity::{Identity, Standing, Suspender};
use crate::v1::{movable, terms};
use crate::{Installation, Refusal, Time};

/// One way to go on from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The event.
    pub verb: EventKind,
    /// Who must sign; each entry alone is enough.
    pub signed_by: Vec<String>,
    /// What else it takes, in words.
    pub takes: Vec<String>,
    /// Not before this, milliseconds since 1970; none: at once.
    pub not_before_ms: Option<u64>,
    /// Why it cannot happen as things are; none: it can.
    pub closed: Option<String>,
}

/// Every way to go on for an identity, or for an id that does not exist yet (`None`), in the order
/// of the event kinds. The answer is advice: [`crate::decide`] has the last word.
#[must_use]
pub fn explain(installation: &Installation, identity: Option<&Identity>, time: Time) -> Vec<Way> {
    let ways = Ways { installation, time };
    match identity {
        None => ways.of_nobody(),
        Some(identity) => match identity.standing() {
            Standing::Retired => vec![Way {
                closed: Some("the identity is retired, for ever".to_owned()),
                ..Way::by(EventKind::Enrol, &[])
            }],
            standing => ways.of(identity, &standing),
        },
    }
}

/// Officers who must approve the pending switch, as things are now.
#[must_use]
pub fn needed(installation: &Installation, identity: &Identity) -> u32 {
    let needed = identity.pending().map(|pending| terms(installation, identity, pending).needed);
    needed.map_or(installation.rules().approvals, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

impl Way {
    fn by(verb: EventKind, signed_by: &[&str]) -> Self {
        Self {
            verb,
            signed_by: signed_by.iter().map(|s| (*s).to_owned()).collect(),
            takes: Vec::new(),
            not_before_ms: None,
            closed: None,
        }
    }

    fn taking(mut self, what: impl Into<String>) -> Self {
        self.takes.push(what.into());
        self
    }

    fn closed_if(mut self, closed: bool, why: &str) -> Self {
        if closed && self.closed.is_none() {
            self.closed = Some(why.to_owned());
        }
        self
    }

    fn unless(mut self, outcome: &Result<(), Refusal>) -> Self {
        if let (None, Err(refusal)) = (&self.closed, outcome) {
            self.closed = Some(refusal.detail.clone());
        }
        self
    }
}

const NEW_KEY: &str = "the new key's counter-signature and certification request";
const CURRENT: &str = "the current key";
const RECOVERY: &str = "the recovery key";

struct Ways<'a> {
    installation: &'a Installation,
    time: Time,
}

impl Ways<'_> {
    fn officers(&self) -> String {
        let rules = self.installation.rules();
        format!("{} of {} officers", rules.approvals, self.installation.roster().len())
    }

    /// By whose clocks waits run, in words.
    fn clocks(&self) -> String {
        let installation = self.installation;
        let names: Vec<&str> = installation
            .cosigners()
            .iter()
            .map(|cosigner| cosigner.vkey.split('+').next().unwrap_or_default())
            .collect();
        let half = || format!("the clocks of more than half of {}", names.join(", "));
        match (installation.rules().allow_unwitnessed, names.is_empty()) {
            (true, true) => "the authority's clock".to_owned(),
            (true, false) => format!("{}, or by the authority's", half()),
            (false, false) => half(),
            (false, true) => "the clocks of co-signers, of whom there are none".to_owned(),
        }
    }

    /// What no wait can end.
    fn nobody_witnesses(&self) -> bool {
        !self.installation.rules().allow_unwitnessed && self.installation.cosigners().is_empty()
    }

    fn of_nobody(&self) -> Vec<Way> {
        let mut vouches = vec!["an enrolment agent", "an officer"];
        if !self.installation.providers().is_empty() {
            vouches.push("an identity provider, by an ID token over the intent");
        }
        if self.installation.rules().allow_transport_evidence {
            vouches.push("the transport alone (`allow_transport_evidence`)");
        }
        vec![
            Way::by(EventKind::Enrol, &vouches)
                .taking("a certification request, signed by its own key"),
            Way::by(EventKind::Adopt, &[&self.officers()]),
        ]
    }

    fn of(&self, identity: &Identity, standing: &Standing) -> Vec<Way> {
        use EventKind as K;
        let officers = self.officers();
        let held = |verb| movable(self.installation, verb);
        let (active, key) = match standing {
            Standing::Active(key) => (true, Some(key)),
            Standing::Suspended { key, .. } => (false, key.as_ref()),
            Standing::Retired => (false, None),
        };
        let suspended = "the identity is suspended, and a current key lifts nothing";
        let recovery = identity.recovery_key(self.time.lower_ms());
        let no_recovery = recovery.is_none();
        let wait = duration_text(self.installation.rules().wait);
        let window = duration_text(self.installation.rules().recovery_window);
        let unshown = identity.unshown_switch().is_some();
        let signed = |way: Way| {
            if unshown { way.taking("the certificate of the latest switch, signed") } else { way }
        };
        let mut ways = vec![
            signed(Way::by(K::Renew, &[CURRENT]).closed_if(!active, suspended)),
            signed(Way::by(K::Reissue, &[&officers]).closed_if(!active, suspended)),
            signed(Way::by(K::Rekey, &[CURRENT]).taking(NEW_KEY))
                .closed_if(!active, suspended)
                .unless(&held(K::Rekey)),
            Way::by(K::Recover, &[RECOVERY])
                .taking(NEW_KEY)
                .taking("a commitment to the next recovery key")
                .closed_if(no_recovery, "no recovery key is set")
                .unless(&held(K::Recover)),
            self.request(identity).unless(&held(K::SwitchRequest)),
        ];
        ways.extend(self.pending(identity).into_iter().map(|way| match way.verb {
            K::SwitchComplete => way.unless(&held(K::SwitchComplete)),
            _ => way,
        }));
        let by_officer = identity.suspended_by().contains(&Suspender::Officer);
        ways.extend([
            Way::by(K::Suspend, &[CURRENT, "an officer", "the directory"])
                .closed_if(by_officer, "an officer has suspended it already"),
            Way::by(K::Resume, &[RECOVERY, &officers])
                .closed_if(active, "the identity is active")
                .closed_if(key.is_none(), "it has no key: it is recovered or switched instead"),
            Way::by(K::Revoke, &[CURRENT, "an officer"]).closed_if(key.is_none(), "it has no key"),
            Way::by(K::Void, &[&officers]),
            Way::by(K::Retire, &[&officers])
                .taking(format!("a wait of {wait} by {}", self.clocks())),
            Way::by(K::Rename, &[CURRENT, &officers]).closed_if(!active, suspended),
            Way::by(K::ChannelChange, &[CURRENT, &officers])
                .taking(format!("the old channels stay valid for {wait}")),
            Way::by(K::RecoveryCommitmentChange, &[RECOVERY, CURRENT]).taking(format!(
                "by the current key it takes effect after {window}, until when the old one wins"
            )),
        ]);
        ways.sort_by_key(|way| way.verb);
        ways
    }

    fn request(&self, identity: &Identity) -> Way {
        let rules = self.installation.rules();
        let (officers, wait) = (self.officers(), duration_text(rules.wait));
        let mut way = Way::by(EventKind::SwitchRequest, &["the new key"])
            .taking(NEW_KEY)
            .taking(format!("then approval by {officers}, none of them the subject"))
            .taking(format!(
                "a wait of {wait} by {}, in which the holder may object",
                self.clocks()
            ));
        if identity.binding().is_some() {
            way = way.taking("an ID token of the person whom it was enrolled for");
        }
        match identity.pending() {
            Some(pending) if self.time.upper_ms() <= pending.expires_ms() => {
                let approvals = pending.approved_by().count();
                if approvals > 0 {
                    way.taking(format!(
                        "more than {approvals} approvals, to replace the pending one"
                    ))
                } else {
                    way
                }
            }
            _ => way,
        }
    }

    fn pending(&self, identity: &Identity) -> Vec<Way> {
        let Some(pending) = identity.pending() else { return Vec::new() };
        let expired = self.time.upper_ms() > pending.expires_ms();
        let terms = terms(self.installation, identity, pending);
        let over_ms = pending.requested_ms().saturating_add(terms.wait.saturating_mul(1000));
        let missing = terms.needed.saturating_sub(terms.have);
        let mut complete = Way::by(EventKind::SwitchComplete, &[]);
        complete.not_before_ms = Some(over_ms.max(terms.cooled_ms));
        if !self.installation.cosigners().is_empty() || self.nobody_witnesses() {
            let wait = duration_text(terms.wait);
            complete = complete.taking(format!("a wait of {wait} by {}", self.clocks()));
        }
        if missing > 0 {
            complete = complete.taking(format!("{missing} more approvals"));
        }
        let names: Vec<String> = pending.approved_by().map(|key| self.name(key)).collect();
        let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        let why = "the request has expired";
        vec![
            Way::by(EventKind::SwitchApprove, &["an officer who has not"])
                .taking(format!("approved so far by {names}"))
                .closed_if(expired, why),
            complete
                .closed_if(expired, why)
                .closed_if(self.nobody_witnesses(), "nobody co-signs, and no wait can end"),
            Way::by(EventKind::Veto, &[RECOVERY, CURRENT, &self.officers()])
                .closed_if(expired, why),
        ]
    }

    fn name(&self, officer: Hash32) -> String {
        self.installation.officer(officer).map_or_else(|| officer.to_string(), |o| o.name.clone())
    }
}

#[cfg(test)]
mod tests;
