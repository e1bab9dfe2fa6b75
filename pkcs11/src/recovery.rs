//! One table: what each PKCS#11 return code means for what we do next.

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

impl Recovery {
    /// The table by number, as modules return it. Codes that no standard knows, and vendors' own,
    /// leave the module in an unknown state.
    pub fn of_code(code: u64) -> Recovery {
        // CK_RV is the platform's unsigned long; a code beyond it cannot have come from a module.
        match Rv::from(cryptoki_sys::CK_RV::from(code)) {
            Rv::Ok => Recovery::RetryHere,
            Rv::Error(error) => Recovery::of(error),
        }
    }

    /// The table. There is no catch-all arm: a code that the binding learns does not compile until
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

    /// The same for an error of the binding, whose own failures (a missing function, a value that
    /// does not convert) say that the module is not what it claims to be for this call.
    pub(crate) fn of_error(error: &Error) -> Recovery {
        match error {
            Error::Pkcs11(code, _) => Recovery::of(*code),
            _ => Recovery::Permanent,
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
