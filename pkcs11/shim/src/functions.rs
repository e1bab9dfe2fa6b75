//! The functions that stand in the wrapped module's place.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "the standard's names")]

use std::ffi::c_void;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BBOOL, CK_BYTE, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_MECHANISM,
    CK_MECHANISM_TYPE, CK_NOTIFY, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO,
    CK_SLOT_ID, CK_TOKEN_INFO, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CK_USER_TYPE, CK_UTF8CHAR,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_OK,
};

use crate::control::Call;
use crate::fault::{Run, Spoil};
use crate::inner::{Inner, inner};

/// The list of functions. What is not ours goes straight to the wrapped module.
///
/// # Safety
/// `list` is a place for one pointer (PKCS#11 §5.4).
#[unsafe(no_mangle)]
#[allow(unreachable_pub, reason = "callers find it by its name")]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    match inner() {
        // SAFETY: the caller gives a place for a pointer; what it points to lives as long as the
        // process, and nobody writes to a function list.
        Ok(inner) => unsafe {
            list.write(std::ptr::from_ref(&inner.ours).cast_mut());
            CKR_OK
        },
        Err(code) => code,
    }
}

macro_rules! wrapped {
    ($($name:ident: $call:ident($session:expr; $($arg:ident: $type:ty),*) $spoil:expr;)*) => {
        /// Puts ours in their places.
        pub(crate) fn put_ours(mut list: CK_FUNCTION_LIST) -> CK_FUNCTION_LIST {
            $(list.$name = Some($name);)*
            list.C_OpenSession = Some(C_OpenSession);
            list
        }

        $(unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            Run {
                call: Call::$call,
                session: $session,
                real: |inner: &Inner| match inner.list.$name {
                    // SAFETY: the caller's own arguments, passed on as they are.
                    Some(function) => unsafe { function($($arg),*) },
                    None => CKR_FUNCTION_NOT_SUPPORTED,
                },
                spoil: $spoil,
            }
            .run()
        })*
    };
}

/// Nothing to spoil.
fn nothing(_: Spoil) {}

wrapped! {
    C_Initialize: Initialize(0; args: *mut c_void) nothing;
    C_Finalize: Finalize(0; reserved: *mut c_void) nothing;
    C_GetInfo: GetInfo(0; info: *mut CK_INFO) nothing;
    C_GetSlotList: GetSlotList(0; present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG)
        // SAFETY: the caller's place for the number of slots.
        |_| unsafe { if !count.is_null() { *count = 0 } };
    C_GetTokenInfo: GetTokenInfo(0; slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) nothing;
    C_GetMechanismList: GetMechanismList(0;
        slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) nothing;
    C_CloseSession: CloseSession(session; session: CK_SESSION_HANDLE) nothing;
    C_GetSessionInfo: GetSessionInfo(session;
        session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) nothing;
    C_Login: Login(session;
        session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, len: CK_ULONG)
        nothing;
    C_Logout: Logout(session; session: CK_SESSION_HANDLE) nothing;
    C_FindObjectsInit: FindObjectsInit(session;
        session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) nothing;
    C_FindObjects: FindObjects(session;
        session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG,
        count: *mut CK_ULONG)
        // SAFETY: the caller's place for the number of objects.
        |_| unsafe { if !count.is_null() { *count = 0 } };
    C_FindObjectsFinal: FindObjectsFinal(session; session: CK_SESSION_HANDLE) nothing;
    C_GetAttributeValue: GetAttributeValue(session;
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, attributes: *mut CK_ATTRIBUTE,
        count: CK_ULONG)
        // SAFETY: the caller's own array and its true length.
        |_| unsafe { spoil_attributes(attributes, count) };
    C_SignInit: SignInit(session;
        session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) nothing;
    C_Sign: Sign(session;
        session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG,
        signature: *mut CK_BYTE, len: *mut CK_ULONG)
        // SAFETY: the caller's own buffer and length, as the token left them.
        |how| unsafe { spoil_signature(signature, len, how) };
    C_GenerateKeyPair: GenerateKeyPair(session;
        session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE,
        public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG,
        public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) nothing;
    C_InitToken: InitToken(0;
        slot: CK_SLOT_ID, pin: *mut CK_UTF8CHAR, len: CK_ULONG, label: *mut CK_UTF8CHAR) nothing;
    C_InitPIN: InitPin(session;
        session: CK_SESSION_HANDLE, pin: *mut CK_UTF8CHAR, len: CK_ULONG) nothing;
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    let real = |inner: &Inner| {
        let Some(open) = inner.list.C_OpenSession else { return CKR_FUNCTION_NOT_SUPPORTED };
        // SAFETY: the caller's own arguments, passed on as they are.
        let rv = unsafe { open(slot, flags, application, notify, session) };
        if rv == CKR_OK {
            // SAFETY: the call has just written the handle there.
            inner.state().sessions.insert(unsafe { *session }, slot);
        }
        rv
    };
    Run { call: Call::OpenSession, session: 0, real, spoil: nothing }.run()
}

/// # Safety
/// `attributes` is an array of `count`, of a call that has returned.
unsafe fn spoil_attributes(attributes: *mut CK_ATTRIBUTE, count: CK_ULONG) {
    let count = usize::try_from(count).unwrap_or(0);
    if attributes.is_null() {
        return;
    }
    // SAFETY: by this function's own contract.
    for attribute in unsafe { std::slice::from_raw_parts_mut(attributes, count) } {
        let len = attribute.ulValueLen;
        // Long values are keys, names and points; the short ones are flags, and kinds.
        if !attribute.pValue.is_null() && len > 8 && len != CK_UNAVAILABLE_INFORMATION {
            let last = usize::try_from(len).unwrap_or(1) - 1;
            // SAFETY: the token has just written so many bytes there.
            unsafe { *attribute.pValue.cast::<u8>().add(last) ^= 0x55 };
        }
    }
}

/// # Safety
/// `signature` has room for `*len` bytes, or is null, as the call that has returned left it.
unsafe fn spoil_signature(signature: *mut CK_BYTE, len: *mut CK_ULONG, how: Spoil) {
    if signature.is_null() || len.is_null() {
        return;
    }
    // SAFETY: the caller's place for the length, written by the call.
    let len = unsafe { &mut *len };
    if how == Spoil::Short {
        *len = len.saturating_sub(1);
        return;
    }
    let bytes = usize::try_from(*len).unwrap_or(0);
    // SAFETY: by this function's own contract.
    for byte in unsafe { std::slice::from_raw_parts_mut(signature, bytes) } {
        *byte ^= 0x55;
    }
}
