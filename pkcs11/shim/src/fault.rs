//! One call: counted, and let pass or not.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::time::Duration;

use cryptoki_sys::{
    CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_BUFFER_TOO_SMALL, CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_REMOVED, CKR_KEY_HANDLE_INVALID,
    CKR_OBJECT_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID,
    CKR_TOKEN_NOT_PRESENT, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_NOT_LOGGED_IN,
};

use crate::control::{Act, Call};
use crate::inner::{Inner, inner};

/// What is done to the answer of a call that the token carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// Made into another answer.
    Garbage,
    /// Made shorter.
    Short,
}

/// One call of a function.
pub(crate) struct Run<R, S> {
    pub(crate) call: Call,
    /// The session it is about, or 0.
    pub(crate) session: CK_SESSION_HANDLE,
    /// The wrapped module's function.
    pub(crate) real: R,
    /// Spoils the answer.
    pub(crate) spoil: S,
}

impl<R: FnMut(&Inner) -> CK_RV, S: FnMut(Spoil)> Run<R, S> {
    pub(crate) fn run(mut self) -> CK_RV {
        let inner = match inner() {
            Ok(inner) => inner,
            Err(code) => return code,
        };
        inner.counters.called(self.call);
        let control = inner.control();
        if let Some(code) = self.absent(inner, control.absent) {
            return code;
        }
        if let Some(code) = self.dead(inner) {
            return code;
        }
        let mut spoil = None;
        let mut after = None;
        for rule in &control.rules {
            if rule.call != self.call || !rule.happens(inner.counters.asked(rule.id)) {
                continue;
            }
            match rule.act {
                act if rule.after => after = Some(act),
                Act::Garbage => spoil = Some(Spoil::Garbage),
                Act::Short => spoil = Some(Spoil::Short),
                act => {
                    if let Some(code) = self.act(inner, act, false) {
                        return code;
                    }
                }
            }
        }
        let mut rv = self.real(inner);
        if let Some(code) = after.and_then(|act| self.act(inner, act, true)) {
            rv = code;
        }
        if let Some(spoil) = spoil {
            (self.spoil)(spoil);
        }
        rv
    }

    /// The token's own answer.
    fn real(&mut self, inner: &Inner) -> CK_RV {
        if self.call == Call::Finalize {
            let _alone = inner.alone();
            return (self.real)(inner);
        }
        let _among = inner.among_others();
        (self.real)(inner)
    }

    /// Carries an act out; gives the code that the call ends with, unless it goes on.
    fn act(&mut self, inner: &Inner, act: Act, done: bool) -> Option<CK_RV> {
        match act {
            Act::Return(code) => {
                // A code that does not fit cannot be returned by a module of this platform.
                let code = CK_RV::try_from(code).unwrap_or(CK_RV::MAX);
                self.settle(inner, code, done);
                return Some(code);
            }
            Act::Delay(time) => std::thread::sleep(time),
            Act::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Act::Crash => crash(),
            Act::Leak(kib) => {
                // Touched, or the system would not count it.
                std::mem::forget(vec![1u8; kib << 10]);
            }
            Act::Garbage | Act::Short => (),
        }
        None
    }

    /// Brings the wrapped module into the state that the code speaks of.
    fn settle(&mut self, inner: &Inner, code: CK_RV, done: bool) {
        let list = &inner.list;
        match code {
            CKR_SESSION_HANDLE_INVALID | CKR_SESSION_CLOSED if self.session != 0 => {
                inner.state().sessions.remove(&self.session);
                let _among = inner.among_others();
                if let Some(close) = list.C_CloseSession {
                    // SAFETY: takes a handle alone; an unknown one is refused.
                    unsafe { close(self.session) };
                }
                return;
            }
            CKR_DEVICE_REMOVED | CKR_TOKEN_NOT_PRESENT => return close_all(inner),
            CKR_USER_NOT_LOGGED_IN if self.session != 0 => {
                let _among = inner.among_others();
                if let Some(logout) = list.C_Logout {
                    // SAFETY: takes a handle alone; it logs the application out of the token.
                    unsafe { logout(self.session) };
                }
            }
            CKR_CRYPTOKI_NOT_INITIALIZED => {
                let _alone = inner.alone();
                inner.state().sessions.clear();
                if let Some(finalize) = list.C_Finalize {
                    // SAFETY: its argument is reserved and must be null (PKCS#11 §5.4).
                    unsafe { finalize(std::ptr::null_mut()) };
                }
                return;
            }
            CKR_KEY_HANDLE_INVALID | CKR_OBJECT_HANDLE_INVALID => {
                inner.state().dead_handles.insert(self.session);
            }
            _ => (),
        }
        // «The user is logged in already», «it is initialised already»: then that is so. And any
        // error but a short buffer ends the signing operation (PKCS#11 §5.13.2).
        let goes_on = match self.call {
            Call::Login => code == CKR_USER_ALREADY_LOGGED_IN,
            Call::Initialize => code == CKR_CRYPTOKI_ALREADY_INITIALIZED,
            Call::Sign => code != CKR_BUFFER_TOO_SMALL,
            _ => false,
        };
        if goes_on && !done {
            self.real(inner);
            (self.spoil)(Spoil::Garbage);
        }
    }

    /// The code of a call while the token is not there.
    fn absent(&mut self, inner: &Inner, absent: bool) -> Option<CK_RV> {
        if matches!(self.call, Call::Initialize | Call::Finalize | Call::GetInfo) {
            inner.state().seen_absent = false;
            return None;
        }
        let mut state = inner.state();
        if absent && !state.seen_absent {
            state.seen_absent = true;
            drop(state);
            close_all(inner);
        } else if !state.seen_absent {
            return None;
        }
        Some(match self.call {
            Call::OpenSession | Call::GetTokenInfo | Call::GetMechanismList | Call::InitToken => {
                CKR_TOKEN_NOT_PRESENT
            }
            Call::GetSlotList => {
                (self.spoil)(Spoil::Short);
                cryptoki_sys::CKR_OK
            }
            Call::CloseSession => CKR_SESSION_HANDLE_INVALID,
            _ => CKR_DEVICE_REMOVED,
        })
    }

    /// The code of a call with an object handle that has died.
    fn dead(&self, inner: &Inner) -> Option<CK_RV> {
        let mut state = inner.state();
        match self.call {
            Call::FindObjectsInit => {
                state.dead_handles.remove(&self.session);
                None
            }
            Call::SignInit if state.dead_handles.contains(&self.session) => {
                Some(CKR_KEY_HANDLE_INVALID)
            }
            Call::GetAttributeValue if state.dead_handles.contains(&self.session) => {
                Some(CKR_OBJECT_HANDLE_INVALID)
            }
            _ => None,
        }
    }
}

/// A token that goes takes its sessions along.
fn close_all(inner: &Inner) {
    let slots: BTreeSet<CK_SLOT_ID> = {
        let mut state = inner.state();
        std::mem::take(&mut state.sessions).into_values().collect()
    };
    let _among = inner.among_others();
    if let Some(close_all) = inner.list.C_CloseAllSessions {
        for slot in slots {
            // SAFETY: takes a slot's number alone.
            unsafe { close_all(slot) };
        }
    }
}

/// Dies as a process with a broken pointer does.
fn crash() -> ! {
    loop {
        // The first one may go to a handler, which the runtime has for overflown stacks.
        let me = rustix::process::getpid();
        let _ = rustix::process::kill_process(me, rustix::process::Signal::SEGV);
    }
}
