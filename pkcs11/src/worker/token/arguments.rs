//! What some modules want to be told when they are initialised (NSS: where its database is).
#![allow(unsafe_code)]

use crate::config::MODULE_ARGUMENTS;
use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::ptr::NonNull;

/// The arguments of `C_Initialize`; with a text, where the environment names one.
pub(super) fn arguments() -> CInitializeArgs {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let text = std::env::var_os(MODULE_ARGUMENTS).map(OsStringExt::into_vec);
    // A variable of the environment holds no NUL.
    let Some(text) = text.and_then(|bytes| CString::new(bytes).ok()) else {
        return CInitializeArgs::new(flags);
    };
    match NonNull::new(text.into_raw()) {
        // SAFETY: a string that ends in NUL and lives as long as the process, for it is never
        // freed: modules keep pointers to it. Only a module that wants a text is given one.
        Some(text) => unsafe { CInitializeArgs::new_with_reserved(flags, text.cast()) },
        None => CInitializeArgs::new(flags),
    }
}
