//! One table: what each PKCS#11 return code means for what we do next.
//!
//! [`Recovery`] is the class of a code, [`Action`] what follows from it where it was returned. Both
//! are pure; `tests/faults_table.rs` injects every code into every function and holds the outcome
//! against them.

use cryptoki::error::{Error, Rv, RvError};

/// What a return code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// The same call in the same session, a few times; then as [`Recovery::NewSession`].
    RetryHere,
    /// Close the session, open another, find the objects again, retry; then as
    /// [`Recovery::Relogin`].
    NewSession,
    /// The login is gone: drop everything, log in again under the supervisor's turn.
    Relogin,
    /// The module or the device is in an unknown state: finalise, load it afresh, log in, find the
    /// keys, challenge them.
    Reinitialise,
    /// This request will never succeed; the session is fine.
    Permanent,
    /// A PIN was refused: stop, and do nothing until an operator acts.
    NeverRetry,
}

/// Where in a worker's life a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The module is loaded and initialised, the token chosen, its sessions are opened.
    Opening,
    /// `C_Login`.
    Login,
    /// For a request: objects are looked for and read, a key signs or is made, a session is looked
    /// after.
    Serving,
    /// What the call says changes nothing: `C_GetInfo` names the library for people,
    /// `C_FindObjectsFinal`, `C_CloseSession` and `C_Finalize` tidy up, and what they leave behind
    /// shows at the next call.
    Aside,
}

/// What a worker, and whoever supervises it, does about a return code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing: it is what was wanted, or does not matter.
    GoOn,
    /// The same call in the same session, twice at most; then [`Action::NewSession`].
    RetryHere,
    /// Another session, in which objects are looked for again, twice at most; then
    /// [`Action::Replace`].
    NewSession,
    /// The process ends and another one takes its place: sessions, login and module are gone with
    /// it, and the new one loads, logs in, finds the keys and proves them. The request is tried
    /// once more; the first replacement starts at once, later ones after a pause with jitter.
    Replace,
    /// The request is answered [`HsmError::Refused`](crate::HsmError::Refused); all else goes on.
    Refuse,
    /// Nobody logs in any more until an operator gives a PIN.
    AwaitOperator,
}

impl Action {
    /// The whole table, by number as modules return it: what the class of the code
    /// ([`Recovery::of_code`]) means at this stage.
    pub fn on(stage: Stage, code: u64) -> Action {
        if code == 0 {
            return Action::GoOn;
        }
        match Rv::from(cryptoki_sys::CK_RV::from(code)) {
            Rv::Ok => Action::GoOn,
            Rv::Error(error) => Action::of(stage, error),
        }
    }

    pub(crate) fn of(stage: Stage, error: RvError) -> Action {
        match (stage, Recovery::of(error)) {
            (Stage::Aside, _) => Action::GoOn,
            // What was asked for is so already.
            (Stage::Opening, _) if error == RvError::CryptokiAlreadyInitialized => Action::GoOn,
            (Stage::Login, _) if error == RvError::UserAlreadyLoggedIn => Action::GoOn,
            (Stage::Login, Recovery::NeverRetry) => Action::AwaitOperator,
            // Before there is a login nothing can be mended piece by piece.
            (Stage::Opening | Stage::Login, _) => Action::Replace,
            (Stage::Serving, Recovery::RetryHere) => Action::RetryHere,
            (Stage::Serving, Recovery::NewSession) => Action::NewSession,
            (Stage::Serving, Recovery::Permanent) => Action::Refuse,
            // A PIN code from a call that takes no PIN says that the login is gone; whether the
            // PIN still holds is for the next login to hear.
            (Stage::Serving, Recovery::Relogin | Recovery::Reinitialise | Recovery::NeverRetry) => {
                Action::Replace
            }
        }
    }

    /// The same for an error of the binding.
    pub(crate) fn of_error(stage: Stage, error: &Error) -> Action {
        match error {
            Error::Pkcs11(code, _) => Action::of(stage, *code),
            // A missing function, a value that does not convert: the module is not what it claims
            // to be for this call.
            _ if stage == Stage::Serving => Action::Refuse,
            _ => Action::Replace,
        }
    }
}

impl Recovery {
    /// The classes by number, as modules return it. Codes that no standard knows, and vendors' own,
    /// leave the module in an unknown state.
    pub fn of_code(code: u64) -> Recovery {
        // CK_RV is the platform's unsigned long; a code beyond it cannot have come from a module.
        match Rv::from(cryptoki_sys::CK_RV::from(code)) {
            Rv::Ok => Recovery::RetryHere,
            Rv::Error(error) => Recovery::of(error),
        }
    }

