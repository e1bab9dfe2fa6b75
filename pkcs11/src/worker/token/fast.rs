//! The one hot call, straight to the module.
//!
//! The binding's `sign` asks for the length first; some network HSMs answer that over the network.
//! We know every signature's length.
#![allow(unsafe_code)]

use crate::HsmError;
use cryptoki::context::Function;
use cryptoki::error::{Error, Rv};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::{CK_FUNCTION_LIST, CK_MECHANISM, CK_MECHANISM_TYPE, CK_ULONG};
use std::path::Path;
use std::sync::Arc;

type SignInit = unsafe extern "C" fn(
    cryptoki_sys::CK_SESSION_HANDLE,
    *mut CK_MECHANISM,
    cryptoki_sys::CK_OBJECT_HANDLE,
) -> cryptoki_sys::CK_RV;
type Sign = unsafe extern "C" fn(
    cryptoki_sys::CK_SESSION_HANDLE,
    *mut cryptoki_sys::CK_BYTE,
    CK_ULONG,
    *mut cryptoki_sys::CK_BYTE,
    *mut CK_ULONG,
) -> cryptoki_sys::CK_RV;

/// The module's signing functions.
#[derive(Clone)]
pub(super) struct Functions {
    sign_init: SignInit,
    sign: Sign,
    // Keeps the module loaded for as long as the pointers are.
    _module: Arc<cryptoki_sys::Pkcs11>,
}

impl Functions {
    /// Looks the functions up in a module that is loaded already.
    pub(super) fn load(path: &Path) -> Result<Self, HsmError> {
        let unusable = |detail: &str| HsmError::NotAModule {
            path: path.to_path_buf(),
            detail: detail.to_owned(),
        };
        // SAFETY: the binding has loaded this very file and run its initialisers; loading it again
        // yields the same handle.
        let module = unsafe { cryptoki_sys::Pkcs11::new(path) }
            .map_err(|error| unusable(&error.to_string()))?;
        if module.C_GetFunctionList.is_err() {
            return Err(unusable("it does not export C_GetFunctionList"));
        }
        let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
        // SAFETY: the symbol was found, and `list` is a valid place for the one pointer it writes.
        let rv = unsafe { module.C_GetFunctionList(&mut list) };
        if rv != cryptoki_sys::CKR_OK || list.is_null() {
            return Err(unusable("C_GetFunctionList gives no list"));
        }
        // SAFETY: a list that C_GetFunctionList gives lives as long as the module (PKCS#11 §5.4);
        // it may be packed, so it is copied without regard to alignment.
        let list = unsafe { list.read_unaligned() };
        match (list.C_SignInit, list.C_Sign) {
            (Some(sign_init), Some(sign)) => {
                Ok(Functions { sign_init, sign, _module: Arc::new(module) })
            }
            _ => Err(unusable("it cannot sign")),
        }
    }

    /// Signs `data` into `signature` and returns the signature's length.
    pub(super) fn sign(
        &self,
        session: &Session,
        mechanism: CK_MECHANISM_TYPE,
        key: ObjectHandle,
        data: &[u8],
        signature: &mut [u8],
    ) -> Result<usize, Error> {
        let mut mechanism =
            CK_MECHANISM { mechanism, pParameter: std::ptr::null_mut(), ulParameterLen: 0 };
        // SAFETY: the session is open and owned by this thread; the mechanism lives through the
        // call and has no parameter.
        let rv = unsafe { (self.sign_init)(session.handle(), &mut mechanism, key.handle()) };
        Rv::from(rv).into_result(Function::SignInit)?;

        let mut len = CK_ULONG::try_from(signature.len())?;
        let data_len = CK_ULONG::try_from(data.len())?;
        // SAFETY: both buffers live through the call and their true lengths are passed; the module
        // does not write to the data (its parameter is not const in C, PKCS#11 §5.13.2).
        let rv = unsafe {
            (self.sign)(
                session.handle(),
                data.as_ptr().cast_mut(),
                data_len,
                signature.as_mut_ptr(),
                &mut len,
            )
        };
        Rv::from(rv).into_result(Function::Sign)?;
        Ok(usize::try_from(len)?)
    }
}
