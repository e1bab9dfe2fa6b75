//! Every order of events in a small world: Alice, Bob, three officers, a thief with Alice's
//! current key (and every key he moves her to), clocks of one wait.
//!
//! The world's own checks (`world::always`) hold at every step. Here: what the thief never gets,
//! what he never stops, and that the owner gets back from wherever the world has come to.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use wire::event::EventKind as K;
use wire::intent::Intent;

use super::moves::{recover, rekey};
use super::particulars::{rechannel, recommit};
use super::standing::by_officers;
use super::switch::{approve, complete, request, suspend, veto_by_key};
use super::world::*;
use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    ThiefRekeys,
    ThiefRecommits,
    ThiefRechannels,
    ThiefVetoes,
    ThiefSuspends,
    ThiefAsks,
    ThiefRetires,
    ThiefCompletes,
    OwnerAsks,
    OwnerRecovers,
    OfficerSuspends,
    OfficersResume,
    OlgaApproves,
    OmarApproves,
    BobRekeys,
}

const STEPS: &[Step] = &[
    Step::Tick,
    Step::ThiefRekeys,
    Step::ThiefRecommits,
    Step::ThiefRechannels,
    Step::ThiefVetoes,
    Step::ThiefSuspends,
    Step::ThiefAsks,
    Step::ThiefRetires,
    Step::ThiefCompletes,
    Step::OwnerAsks,
    Step::OwnerRecovers,
    Step::OfficerSuspends,
    Step::OfficersResume,
    Step::OlgaApproves,
    Step::OmarApproves,
    Step::BobRekeys,
];

/// The world with what its people know: names of keys by hash, and the intents that were signed.
#[derive(Debug, Clone)]
struct Game {
    world: World,
    /// Keys that the thief holds, by hash. He holds Alice's first one too.
    thief: BTreeMap<wire::Hash32, String>,
    asked: BTreeMap<wire::Hash32, Intent>,
    owner_key: u32,
    thief_key: u32,
    recovery: u32,
    first_recommit_ms: Option<u64>,
}

impl Game {
    fn new() -> Self {
        Self {
            world: World::new(),
            thief: BTreeMap::from([(h("k0"), "k0".to_owned())]),
            asked: BTreeMap::new(),
            owner_key: 0,
            thief_key: 0,
            recovery: 0,
            first_recommit_ms: None,
        }
    }

    fn thief_has(&self) -> Option<String> {
        self.world.alice().key.and_then(|key| self.thief.get(&key.spki).cloned())
    }

    fn pending(&self) -> Option<Intent> {
        self.world.alice().pending().and_then(|p| self.asked.get(&p.intent()).cloned())
    }

    /// The owner's request, if that is what is pending: officers approve no other.
    fn owners(&self) -> Option<Intent> {
        let owners = format!("owner {}", self.owner_key);
        self.pending().filter(|intent| intent.new_spki == Some(h(&owners)))
    }

    /// An officer has suspended Alice; the owner's request has its two approvals.
    fn under_way() -> Self {
        let mut game = Self::new();
        for step in [Step::OfficerSuspends, Step::OwnerAsks, Step::OlgaApproves, Step::OmarApproves]
        {
            assert!(game.step(step).is_some(), "{step:?}");
        }
        game
    }

    /// Takes a step if it is possible; says what happened.
    fn step(&mut self, step: Step) -> Option<EventKind> {
        let before = self.world.alice().clone();
        let kind = self.try_step(step)?;
        self.thief_gets_nothing(step, &before, kind);
        Some(kind)
    }

