//! One PKCS#11 session and what it knows about keys, healed in place where that is possible.

use super::super::signer::{Fault, Signer, not_a_trial_key};
use super::fast::Functions;
use super::keys::{self, ReadFault};
use crate::HsmError;
use crate::key::{Algorithm, Attestation, KeyInfo, KeySpec, TRIAL_LABEL, TokenInfo};
use crate::recovery::{Action, Stage, describe};
use crate::template::Template;
use aws_lc_rs::digest::{SHA256, SHA384, digest};
use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState};
use cryptoki::slot::Slot;
use cryptoki_sys::{CK_MECHANISM_TYPE, CKM_ECDSA, CKM_EDDSA, CKM_RSA_PKCS};
use std::collections::HashMap;
use std::sync::Arc;

/// How often a call is repeated in the same session, and how often sessions are replaced, before
/// the next larger measure is taken.
const RETRIES_HERE: usize = 2;
const NEW_SESSIONS: usize = 2;

/// DigestInfo for SHA-256 up to the digest (RFC 8017 §9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

pub(super) struct TokenSession {
    context: Pkcs11,
    slot: Slot,
    token: TokenInfo,
    mechanisms: Arc<[MechanismType]>,
    template: Arc<Template>,
    functions: Functions,
    /// The token wants a login, and had one when this was opened.
    login: bool,
    session: Session,
    /// Handles by CKA_ID; they die with the session.
    known: HashMap<Vec<u8>, Known>,
}

#[derive(Clone, Copy)]
struct Known {
    handle: ObjectHandle,
    algorithm: Algorithm,
}

/// What one attempt may end with.
enum Failed {
    Token(Error),
    /// The token gives what cannot be right.
    Wrong(String),
    Answer(HsmError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Token(error)
    }
}

impl From<HsmError> for Failed {
    fn from(error: HsmError) -> Self {
        Failed::Answer(error)
    }
}

impl From<ReadFault> for Failed {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Token(error) => Failed::Token(error),
            ReadFault::Key(error) => Failed::Answer(error),
        }
    }
}

impl TokenSession {
    pub(super) fn open(
        context: &Pkcs11,
        slot: Slot,
        token: &TokenInfo,
        mechanisms: &[MechanismType],
        template: Arc<Template>,
        functions: Functions,
    ) -> Result<Self, Error> {
        Ok(TokenSession {
            context: context.clone(),
            slot,
            token: token.clone(),
            mechanisms: mechanisms.into(),
            template,
            functions,
            login: context.get_token_info(slot)?.login_required(),
            session: context.open_ro_session(slot)?,
            known: HashMap::new(),
        })
    }

    /// Runs `attempt` until it succeeds or the table says that it is of no use here.
    fn healed<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Failed>,
    ) -> Result<T, Fault> {
        let (mut here, mut sessions) = (0, 0);
        loop {
            let error = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(Failed::Answer(error)) => return Err(Fault::Answer(error)),
                Err(Failed::Wrong(reason)) => return Err(Fault::Lost { reason }),
                Err(Failed::Token(error)) => error,
            };
            match Action::of_error(Stage::Serving, &error) {
                Action::RetryHere if here < RETRIES_HERE => here += 1,
                Action::RetryHere | Action::NewSession if sessions < NEW_SESSIONS => {
                    sessions += 1;
                    here = 0;
                    self.known.clear();
                    match self.context.open_ro_session(self.slot) {
                        Ok(fresh) => self.session = fresh,
                        Err(error) => return Err(lost(&error)),
                    }
                }
                Action::Refuse => {
                    let (function, code) = describe(&error);
                    return Err(Fault::Answer(HsmError::Refused { function, code }));
                }
                Action::GoOn
                | Action::RetryHere
                | Action::NewSession
                | Action::Replace
                | Action::AwaitOperator => return Err(lost(&error)),
            }
        }
    }

    fn known(&mut self, id: &[u8]) -> Result<Known, Failed> {
        if let Some(known) = self.known.get(id) {
            return Ok(*known);
        }
        let handle = self.handle(id)?.ok_or_else(|| HsmError::KeyNotFound { id: id.to_vec() })?;
        let info = keys::read(&self.session, &self.token, handle)?;
        let known = Known { handle, algorithm: info.algorithm };
        self.known.insert(id.to_vec(), known);
        Ok(known)
    }

    fn handle(&self, id: &[u8]) -> Result<Option<ObjectHandle>, Failed> {
        let found = keys::private_handles(&self.session, Some(id))?;
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            many => Err(HsmError::KeyAmbiguous { id: id.to_vec(), count: many.len() }.into()),
        }
    }

    fn sign_once(&mut self, id: &[u8], tbs: &[u8]) -> Result<Vec<u8>, Failed> {
        let Known { handle, algorithm } = self.known(id)?;
        let (mechanism, name): (CK_MECHANISM_TYPE, _) = match algorithm {
            Algorithm::P256 | Algorithm::P384 => (CKM_ECDSA, "CKM_ECDSA"),
            Algorithm::Ed25519 => (CKM_EDDSA, "CKM_EDDSA"),
            _ => (CKM_RSA_PKCS, "CKM_RSA_PKCS"),
        };
        if !self.mechanisms.iter().any(|m| CK_MECHANISM_TYPE::from(*m) == mechanism) {
            return Err(no_mechanism(name, algorithm).into());
        }
        // Hashed here: every token takes a digest, few hash for ECDSA.
        let hashed;
        let input: &[u8] = match algorithm {
            Algorithm::P256 => {
                hashed = digest(&SHA256, tbs);
                hashed.as_ref()
            }
            Algorithm::P384 => {
                hashed = digest(&SHA384, tbs);
                hashed.as_ref()
            }
            Algorithm::Ed25519 => tbs,
            _ => {
                let info = [&SHA256_DIGEST_INFO, digest(&SHA256, tbs).as_ref()].concat();
                return self.sign_raw(mechanism, handle, algorithm, &info);
            }
        };
        self.sign_raw(mechanism, handle, algorithm, input)
    }

    fn sign_raw(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        handle: ObjectHandle,
        algorithm: Algorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        let mut signature = vec![0; algorithm.signature_len()];
        let len = self.functions.sign(&self.session, mechanism, handle, input, &mut signature)?;
        if len != signature.len() {
            let gave = format!("C_Sign gave a signature of {len} bytes for {algorithm}");
            return Err(Failed::Wrong(gave));
        }
        Ok(signature)
    }

    fn generate_once(&mut self, spec: &KeySpec) -> Result<KeyInfo, Failed> {
        let (needed, name) = keys::generator(spec.algorithm);
        if !self.mechanisms.contains(&needed) {
            return Err(no_mechanism(name, spec.algorithm).into());
        }
        if self.handle(&spec.id)?.is_some() {
            return Err(HsmError::KeyExists { id: spec.id.to_vec() }.into());
        }
        let (mechanism, public, private) = keys::templates(spec, &self.template);
        // The login is the application's, so a session of its own needs none. It stays open until
        // the key is read, as some tokens show new objects late to other sessions.
        let writing = self.context.open_rw_session(self.slot)?;
        let (_, handle) = writing.generate_key_pair(&mechanism, &public, &private)?;
        Ok(keys::read(&writing, &self.token, handle)?)
    }
}

