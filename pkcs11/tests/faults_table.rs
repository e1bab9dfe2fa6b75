//! Every return code, injected into every function that a worker calls, while it is in use: what
//! happens is what the table says (`src/recovery.rs`), and no signature that comes out is wrong.

mod common;
#[path = "common/shimmed.rs"]
mod shimmed;

use avouch_pkcs11::{Action, Algorithm, HsmError, HsmState, Stage};
use common::{pin, spec};
use pkcs11_shim::{Act, Call};
use shimmed::{Counts, Shimmed};
use std::time::Duration;

/// All codes of PKCS#11 3.2 but CKR_OK, one that no standard knows, and one of a vendor's own.
const CODES: [u64; 105] = [
    0x1,
    0x2,
    0x3,
    0x5,
    0x6,
    0x7,
    0x8,
    0x9,
    0xa,
    0x10,
    0x11,
    0x12,
    0x13,
    0x1b,
    0x20,
    0x21,
    0x30,
    0x31,
    0x32,
    0x40,
    0x41,
    0x42,
    0x50,
    0x51,
    0x54,
    0x60,
    0x62,
    0x63,
    0x64,
    0x65,
    0x66,
    0x67,
    0x68,
    0x69,
    0x6a,
    0x70,
    0x71,
    0x82,
    0x90,
    0x91,
    0xa0,
    0xa1,
    0xa2,
    0xa3,
    0xa4,
    0xb0,
    0xb1,
    0xb3,
    0xb4,
    0xb5,
    0xb6,
    0xb7,
    0xb8,
    0xc0,
    0xc1,
    0xd0,
    0xd1,
    0xe0,
    0xe1,
    0xe2,
    0xf0,
    0xf1,
    0xf2,
    0x100,
    0x101,
    0x102,
    0x103,
    0x104,
    0x105,
    0x110,
    0x112,
    0x113,
    0x114,
    0x115,
    0x120,
    0x121,
    0x130,
    0x140,
    0x150,
    0x160,
    0x170,
    0x180,
    0x190,
    0x191,
    0x1a0,
    0x1a1,
    0x1b0,
    0x1b1,
    0x1b5,
    0x1b6,
    0x1b7,
    0x1b8,
    0x1b9,
    0x200,
    0x201,
    0x202,
    0x203,
    0x204,
    0x205,
    0x206,
    0x207,
    0x208,
    0x209,
    0x7fff_0000,
    0x8000_0042,
];

/// One code of each class, and those that mean something of their own.
const FEW: [u64; 12] =
    [0x1, 0x6, 0x30, 0x32, 0x54, 0x68, 0xa0, 0xb3, 0x101, 0x190, 0x191, 0x8000_0042];

/// All codes where time is given for it.
fn codes(all: bool) -> &'static [u64] {
    if all || std::env::var_os("AVOUCH_LONG").is_some() { &CODES } else { &FEW }
}

/// Attributes that a token does not report are `None`, so these three go on.
fn read_past(call: Call, code: u64) -> bool {
    call == Call::GetAttributeValue && matches!(code, 0x11 | 0x12 | 0x150)
}

