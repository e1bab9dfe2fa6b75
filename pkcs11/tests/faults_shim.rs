//! A module that crashes, hangs, leaks or lies, and a token that is pulled, exchanged or cloned.

mod common;
#[path = "common/shimmed.rs"]
mod shimmed;

use avouch_pkcs11::{Hsm, HsmError, HsmState, Pin, TokenSetup};
use common::{MODULE, PIN, SoftHsm, pin};
use pkcs11_shim::{Act, Call, Rule, Shim};
use shimmed::{Shimmed, command, config};
use std::path::Path;
use std::time::Duration;

/// Requests until one of them fails and until it signs again; each failure may be tried again.
async fn fails_and_recovers(shimmed: &Shimmed, rule: &Rule) {
    while shimmed.shim.happened(rule).unwrap() == 0 {
        for error in shimmed.load(false, 8).await {
            assert!(error.is_transient(), "{error}");
        }
    }
    shimmed.recovered().await;
}

#[tokio::test]
async fn a_module_that_crashes_costs_the_requests_in_flight() {
    let shimmed = Shimmed::new().await;
    let before = shimmed.counts();
    let crash = Rule { skip: 20, times: 1, ..Rule::new(0, Call::Sign, Act::Crash) };
    let rule = shimmed.shim.add(crash).unwrap();
    fails_and_recovers(&shimmed, &rule).await;
    assert_eq!(shimmed.counts().since(before).processes, 1);
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_module_that_hangs_is_left_behind() {
    let shimmed = Shimmed::with(|config| config.deadline = Duration::from_millis(400)).await;
    let before = shimmed.counts();
    let minute = Act::Delay(Duration::from_secs(60));
    let rule = shimmed.shim.once(Call::Sign, minute).unwrap();
    fails_and_recovers(&shimmed, &rule).await;
    // The other session serves until the deadline of the one that hangs.
    while shimmed.counts().since(before).processes == 0 {
        shimmed.recovered().await;
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_module_that_leaks_is_replaced_before_it_matters() {
    let shimmed = Shimmed::with(|config| config.memory = 96).await;
    let before = shimmed.counts();
    shimmed.shim.always(Call::Sign, Act::Leak(512)).unwrap();
    // Some 300 MiB in all, and nobody notices.
    for _ in 0..40 {
        assert_eq!(shimmed.load(false, 16).await, []);
    }
    assert!(shimmed.counts().since(before).processes >= 2);
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_wrong_signature_never_leaves() {
    let shimmed = Shimmed::new().await;
    for act in [Act::Garbage, Act::Short] {
        let before = shimmed.counts();
        let rule = shimmed.shim.once(Call::Sign, act).unwrap();
        let errors = shimmed.load(false, 8).await;
        assert_eq!(shimmed.shim.happened(&rule).unwrap(), 1);
        // Its worker is not used again. Others' requests may have been with it.
        assert!(errors.iter().all(HsmError::is_transient), "{errors:?}");
        shimmed.recovered().await;
        assert_eq!(shimmed.counts().since(before).processes, 1, "{act:?}");
    }
    // One that only lies is not used at all: it fails the challenge.
    shimmed.shim.always(Call::Sign, Act::Garbage).unwrap();
    assert!(shimmed.load(false, 4).await.iter().all(HsmError::is_transient));
    let state = shimmed.until(|state| matches!(state, HsmState::Recovering { .. })).await;
    let HsmState::Recovering { error } = state else { panic!("{state:?}") };
    assert!(matches!(error, HsmError::ChallengeFailed { .. } | HsmError::Unavailable { .. }));
    shimmed.shim.clear().unwrap();
    shimmed.recovered().await;
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_token_that_is_pulled_and_put_back_is_used_again() {
    let shimmed = Shimmed::new().await;
    for _ in 0..3 {
        assert_eq!(shimmed.load(false, 16).await, []);
        shimmed.shim.absent(true).unwrap();
        for error in shimmed.load(false, 8).await {
            assert!(error.is_transient(), "{error}");
        }
        let state = shimmed.until(|state| matches!(state, HsmState::Recovering { .. })).await;
        let since = shimmed.hsm.status().tokens[0].since;
        assert!(since <= std::time::SystemTime::now(), "{state:?}");
        let before = shimmed.counts();
        shimmed.shim.absent(false).unwrap();
        shimmed.recovered().await;
        // The first attempt after its return is the one that succeeds; the pause before it is at
        // most 1.5 s (supervisor.rs).
        assert_eq!(shimmed.counts().since(before).logins, 1);
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_token_initialised_by_somebody_else_is_refused_and_a_clone_accepted() {
    let shimmed = Shimmed::new().await;
    let tokens = shimmed.soft.dir.path().join("tokens");
    let clone = shimmed.soft.dir.path().join("clone");
    copy(&tokens, &clone);

    // Initialised again, with the same label and PIN, and a key of the same CKA_ID.
    let other = SoftHsm::new().await;
    let theirs = other.start().await;
    let id = shimmed.key.id.clone();
    theirs.generate(common::spec(avouch_pkcs11::Algorithm::P256, id[0])).await.unwrap();
    theirs.shut_down().await;
    std::fs::remove_dir_all(&tokens).unwrap();
    copy(&other.dir.path().join("tokens"), &tokens);
    shimmed.kill_worker();
    let refused = |state: &HsmState| {
        matches!(state, HsmState::Recovering { error: HsmError::KeyChanged { .. } })
    };
    shimmed.until(refused).await;
    assert!(shimmed.sign(b"x".to_vec()).await.unwrap_err().is_transient());

    // The clone has another serial number nowhere that matters: it has the key.
    std::fs::remove_dir_all(&tokens).unwrap();
    copy(&clone, &tokens);
    shimmed.recovered().await;
    shimmed.hsm.shut_down().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_idle_session_is_kept_alive_and_a_dead_one_mended_before_it_is_needed() {
    let shimmed = Shimmed::with(|config| config.keep_alive = Duration::from_millis(20)).await;
    assert_eq!(shimmed.load(false, 12).await, []);
    let before = shimmed.counts();
    let asked = shimmed.shim.calls(Call::GetSessionInfo).unwrap();
    // The token closes idle sessions, as some do.
    shimmed.shim.once(Call::GetSessionInfo, Act::Return(0xb3)).unwrap();
    while shimmed.shim.calls(Call::GetSessionInfo).unwrap() < asked + 8 {
        tokio::task::yield_now().await;
    }
    let done = shimmed.counts().since(before);
    assert_eq!((done.processes, done.logins, done.sessions), (0, 0, 1));
    // The login is gone: that is found by ourselves, too, and mended by another process.
    shimmed.shim.once(Call::GetSessionInfo, Act::Return(0x101)).unwrap();
    while shimmed.counts().since(before).processes == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shimmed.load(false, 8).await, []);
    shimmed.hsm.shut_down().await;
}

/// Two clones of one token, each behind a shim.
struct Pair {
    first: Shimmed,
    second: Shim,
    _folders: SoftHsm,
}

impl Pair {
    async fn new() -> Self {
        let mut first = Shimmed::new().await;
        first.hsm.shut_down().await;
        let clone = SoftHsm::empty();
        std::fs::remove_dir(clone.dir.path().join("tokens")).unwrap();
        copy(&first.soft.dir.path().join("tokens"), &clone.dir.path().join("tokens"));
        let second = Shim::new(clone.dir.path(), Path::new(MODULE)).unwrap();
        let setup = |name: &str, command| TokenSetup {
            name: name.to_owned(),
            command,
            config: config(),
            pin: Some(pin()),
        };
        let tokens = vec![
            setup("first", command(&first.soft, &first.shim)),
            setup("second", command(&clone, &second)),
        ];
        first.hsm = Hsm::start_all(tokens).await.unwrap();
        first.hsm.prove(&first.key.id, &first.key.spki_der).await.unwrap();
        let pair = Pair { first, second, _folders: clone };
        pair.state(1, &HsmState::Ready).await;
        pair.state(0, &HsmState::Ready).await;
        pair
    }

    async fn state(&self, token: usize, wanted: &HsmState) {
        while self.first.hsm.status().tokens[token].state != *wanted {
            tokio::task::yield_now().await;
        }
    }

    fn signed(&self) -> (u64, u64) {
        (self.first.shim.calls(Call::Sign).unwrap(), self.second.calls(Call::Sign).unwrap())
    }
}

#[tokio::test]
async fn of_two_tokens_one_may_go_and_one_may_be_drained() {
    let pair = Pair::new().await;
    let before = pair.signed();
    for _ in 0..20 {
        assert_eq!(pair.first.load(false, 32).await, []);
    }
    let after = pair.signed();
    assert!(after.0 > before.0 && after.1 > before.1, "both work: {before:?} {after:?}");

    // Drained: what is asked from then on goes to the other, and nothing is lost.
    pair.first.hsm.drain(Some("second"), true, false).unwrap();
    pair.state(1, &HsmState::Drained).await;
    let drained = pair.signed().1;
    assert_eq!(pair.first.load(false, 32).await, []);
    assert_eq!(pair.signed().1, drained);
    // The last one is not drained by mistake.
    let error = pair.first.hsm.drain(Some("first"), true, false).unwrap_err();
    assert!(error.to_string().contains("no other token"), "{error}");
    pair.first.hsm.drain(Some("second"), false, false).unwrap();
    pair.state(1, &HsmState::Ready).await;

    // Crashed: the other takes over what was in flight.
    pair.first.shim.once(Call::Sign, Act::Crash).unwrap();
    for _ in 0..20 {
        assert_eq!(pair.first.load(false, 32).await, []);
    }
    // Pulled, likewise.
    pair.first.shim.absent(true).unwrap();
    for _ in 0..20 {
        assert_eq!(pair.first.load(false, 32).await, []);
    }
    assert!(pair.first.hsm.is_ready());
    pair.first.shim.absent(false).unwrap();
    pair.state(0, &HsmState::Ready).await;
    pair.first.hsm.shut_down().await;
}

#[tokio::test]
async fn a_pin_is_changed_without_anybody_noticing() {
    let shimmed = Shimmed::new().await;
    let new = "another-pin-2222";
    shimmed.soft.tool(&["--login", "--pin", PIN, "--change-pin", "--new-pin", new]);
    // A wrong one is tried once, and changes nothing.
    let logins = shimmed.counts().logins;
    let wrong = Pin::new("not-this-one-9".to_owned());
    let error = shimmed.hsm.try_pin(None, wrong).await.unwrap_err();
    assert!(matches!(error, HsmError::PinWrong { .. }), "{error}");
    assert_eq!(shimmed.counts().logins, logins + 1);
    assert_eq!(shimmed.load(false, 16).await, []);
    shimmed.hsm.try_pin(None, Pin::new(new.to_owned())).await.unwrap();
    assert_eq!(shimmed.load(false, 16).await, []);
    assert_eq!(shimmed.counts().processes, 1, "the worker that serves is still the first");
    // The next login uses it.
    shimmed.kill_worker();
    shimmed.recovered().await;
    shimmed.hsm.probe(None).await.unwrap();
    shimmed.hsm.shut_down().await;
}
