//! The wrapped module, loaded once, and what this process knows about its sessions.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_GENERAL_ERROR, CKR_OK, Pkcs11,
};

use crate::control::Control;
use crate::report::Counters;
use crate::{FOLDER, MODULE};

/// The wrapped module and the two files.
pub(crate) struct Inner {
    /// Its functions.
    pub(crate) list: CK_FUNCTION_LIST,
    /// The same with ours in their place: what the caller is given.
    pub(crate) ours: CK_FUNCTION_LIST,
    /// Who counts.
    pub(crate) counters: Counters,
    control: PathBuf,
    state: Mutex<State>,
    /// Shared by all calls of the module. A module that is finalised under another thread's call may
    /// do anything at all (PKCS#11 §5.4), so that waits for all of them. Taken before `state`.
    calls: RwLock<()>,
    // Keeps it loaded.
    _module: Pkcs11,
}

// SAFETY: function lists hold pointers to functions, which any thread may call; the module's own
// functions are called as the caller, who promised to keep PKCS#11's rules on threads, calls ours.
unsafe impl Send for Inner {}
// SAFETY: as above; everything that changes is behind a lock or atomic.
unsafe impl Sync for Inner {}

/// What this process knows.
#[derive(Default)]
pub(crate) struct State {
    text: String,
    parsed: Control,
    /// Sessions that are open, with their slots.
    pub(crate) sessions: BTreeMap<CK_SESSION_HANDLE, CK_SLOT_ID>,
    /// Sessions whose object handles are dead until objects are looked for again.
    pub(crate) dead_handles: BTreeSet<CK_SESSION_HANDLE>,
    /// The token was seen to be absent since the module was initialised.
    pub(crate) seen_absent: bool,
}

/// The wrapped module. Without it nothing works, and the caller is told so by a general error.
pub(crate) fn inner() -> Result<&'static Inner, CK_RV> {
    static INNER: OnceLock<Option<Inner>> = OnceLock::new();
    let load = || {
        let variable =
            |name: &str| std::env::var_os(name).ok_or_else(|| format!("{name} is not set"));
        let loaded =
            variable(MODULE).and_then(|module| open(module, Path::new(&variable(FOLDER)?)));
        // Standard error is where a worker's module may speak.
        loaded.inspect_err(|error| eprintln!("avouch-pkcs11-shim: {error}")).ok()
    };
    INNER.get_or_init(load).as_ref().ok_or(CKR_GENERAL_ERROR)
}

fn open(module: OsString, folder: &Path) -> Result<Inner, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", module.display());
    // SAFETY: loading a module runs its initialisers, which is what whoever names it asks for.
    let loaded = unsafe { Pkcs11::new(&module) }.map_err(|error| told(&error))?;
    if loaded.C_GetFunctionList.is_err() {
        return Err(told(&"no C_GetFunctionList"));
    }
    let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
    // SAFETY: the symbol is there, and `list` is a place for the one pointer that it writes.
    let rv = unsafe { loaded.C_GetFunctionList(&mut list) };
    if rv != CKR_OK || list.is_null() {
        return Err(told(&"C_GetFunctionList gives no list"));
    }
    // SAFETY: the list lives as long as the module; it is copied whatever its alignment.
    let list = unsafe { list.read_unaligned() };
    let counters = Counters::open(&folder.join("report")).map_err(|error| told(&error))?;
    Ok(Inner {
        ours: crate::functions::put_ours(list),
        list,
        counters,
        control: folder.join("control"),
        state: Mutex::default(),
        calls: RwLock::new(()),
        _module: loaded,
    })
}

impl Inner {
    /// A call goes into the module.
    pub(crate) fn among_others(&self) -> RwLockReadGuard<'_, ()> {
        self.calls.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else is in the module.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.calls.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong now.
    pub(crate) fn control(&self) -> Control {
        // Unreadable is as good as empty: the tests' own checks find out.
        let text = std::fs::read_to_string(&self.control).unwrap_or_default();
        let mut state = self.state();
        if state.text != text {
            match text.parse() {
                Ok(parsed) => state.parsed = parsed,
                Err(error) => eprintln!("avouch-pkcs11-shim: control: {error}"),
            }
            state.text = text;
        }
        state.parsed.clone()
    }
}