async fn while_serving(call: Call, find: bool) {
    let shimmed = Shimmed::new().await;
    for code in CODES {
        // Well, and with two sessions that know the key.
        assert_eq!(shimmed.load(false, 12).await, [], "before {code:#x}");
        let before = shimmed.counts();
        // Where keys are read only once, by looking for one again and again.
        let rule = shimmed.shim.once(call, Act::Return(code)).unwrap();
        let errors = shimmed.load(find, 8).await;
        assert_eq!(shimmed.shim.happened(&rule).unwrap(), 1, "{code:#x} was injected");
        shimmed.shim.clear().unwrap();
        let done = shimmed.counts().since(before);
        let what = format!("{} returned {code:#x}: {done:?}, {errors:?}", call.name());
        let nothing = Counts { processes: 0, sessions: 0, logins: 0 };
        if read_past(call, code) {
            assert_eq!((done.processes, done.logins), (0, 0), "{what}");
            continue;
        }
        match Action::on(Stage::Serving, code) {
            Action::RetryHere => {
                assert_eq!((errors.len(), done), (0, nothing), "{what}");
            }
            Action::NewSession => {
                // Another session may have been hit by the same, as handles die with sessions.
                assert_eq!((errors.len(), done.processes, done.logins), (0, 0, 0), "{what}");
                assert!(done.sessions >= 1, "{what}");
            }
            Action::Refuse => {
                assert_eq!((errors.len(), done), (1, nothing), "{what}");
                assert!(matches!(&errors[0], HsmError::Refused { .. }), "{what}");
            }
            Action::Replace => {
                // All of them are done again by the next process; nobody notices.
                assert_eq!((errors.len(), done.processes, done.logins), (0, 1, 1), "{what}");
            }
            Action::GoOn | Action::AwaitOperator => panic!("{what}"),
        }
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn codes_of_sign() {
    while_serving(Call::Sign, false).await;
}

#[tokio::test]
async fn codes_of_sign_init() {
    while_serving(Call::SignInit, false).await;
}

#[tokio::test]
async fn codes_of_find_objects_init() {
    while_serving(Call::FindObjectsInit, true).await;
}

#[tokio::test]
async fn codes_of_find_objects() {
    while_serving(Call::FindObjects, true).await;
}

#[tokio::test]
async fn codes_of_get_attribute_value() {
    while_serving(Call::GetAttributeValue, true).await;
}

#[tokio::test]
async fn codes_of_generate_key_pair() {
    let shimmed = Shimmed::new().await;
    for (number, code) in (10..).zip(CODES) {
        assert_eq!(shimmed.load(false, 12).await, [], "before {code:#x}");
        let before = shimmed.counts();
        shimmed.shim.once(Call::GenerateKeyPair, Act::Return(code)).unwrap();
        let made = shimmed.hsm.generate(spec(Algorithm::P256, number)).await;
        shimmed.recovered().await;
        let done = shimmed.counts().since(before);
        let what = format!("C_GenerateKeyPair returned {code:#x}: {done:?}, {made:?}");
        match Action::on(Stage::Serving, code) {
            Action::RetryHere | Action::NewSession => {
                assert_eq!((made.is_ok(), done.processes), (true, 0), "{what}");
            }
            Action::Refuse => {
                assert!(matches!(made, Err(HsmError::Refused { .. })), "{what}");
                assert_eq!(done.processes, 0, "{what}");
            }
            // Not done twice: whoever asked looks first whether the key came to be.
            Action::Replace => {
                assert!(made.is_err_and(|error| error.is_transient()), "{what}");
                assert_eq!((done.processes, done.logins), (1, 1), "{what}");
            }
            Action::GoOn | Action::AwaitOperator => panic!("{what}"),
        }
    }
    shimmed.hsm.shut_down().await;
}

/// By which idle sessions are looked after.
#[tokio::test]
async fn codes_of_get_session_info() {
    let shimmed = Shimmed::with(|config| config.keep_alive = Duration::from_millis(20)).await;
    for code in codes(false) {
        assert_eq!(shimmed.load(false, 12).await, [], "before {code:#x}");
        let before = shimmed.counts();
        let rule = shimmed.shim.once(Call::GetSessionInfo, Act::Return(*code)).unwrap();
        while shimmed.shim.happened(&rule).unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        let asked = shimmed.shim.calls(Call::GetSessionInfo).unwrap();
        let replaced = || shimmed.counts().since(before).processes > 0;
        let action = Action::on(Stage::Serving, *code);
        // What was to be done is done when all sessions were looked at again.
        let over = || match action {
            Action::Replace => replaced(),
            _ => shimmed.shim.calls(Call::GetSessionInfo).unwrap() > asked + 6 || replaced(),
        };
        while !over() {
            tokio::task::yield_now().await;
        }
        shimmed.shim.clear().unwrap();
        shimmed.recovered().await;
        let done = shimmed.counts().since(before);
        let what = format!("C_GetSessionInfo returned {code:#x}: {done:?}");
        match action {
            Action::RetryHere | Action::Refuse => {
                assert_eq!((done.processes, done.sessions, done.logins), (0, 0, 0), "{what}");
            }
            Action::NewSession => {
                assert_eq!((done.processes, done.sessions, done.logins), (0, 1, 0), "{what}");
            }
            Action::Replace => assert_eq!((done.processes, done.logins), (1, 1), "{what}"),
            Action::GoOn | Action::AwaitOperator => panic!("{what}"),
        }
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn codes_of_what_matters_to_nobody() {
    let shimmed = Shimmed::new().await;
    for call in [Call::FindObjectsFinal, Call::CloseSession, Call::GetInfo, Call::Finalize] {
        for code in codes(false) {
            assert_eq!(Action::on(Stage::Aside, *code), Action::GoOn);
            shimmed.shim.once(call, Act::Return(*code)).unwrap();
            if call == Call::CloseSession {
                shimmed.shim.once(Call::Sign, Act::Return(0xb3)).unwrap();
                assert_eq!(shimmed.load(false, 8).await, [], "{} {code:#x}", call.name());
            } else if call == Call::GetInfo {
                shimmed.kill_worker();
                shimmed.recovered().await;
            }
            assert_eq!(shimmed.load(true, 8).await, [], "{} returned {code:#x}", call.name());
            assert_eq!(shimmed.load(false, 8).await, [], "{} returned {code:#x}", call.name());
            shimmed.shim.clear().unwrap();
        }
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn codes_of_login() {
    let shimmed = Shimmed::new().await;
    for code in codes(true) {
        assert_eq!(shimmed.load(false, 12).await, [], "before {code:#x}");
        let before = shimmed.counts();
        shimmed.shim.once(Call::Login, Act::Return(*code)).unwrap();
        shimmed.kill_worker();
        let what = format!("C_Login returned {code:#x}");
        match Action::on(Stage::Login, *code) {
            Action::GoOn => {
                shimmed.recovered().await;
                assert_eq!(shimmed.counts().since(before).logins, 1, "{what}");
            }
            Action::AwaitOperator => {
                shimmed.until(|state| matches!(state, HsmState::PinRefused { .. })).await;
                for _ in 0..5 {
                    let error = shimmed.sign(b"x".to_vec()).await.unwrap_err();
                    assert!(error.is_pin() && !error.is_transient(), "{what}: {error}");
                }
                assert_eq!(shimmed.counts().since(before).logins, 1, "{what}");
                shimmed.hsm.set_pin(pin());
                shimmed.recovered().await;
                assert_eq!(shimmed.counts().since(before).logins, 2, "{what}");
            }
            Action::Replace => {
                shimmed.until(|state| matches!(state, HsmState::Recovering { .. })).await;
                shimmed.recovered().await;
                assert_eq!(shimmed.counts().since(before).logins, 2, "{what}");
            }
            action => panic!("{what}: {action:?}"),
        }
    }
    shimmed.hsm.shut_down().await;
}

async fn while_opening(call: Call) {
    let shimmed = Shimmed::new().await;
    for code in codes(false) {
        assert_eq!(shimmed.load(false, 12).await, [], "before {code:#x}");
        let before = shimmed.counts();
        let rule = shimmed.shim.once(call, Act::Return(*code)).unwrap();
        shimmed.kill_worker();
        let what = format!("{} returned {code:#x}", call.name());
        let wanted = match Action::on(Stage::Opening, *code) {
            Action::GoOn if call == Call::Initialize => 1,
            _ => {
                shimmed.until(|state| matches!(state, HsmState::Recovering { .. })).await;
                // The very next attempt succeeds, and none more than one login.
                2
            }
        };
        shimmed.recovered().await;
        assert_eq!(shimmed.shim.happened(&rule).unwrap(), 1, "{what}");
        let done = shimmed.counts().since(before);
        assert_eq!(done.processes, 1, "{what}: {done:?}");
        assert!(done.logins <= wanted, "{what}: {done:?}");
    }
    shimmed.hsm.shut_down().await;
}

#[tokio::test]
async fn codes_of_initialize() {
    while_opening(Call::Initialize).await;
}

#[tokio::test]
async fn codes_of_get_slot_list() {
    while_opening(Call::GetSlotList).await;
}

#[tokio::test]
async fn codes_of_get_token_info() {
    while_opening(Call::GetTokenInfo).await;
}

#[tokio::test]
async fn codes_of_get_mechanism_list() {
    while_opening(Call::GetMechanismList).await;
}

#[tokio::test]
async fn codes_of_open_session() {
    while_opening(Call::OpenSession).await;
}