impl Signer for TokenSession {
    fn sign(&mut self, id: &[u8], tbs: &[u8]) -> Result<Vec<u8>, Fault> {
        self.healed(|this| this.sign_once(id, tbs))
    }

    fn find(&mut self, id: &[u8]) -> Result<Option<KeyInfo>, Fault> {
        self.healed(|this| match this.handle(id)? {
            Some(handle) => {
                let key = keys::read(&this.session, &this.token, handle)?;
                if key.id == id {
                    return Ok(Some(key));
                }
                let code = format!("CKA_ID {} of another key", hex::encode(key.id));
                Err(HsmError::Refused { function: "C_GetAttributeValue".to_owned(), code }.into())
            }
            None => Ok(None),
        })
    }

    fn keys(&mut self) -> Result<Vec<KeyInfo>, Fault> {
        self.healed(|this| {
            let mut found = Vec::new();
            for handle in keys::private_handles(&this.session, None)? {
                match keys::read(&this.session, &this.token, handle) {
                    Ok(key) => found.push(key),
                    // Somebody else's key of a kind that we do not use.
                    Err(ReadFault::Key(_)) => (),
                    Err(ReadFault::Token(error)) => return Err(error.into()),
                }
            }
            Ok(found)
        })
    }

    fn attestations(&mut self) -> Result<Vec<Attestation>, Fault> {
        self.healed(|this| Ok(keys::attestations(&this.session, this.template.attestation())?))
    }

    fn generate(&mut self, spec: &KeySpec) -> Result<KeyInfo, Fault> {
        self.healed(|this| this.generate_once(spec))
    }

    fn forget(&mut self, id: &[u8]) -> Result<(), Fault> {
        let key = self.find(id)?.ok_or_else(|| HsmError::KeyNotFound { id: id.to_vec() })?;
        if !key.label.starts_with(TRIAL_LABEL) {
            return Err(not_a_trial_key(&key.label));
        }
        self.known.remove(id);
        self.healed(|this| {
            let writing = this.context.open_rw_session(this.slot)?;
            Ok(keys::destroy(&writing, id)?)
        })
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        let known = self.known.keys().next().cloned();
        self.healed(|this| {
            let state = this.session.get_session_info()?.session_state();
            if matches!(state, SessionState::RoPublic | SessionState::RwPublic) && this.login {
                return Err(
                    Error::Pkcs11(RvError::UserNotLoggedIn, Function::GetSessionInfo).into()
                );
            }
            // Some modules answer the first from what they remember; this one asks the token.
            if let Some(id) = &known {
                this.handle(id)?;
            }
            Ok(())
        })
    }
}

fn no_mechanism(mechanism: &str, algorithm: Algorithm) -> HsmError {
    HsmError::NoMechanism { mechanism: mechanism.to_owned(), algorithm: algorithm.to_string() }
}

pub(super) fn lost(error: &Error) -> Fault {
    let (function, code) = describe(error);
    Fault::Lost { reason: format!("{function} returned {code}") }
}
