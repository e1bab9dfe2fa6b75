//! Where several tokens, slow tokens and lost answers meet: no PIN too often, nothing idle, nothing
//! killed that works.

mod common;
#[path = "common/shimmed.rs"]
mod shimmed;

use avouch_pkcs11::{Algorithm, Hsm, HsmError, HsmState, Pin, TokenSetup};
use common::{LABEL, MODULE, PIN, SoftHsm, pin, spec};
use pkcs11_shim::{Act, Call, Rule, Shim};
use shimmed::{Shimmed, command, config};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn wrong() -> Pin {
    Pin::new("not-the-pin-4711".to_owned())
}

/// A token behind a shim.
async fn token() -> (SoftHsm, Shim) {
    let soft = SoftHsm::new().await;
    let shim = Shim::new(soft.dir.path(), Path::new(MODULE)).unwrap();
    (soft, shim)
}

fn setup(name: &str, soft: &SoftHsm, shim: &Shim, pin: Pin) -> TokenSetup {
    let command = command(soft, shim);
    TokenSetup { name: name.to_owned(), command, config: config(), pin: Some(pin) }
}

/// Gives supervisors every occasion to do what they should not.
async fn while_others_try(hsm: &Hsm) {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        let _ = hsm.keys().await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refused_pin_is_told_although_another_token_is_away() {
    let (soft, shim) = token().await;
    let mut away = setup("first", &soft, &shim, pin());
    away.config = avouch_pkcs11::TokenConfig::token(
        "/nowhere/module.so",
        avouch_pkcs11::TokenSelector::Label(LABEL.to_owned()),
    );
    let refused = setup("second", &soft, &shim, wrong());
    let error = Hsm::start_all(vec![away, refused]).await.unwrap_err();
    assert!(error.is_pin(), "a new start would try it again: {error}");
}

#[tokio::test]
async fn a_refused_pin_is_told_although_another_token_waits_for_its_own() {
    let (soft, shim) = token().await;
    let mut waits = setup("first", &soft, &shim, pin());
    waits.pin = None;
    let refused = setup("second", &soft, &shim, wrong());
    let error = Hsm::start_all(vec![waits, refused]).await.unwrap_err();
    assert!(!matches!(error, HsmError::PinAwaited), "a new start would try it again: {error}");
    assert!(error.is_pin(), "{error}");
}

#[tokio::test]
async fn two_doors_to_one_token_try_a_wrong_pin_once() {
    let (soft, shim) = token().await;
    let tokens = ["first", "second", "third"].map(|name| setup(name, &soft, &shim, wrong()));
    let error = Hsm::start_all(tokens.into()).await.unwrap_err();
    assert!(error.is_pin(), "{error}");
    assert_eq!(shim.calls(Call::Login).unwrap(), 1);
}

#[tokio::test]
async fn two_doors_to_one_token_learn_once_that_its_pin_was_changed() {
    let (soft, shim) = token().await;
    let tokens = ["first", "second"].map(|name| setup(name, &soft, &shim, pin()));
    let hsm = Hsm::start_all(tokens.into()).await.unwrap();
    while hsm.ready_workers() < 2 {
        tokio::task::yield_now().await;
    }
    let new = "another-pin-2222";
    soft.tool(&["--login", "--pin", PIN, "--change-pin", "--new-pin", new]);
    let before = shim.calls(Call::Login).unwrap();
    for worker in hsm.status().workers {
        let pid = rustix::process::Pid::from_raw(worker.pid.unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    while !matches!(hsm.status().state, HsmState::PinRefused { .. }) {
        tokio::task::yield_now().await;
    }
    while_others_try(&hsm).await;
    assert_eq!(shim.calls(Call::Login).unwrap() - before, 1);
    hsm.set_pin(Pin::new(new.to_owned()));
    while hsm.ready_workers() < 2 {
        tokio::task::yield_now().await;
    }
    hsm.shut_down().await;
}

#[tokio::test]
async fn two_tokens_of_one_pin_are_asked_each() {
    let ((one, first), (two, second)) = (token().await, token().await);
    let new = "another-pin-2222";
    one.tool(&["--login", "--pin", PIN, "--change-pin", "--new-pin", new]);
    let tokens = vec![setup("first", &one, &first, pin()), setup("second", &two, &second, pin())];
    let hsm = Hsm::start_all(tokens).await.unwrap();
    assert_eq!(hsm.status().tokens[1].state, HsmState::Ready);
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_login_whose_answer_is_lost_is_not_repeated_with_a_wrong_pin() {
    for act in [Act::Return(0x30), Act::Return(0x5), Act::Crash, Act::Hang] {
        let (soft, shim) = token().await;
        shim.add(Rule { after: true, ..Rule::new(0, Call::Login, act) }).unwrap();
        let mut setup = setup("token", &soft, &shim, wrong());
        setup.config.start_deadline = Duration::from_millis(1500);
        let _ = Hsm::start_all(vec![setup.clone()]).await.unwrap_err();
        assert_eq!(shim.calls(Call::Login).unwrap(), 1);
        // Nobody knows what became of that one; the token counts it.
        let TokenSetup { command, config, .. } = setup;
        let hsm = Hsm::start_in_background(command, config, wrong()).unwrap();
        while !matches!(hsm.status().state, HsmState::PinRefused { .. }) {
            tokio::task::yield_now().await;
        }
        while_others_try(&hsm).await;
        // A new start is an operator's: it may try once.
        assert_eq!(shim.calls(Call::Login).unwrap(), 2, "{act:?}");
        shim.clear().unwrap();
        hsm.set_pin(pin());
        hsm.wait_ready().await.unwrap();
        hsm.shut_down().await;
    }
}

#[tokio::test]
async fn a_login_whose_answer_is_lost_is_repeated_with_the_right_pin() {
    for act in [Act::Return(0x30), Act::Crash] {
        let (soft, shim) = token().await;
        shim.add(Rule { after: true, times: 2, ..Rule::new(0, Call::Login, act) }).unwrap();
        let TokenSetup { command, config, pin, .. } = setup("token", &soft, &shim, pin());
        let hsm = Hsm::start_in_background(command, config, pin.unwrap()).unwrap();
        hsm.wait_ready().await.unwrap();
        hsm.shut_down().await;
    }
}

#[tokio::test]
async fn the_last_token_is_not_drained_while_the_other_is_on_its_way_out() {
    let ((one, first), (two, second)) = (token().await, token().await);
    let tokens = vec![setup("first", &one, &first, pin()), setup("second", &two, &second, pin())];
    let hsm = Hsm::start_all(tokens).await.unwrap();
    while hsm.ready_workers() < 2 {
        tokio::task::yield_now().await;
    }
    hsm.drain(Some("first"), true, false).unwrap();
    let error = hsm.drain(Some("second"), true, false).unwrap_err();
    assert!(error.to_string().contains("no other token"), "{error}");
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_slow_token_is_not_taken_for_one_that_hangs() {
    let shimmed = Shimmed::with(|config| {
        config.sessions = 1;
        config.deadline = Duration::from_millis(700);
    })
    .await;
    shimmed.shim.always(Call::Sign, Act::Delay(Duration::from_millis(100))).unwrap();
    let errors = shimmed.load(false, 24).await;
    assert!(errors.iter().all(HsmError::is_transient), "{errors:?}");
    // Nobody waits for these any more, but the worker is at them.
    while shimmed.hsm.status().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    shimmed.recovered().await;
    assert_eq!(shimmed.counts().processes, 1, "it answered one after the other");
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_second_token_with_other_keys_keeps_nobody_from_the_first() {
    let ((one, first), (two, second)) = (token().await, token().await);
    let mut keys = Vec::new();
    for soft in [&one, &two] {
        let hsm = soft.start().await;
        keys.push(hsm.generate(spec(Algorithm::P256, 1)).await.unwrap());
        hsm.shut_down().await;
    }
    for _ in 0..3 {
        let tokens =
            vec![setup("first", &one, &first, pin()), setup("second", &two, &second, pin())];
        let hsm = Hsm::start_all(tokens).await.unwrap();
        while hsm.ready_workers() < 2 {
            tokio::task::yield_now().await;
        }
        // As at the start of an authority: the tokens are open, then it says which keys it has.
        hsm.prove(&keys[0].id, &keys[0].spki_der).await.unwrap();
        for _ in 0..8 {
            hsm.prove(&keys[0].id, &keys[0].spki_der).await.unwrap();
        }
        let changed = |state: &HsmState| {
            matches!(state, HsmState::Recovering { error: HsmError::KeyChanged { .. } })
        };
        while !changed(&hsm.status().tokens[1].state) {
            let _ = hsm.prove(&keys[0].id, &keys[0].spki_der).await.unwrap();
        }
        hsm.shut_down().await;
    }
}

#[tokio::test]
async fn a_token_that_lost_half_a_key_leaves_the_work_to_the_other() {
    let (soft, shim) = token().await;
    let hsm = soft.start().await;
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    hsm.shut_down().await;
    // A clone, from which somebody removes the public key.
    let half = SoftHsm::empty();
    std::fs::remove_dir(half.dir.path().join("tokens")).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([soft.dir.path().join("tokens"), half.dir.path().join("tokens")])
        .status()
        .unwrap();
    assert!(copied.success());
    let second = Shim::new(half.dir.path(), Path::new(MODULE)).unwrap();
    let tokens = vec![setup("first", &soft, &shim, pin()), setup("second", &half, &second, pin())];
    let hsm = Hsm::start_all(tokens).await.unwrap();
    while hsm.ready_workers() < 2 {
        tokio::task::yield_now().await;
    }
    hsm.prove(&key.id, &key.spki_der).await.unwrap();
    let id = hex::encode(&key.id);
    half.tool(&["--login", "--pin", PIN, "--delete-object", "--type", "pubkey", "--id", &id]);
    // Another session has to look the key up again.
    second.once(Call::SignInit, Act::Return(0xb3)).unwrap();
    let broken = |state: &HsmState| {
        matches!(state, HsmState::Recovering { error: HsmError::NoPublicKey { .. } })
    };
    let mut number = 0u32;
    while !broken(&hsm.status().tokens[1].state) {
        let calls: Vec<_> = (0..32)
            .map(|_| {
                number += 1;
                let (hsm, id) = (hsm.clone(), key.id.clone());
                tokio::spawn(async move { hsm.sign(&id, number.to_be_bytes()).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_refused_pin_shows_while_a_worker_still_serves() {
    let shimmed = Shimmed::new().await;
    let new = "another-pin-2222";
    shimmed.soft.tool(&["--login", "--pin", PIN, "--change-pin", "--new-pin", new]);
    assert!(shimmed.hsm.probe(None).await.unwrap_err().is_pin());
    let token = shimmed.hsm.status().tokens.remove(0);
    assert_eq!(token.state, HsmState::Ready);
    assert!(matches!(token.pin_refused, Some(HsmError::PinWrong { .. })), "{token:?}");
    shimmed.hsm.try_pin(None, Pin::new(new.to_owned())).await.unwrap();
    assert_eq!(shimmed.hsm.status().tokens[0].pin_refused, None);
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn a_worker_is_not_told_the_other_tokens_pin() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_with_pins_in_its_environment", "--ignored", "--nocapture"])
        .env("FIRST_PIN", PIN)
        .env("SECOND_PIN", "not-the-pin-4711")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

/// Not a test: what the test above starts.
#[tokio::test]
#[ignore = "started by a_worker_is_not_told_the_other_tokens_pin"]
async fn process_with_pins_in_its_environment() {
    let (soft, shim) = token().await;
    let (seen, script) = (soft.dir.path().join("seen"), soft.dir.path().join("worker.sh"));
    let worker = common::worker().program;
    let text = format!("#!/bin/sh\nenv >> {}\nexec {}\n", seen.display(), worker.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut first = setup("first", &soft, &shim, pin());
    first.command.program = script;
    let second = setup("second", &soft, &shim, wrong());
    let hsm = Hsm::start_all(vec![first, second]).await.unwrap();
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("SOFTHSM2_CONF="), "{seen}");
    assert!(!seen.contains("_PIN="), "{seen}");
    hsm.shut_down().await;
}