    fn try_step(&mut self, step: Step) -> Option<EventKind> {
        let world = &mut self.world;
        match step {
            Step::Tick => {
                world.tick(WAIT_MS / 2);
                None
            }
            Step::ThiefRekeys => {
                let key = self.thief_has()?;
                let next = format!("thief {}", self.thief_key + 1);
                let kind = rekey(&mut self.world, &key, &next).ok()?;
                self.thief_key += 1;
                self.thief.insert(h(&next), next);
                Some(kind)
            }
            Step::ThiefRecommits => {
                let key = self.thief_has()?;
                let at = self.world.now_ms;
                let kind = recommit(&mut self.world, &key, &format!("thief r {at}")).ok()?;
                self.first_recommit_ms.get_or_insert(at);
                Some(kind)
            }
            Step::ThiefRechannels => {
                let key = self.thief_has()?;
                rechannel(&mut self.world, &key, "thief").ok()
            }
            Step::ThiefVetoes => {
                let (key, intent) = (self.thief_has()?, self.pending()?);
                veto_by_key(&mut self.world, &intent, &key).ok()
            }
            Step::ThiefSuspends => {
                let key = self.thief_has()?;
                let intent = self.world.intent(K::Suspend);
                let fact = self.world.signs(Role::CurrentKey, &key, &intent);
                self.world.ask(&intent, &[fact]).ok()
            }
            Step::ThiefAsks => {
                let intent = request(world, "thief new").ok()?;
                self.thief.insert(h("thief new"), "thief new".into());
                self.asked.insert(intent.hash(), intent);
                Some(K::SwitchRequest)
            }
            Step::ThiefRetires => {
                let key = self.thief_has()?;
                let intent = self.world.intent(K::Retire);
                let facts = [
                    self.world.signs(Role::CurrentKey, &key, &intent),
                    self.world.signs(Role::Officer, &key, &intent),
                ];
                self.world.ask(&intent, &facts).ok()
            }
            // Anybody may ask for it; it happens when the guards hold.
            Step::ThiefCompletes => complete(world).ok(),
            Step::OwnerAsks => {
                let key = format!("owner {}", self.owner_key + 1);
                let intent = request(world, &key).ok()?;
                self.owner_key += 1;
                self.asked.insert(intent.hash(), intent);
                Some(K::SwitchRequest)
            }
            Step::OwnerRecovers => {
                let (old, new) = (format!("r{}", self.recovery), format!("r{}", self.recovery + 1));
                let key = format!("owner {}", self.owner_key + 1);
                let kind = recover(world, &old, &key, Some(&new)).ok()?;
                self.owner_key += 1;
                self.recovery += 1;
                self.first_recommit_ms = None;
                Some(kind)
            }
            Step::OfficerSuspends => suspend(world, "olga").ok(),
            Step::OfficersResume => {
                let intent = world.anchored(K::Resume);
                by_officers(world, &intent).ok()
            }
            Step::OlgaApproves => {
                let intent = self.owners()?;
                approve(&mut self.world, &intent, "olga").ok()
            }
            Step::OmarApproves => {
                let intent = self.owners()?;
                approve(&mut self.world, &intent, "omar").ok()
            }
            Step::BobRekeys => {
                let mut other = self.world.clone();
                std::mem::swap(&mut other, &mut self.world);
                let bob = other.people["bob"].clone();
                let intent =
                    intent(&other.installation, K::Rekey, "bob", Some(bob.head), bob.sequence + 1);
                let intent = over_key(intent, "b1");
                let facts = [
                    possession("b1"),
                    other.signs(Role::NewKey, "b1", &intent),
                    other.signs(Role::CurrentKey, "b0", &intent),
                ];
                let done = other.act("bob", &Request::Intent(Box::new(intent)), &facts).ok();
                self.world = other;
                done
            }
        }
    }

    fn thief_gets_nothing(&self, step: Step, before: &Identity, kind: EventKind) {
        let after = self.world.alice();
        assert_ne!(step, Step::ThiefRetires, "the holder alone retires nobody");
        if step == Step::BobRekeys {
            assert_eq!(before, after, "what Bob does touches nobody else");
            return;
        }
        if kind == K::SwitchComplete {
            let key = after.key.unwrap().spki;
            assert!(!self.thief.contains_key(&key), "the thief never gets a switch");
            let pending = before.pending().unwrap();
            let waits = 1 + u64::from(pending.is_slowed());
            assert!(self.world.now_ms >= pending.requested_ms() + waits * WAIT_MS);
            assert!(pending.approved_by().count() >= 2 + usize::from(pending.is_slowed()));
        }
        let doubted = before.suspended_by().contains(&crate::Suspender::Officer);
        if doubted && format!("{step:?}").starts_with("Thief") && kind != K::SwitchComplete {
            assert_eq!(after.key, before.key, "{step:?} under an officer's suspension");
            assert!(
                kind == K::SwitchRequest || after.pending().is_some() == before.pending().is_some()
            );
            assert_eq!(after.recovery_commitment, before.recovery_commitment);
        }
        let window = self.first_recommit_ms.is_none_or(|at| self.world.now_ms < at + WAIT_MS);
        if window {
            let winning = after.recovery_key(self.world.now_ms);
            assert_eq!(winning, Some(commitment(&format!("r{}", self.recovery))));
        }
    }