    /// The classes. There is no catch-all arm: a code that the binding learns does not compile until
    /// somebody has decided what it means.
    pub(crate) fn of(error: RvError) -> Recovery {
        use Recovery::{NeverRetry, NewSession, Permanent, Reinitialise, Relogin, RetryHere};
        match error {
            RvError::Cancel | RvError::FunctionCanceled | RvError::ExceededMaxIterations => {
                RetryHere
            }

            // FunctionFailed: the standard says that the same call may succeed (PKCS#11 §5.1.1).
            // Handles die with their session on tokens that were reset behind our back.
            RvError::FunctionFailed
            | RvError::SessionClosed
            | RvError::SessionCount
            | RvError::SessionHandleInvalid
            | RvError::OperationActive
            | RvError::OperationNotInitialized
            | RvError::BufferTooSmall
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid => NewSession,

            RvError::UserNotLoggedIn
            | RvError::UserAlreadyLoggedIn
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes
            | RvError::SessionExists
            | RvError::SessionReadOnlyExists
            | RvError::SessionReadWriteSoExists => Relogin,

            RvError::HostMemory
            | RvError::SlotIdInvalid
            | RvError::GeneralError
            | RvError::NeedToCreateThreads
            | RvError::CantLock
            | RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::RandomNoRng
            | RvError::CryptokiNotInitialized
            | RvError::CryptokiAlreadyInitialized
            | RvError::MutexBad
            | RvError::MutexNotLocked
            | RvError::FipsSelfTestFailed
            | RvError::LibraryLoadFailed
            | RvError::VendorDefined(_)
            | RvError::UnknownErrorCode(_) => Reinitialise,

            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::PinTooWeak
            | RvError::UserPinNotInitialized
            | RvError::NewPinMode
            | RvError::NextOtp => NeverRetry,

            RvError::ArgumentsBad
            | RvError::NoEvent
            | RvError::AttributeReadOnly
            | RvError::AttributeSensitive
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::ActionProhibited
            | RvError::DataInvalid
            | RvError::DataLenRange
            | RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::FunctionNotParallel
            | RvError::FunctionNotSupported
            | RvError::FunctionRejected
            | RvError::CurveNotSupported
            | RvError::KeySizeRange
            | RvError::KeyTypeInconsistent
            | RvError::KeyNotNeeded
            | RvError::KeyChanged
            | RvError::KeyNeeded
            | RvError::KeyIndigestible
            | RvError::KeyFunctionNotPermitted
            | RvError::KeyNotWrappable
            | RvError::KeyUnextractable
            | RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::SessionParallelNotSupported
            | RvError::SessionReadOnly
            | RvError::SignatureInvalid
            | RvError::SignatureLenRange
            | RvError::TemplateIncomplete
            | RvError::TemplateInconsistent
            | RvError::TokenWriteProtected
            | RvError::UnwrappingKeyHandleInvalid
            | RvError::UnwrappingKeySizeRange
            | RvError::UnwrappingKeyTypeInconsistent
            | RvError::UserTypeInvalid
            | RvError::WrappedKeyInvalid
            | RvError::WrappedKeyLenRange
            | RvError::WrappingKeyHandleInvalid
            | RvError::WrappingKeySizeRange
            | RvError::WrappingKeyTypeInconsistent
            | RvError::RandomSeedNotSupported
            | RvError::DomainParamsInvalid
            | RvError::SavedStateInvalid
            | RvError::InformationSensitive
            | RvError::StateUnsaveable
            | RvError::PublicKeyInvalid => Permanent,
        }
    }
}

/// A code's name as the standard writes it, such as `CKR_PIN_INCORRECT`.
pub(crate) fn code_name(code: RvError) -> String {
    match code {
        RvError::VendorDefined(code) => format!("CKR_VENDOR_DEFINED {code:#x}"),
        RvError::UnknownErrorCode(code) => format!("unknown code {code:#x}"),
        other => {
            let mut name = String::from("CKR");
            for c in format!("{other:?}").chars() {
                if c.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(c.to_ascii_uppercase());
            }
            name
        }
    }
}

/// Function and code of an error, for people.
pub(crate) fn describe(error: &Error) -> (String, String) {
    match error {
        Error::Pkcs11(code, function) => (format!("C_{function:?}"), code_name(*code)),
        other => ("the module".to_owned(), other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_standards() {
        assert_eq!(code_name(RvError::PinIncorrect), "CKR_PIN_INCORRECT");
        assert_eq!(
            code_name(RvError::SessionReadWriteSoExists),
            "CKR_SESSION_READ_WRITE_SO_EXISTS"
        );
        assert_eq!(code_name(RvError::VendorDefined(0x8000_0042)), "CKR_VENDOR_DEFINED 0x80000042");
    }

    #[test]
    fn pin_codes_are_never_retried_and_unknown_ones_start_afresh() {
        for code in [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102] {
            assert_eq!(Recovery::of_code(code), Recovery::NeverRetry, "{code:#x}");
        }
        assert_eq!(Recovery::of_code(0xb3), Recovery::NewSession);
        assert_eq!(Recovery::of_code(0x101), Recovery::Relogin);
        assert_eq!(Recovery::of_code(0x32), Recovery::Reinitialise);
        assert_eq!(Recovery::of_code(0x7fff_0000), Recovery::Reinitialise);
        assert_eq!(Recovery::of_code(0x8000_0001), Recovery::Reinitialise);
    }
}