    /// From here the owner gets back: at once with the recovery key in its window, and with
    /// officers alone within three waits, whatever the thief does in between.
    fn owner_gets_back(&self) {
        let within = self.first_recommit_ms.is_none_or(|at| self.world.now_ms < at + WAIT_MS);
        if within {
            let mut game = self.clone();
            assert!(game.step(Step::OwnerRecovers).is_some(), "the recovery key wins");
            assert!(game.thief_has().is_none());
        }
        let mut game = self.clone();
        let started_ms = game.world.now_ms;
        // Whoever has not just suspended her does; two officers find one who may.
        if !game.world.alice().suspended_by().contains(&crate::Suspender::Officer) {
            let done =
                ["olga", "omar", "oskar"].iter().any(|o| suspend(&mut game.world, o).is_ok());
            assert!(done, "some officer can suspend her");
        }
        game.thief_tries_everything();
        let key = "owner gets back";
        let intent =
            super::switch::request_with(&mut game.world, key, &["olga", "omar", "oskar"]).unwrap();
        game.asked.insert(intent.hash(), intent);
        let mut done = false;
        while !done {
            game.thief_tries_everything();
            game.world.tick(WAIT_MS / 2);
            done = complete(&mut game.world).is_ok();
            let cooldown = 7 * 24 * HOUR_MS;
            assert!(game.world.now_ms - started_ms <= 3 * WAIT_MS + cooldown, "not in time");
        }
        assert_eq!(game.world.alice().key.unwrap().spki, h(key));
        assert_eq!(game.world.alice().status, Status::Active);
    }

    fn thief_tries_everything(&mut self) {
        for step in STEPS.iter().filter(|s| format!("{s:?}").starts_with("Thief")) {
            if *step != Step::ThiefCompletes {
                self.step(*step);
            }
        }
    }

    /// What the future depends on, without the hashes that only name the past.
    fn shape(&self) -> String {
        let alice = self.world.alice();
        let now = self.world.now_ms;
        let owner = alice.key.map(|key| self.thief.contains_key(&key.spki));
        let pending = alice.pending().map(|p| {
            let owners = self.owners().is_some();
            (owners, p.approved_by().count(), p.is_slowed(), now - p.requested_ms())
        });
        let window = self.first_recommit_ms.map(|at| (now - at).min(3 * WAIT_MS));
        let details = &alice.details;
        format!(
            "{owner:?} {:?} {pending:?} {window:?} {:?} {:?} {:?} {:?} {}",
            alice.suspended_by(),
            details.still_wins.map(|old| old.until_ms.saturating_sub(now)),
            details.former_channels.as_ref().map(|(_, until)| until.saturating_sub(now)),
            details.officers_suspended.get(&h("olga")).map(|at| (now - at).min(WAIT_MS)),
            details.switched_ms.map(|at| (now - at).min(4 * WAIT_MS)),
            self.world.people["bob"].sequence,
        )
    }
}

#[test]
fn every_order_of_events_in_a_small_world() {
    let depth = 5;
    let mut seen = HashSet::new();
    let mut layer = vec![Game::new(), Game::under_way()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for game in &layer {
            for step in STEPS {
                let mut game = game.clone();
                if game.step(*step).is_none() && *step != Step::Tick {
                    continue;
                }
                if seen.insert(game.shape()) {
                    game.owner_gets_back();
                    next.push(game);
                }
            }
        }
        layer = next;
    }
    assert!(seen.len() > 500, "only {} different worlds", seen.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn long_histories_keep_every_promise(
        steps in proptest::collection::vec(proptest::sample::select(STEPS), 1..60)
    ) {
        let mut game = Game::new();
        for step in steps {
            game.step(step);
        }
        game.owner_gets_back();
    }
}
