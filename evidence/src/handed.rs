//! What somebody hands to an auditor instead of the authority: a veto, a suspension, a recovery; and
//! the auditor's receipt for it.

use policy::{Objection, Refusal, Request, State, Time};
use tlog::cosign::{CosignError, CosignerKey};
use tlog::note::{Note, NoteError};
use wire::body::VetoEffect;
use wire::event::{EventKind, EvidenceKind};
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::receipt::{NoReceipt, Receipt, ReceiptFile};
use wire::request::{Kind, RequestFile, RequestFileError};
use wire::socket::Signed;
use wire::{Encoded, FormatError, Hash32, UserId};
use x509::{Csr, CsrError};

use crate::dossier::{self, DossierError, Piece};
use crate::{Era, History};

/// The longest request file that an auditor takes, in bytes.
pub const MAX_HANDED: usize = 64 * 1024;

/// Why something that was handed in counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// No request file.
    #[error(transparent)]
    File(#[from] RequestFileError),
    /// A part of it is not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// For another installation.
    #[error("it is for installation {found}, not for {expected}")]
    Genesis {
        /// Hash of the genesis event here.
        expected: Hash32,
        /// Of the one that it names.
        found: Hash32,
    },
    /// Not what auditors take.
    #[error("auditors take vetoes, suspensions and recoveries, not {found}")]
    Verb {
        /// What it is.
        found: String,
    },
    /// A veto of something that is not pending.
    #[error("nothing that the intent {intent} asked for is pending, as far as the log was seen")]
    NotPending {
        /// The intent that is objected to.
        intent: Hash32,
    },
    /// About nobody.
    #[error("there is no such identity, as far as the log was seen")]
    Nobody,
    /// The certification request is not acceptable.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// Its evidence does not hold.
    #[error(transparent)]
    Dossier(#[from] DossierError),
    /// The policy refuses it.
    #[error("{}: {}", .0.rule, .0)]
    Refused(Box<Refusal>),
}

impl HandedError {
    /// As it is told to whoever handed it in.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let told = |code| Problem::new(code, self.to_string());
        match self {
            Self::File(_) | Self::Format(_) => told(ProblemCode::MalformedRequest),
            Self::Verb { .. } => told(ProblemCode::NotOffered).rule("what-auditors-take"),
            Self::Genesis { .. } => told(ProblemCode::EvidenceRefused).rule("installation"),
            Self::NotPending { .. } => told(ProblemCode::NoPendingSwitch)
                .rule("a-switch-is-pending")
                .remedy("the auditor may not have seen the request yet: try again in a moment"),
            Self::Nobody => told(ProblemCode::UnknownIdentity).rule("identity-exists"),
            Self::Csr(error) => {
                let code = ProblemCode::from_slug(error.code());
                told(code.unwrap_or(ProblemCode::MalformedRequest))
            }
            Self::Dossier(_) => told(ProblemCode::EvidenceRefused).rule("evidence"),
            Self::Refused(refusal) => (**refusal).clone().into(),
        }
    }
}

/// A veto, a suspension or a recovery, as it was handed in.
#[derive(Debug, Clone)]
pub struct Handed {
    file: RequestFile,
    hash: Hash32,
    verb: EventKind,
    intent: Hash32,
    asked: Option<Box<Intent>>,
    csr: Option<Vec<u8>>,
    signed: Signed,
}

impl Handed {
    /// Reads a request file. Nothing in it is verified.
    ///
    /// # Errors
    /// See [`HandedError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HandedError> {
        if bytes.len() > MAX_HANDED {
            return Err(RequestFileError::TooLong { found: bytes.len() }.into());
        }
        let file = RequestFile::parse(bytes)?;
        let (csr, signed) = file.signed()?;
        let intent = signed.intent.as_ref().map(|der| Intent::from_canonical(der)).transpose()?;
        let (verb, intent, asked) = match (file.kind, file.switch, intent) {
            (Kind::Veto, Some(target), None) => (EventKind::Veto, target, None),
            (Kind::Request, None, Some(intent))
                if matches!(intent.verb, EventKind::Suspend | EventKind::Recover) =>
            {
                (intent.verb, intent.hash(), Some(Box::new(intent)))
            }
            (Kind::Request, _, Some(intent)) => {
                return Err(HandedError::Verb { found: format!("a {}", intent.verb) });
            }
            _ => return Err(HandedError::Verb { found: "an approval".to_owned() }),
        };
        if !signed.id_tokens.is_empty() {
            return Err(HandedError::Verb { found: "what rests on an ID token".to_owned() });
        }
        Ok(Self { file, hash: Hash32::of(bytes), verb, intent, asked, csr, signed })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &RequestFile {
        &self.file
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        self.hash
    }

    /// `veto`, `suspend` or `recover`.
    #[must_use]
    pub fn verb(&self) -> EventKind {
        self.verb
    }

    /// Hash of the intent that asks, or, for a veto, of the one that is objected to.
    #[must_use]
    pub fn intent(&self) -> Hash32 {
        self.intent
    }

    /// Whom it is about, where it says so; a veto does not.
    #[must_use]
    pub fn uid(&self) -> Option<&UserId> {
        self.asked.as_ref()?.subject.as_ref()
    }

    /// Whether it may stop what an intent asked for of an identity: a veto of that, or a recovery.
    #[must_use]
    pub fn may_stop(&self, uid: &UserId, intent: Hash32) -> bool {
        match self.verb {
            EventKind::Veto => self.intent == intent,
            EventKind::Recover => self.uid() == Some(uid),
            _ => false,
        }
    }

    /// The certification request, as it came, and what was signed: as it goes on to the authority.
    #[must_use]
    pub fn into_parts(self) -> (Option<Vec<u8>>, Signed) {
        (self.csr, self.signed)
    }

    /// The receipt for it, of whoever has seen so many leaves.
    #[must_use]
    pub fn receipt(&self, size: u64, stops: &[Objection]) -> Receipt {
        let stops = stops.iter().map(|stopped| (stopped.intent, stopped.effect)).collect();
        let Self { verb, intent, hash: request, .. } = *self;
        Receipt { genesis: self.file.genesis, verb, request, intent, size, stops }
    }
}

impl History {
    /// What something would stop if it were logged now. `proposal` is the intent (DER) that a veto
    /// objects to; `other` is as in [`History::apply`].
    ///
    /// # Errors
    /// Evidence that does not hold, and what the policy refuses on this state.
    pub fn weigh(
        &self,
        era: &Era,
        handed: &Handed,
        proposal: Option<&[u8]>,
        time: Time,
        other: impl FnOnce(Hash32) -> Option<UserId>,
    ) -> Result<Vec<Objection>, HandedError> {
        let installation = &**era.installation();
        let (expected, found) = (installation.genesis(), handed.file.genesis);
        if expected != found {
            return Err(HandedError::Genesis { expected, found });
        }
        let identity = self.identity().cloned().ok_or(HandedError::Nobody)?;
        let uid = identity.uid.clone();
        let csr = handed.csr.as_ref().map(|csr| Csr::parse(csr, era.issuance().key_rules()));
        let csr = csr.transpose()?;
        let request = match &handed.asked {
            Some(intent) => Request::Intent(intent.clone()),
            None => Request::Veto { uid, intent: handed.intent },
        };
        let asks = handed.signed.intent.as_ref().map(|der| &der[..]);
        let intent = asks.or(proposal);
        let evidence = handed.evidence(csr.as_ref());
        let spki_of = |hash: Hash32| self.key(hash).map(<[u8]>::to_vec);
        let facts =
            dossier::facts_at(installation, csr.as_ref(), intent, &evidence, &spki_of, time)?;
        let key_use = match csr.as_ref().map(Csr::spki_hash) {
            Some(key) if self.key(key).is_some() => Some(identity.uid.clone()),
            Some(key) => other(key),
            None => None,
        };
        let key_use = key_use.map_or(policy::KeyUse::Unknown, |by| policy::KeyUse::Known { by });
        let state = State { installation, identity: Some(identity), key_use };
        policy::objections(&state, &request, &facts, time)
            .map_err(|refusal| HandedError::Refused(Box::new(refusal)))
    }
}

impl Handed {
    fn evidence(&self, csr: Option<&Csr>) -> Vec<Piece> {
        let pieces = |kind: EvidenceKind, data: &[serde_bytes::ByteBuf]| {
            let piece = |data: &serde_bytes::ByteBuf| dossier::piece(kind, data.to_vec());
            data.iter().map(piece).collect::<Vec<_>>()
        };
        let mut evidence: Vec<Piece> = csr
            .map(|csr| dossier::piece(EvidenceKind::Csr, csr.der().to_vec()))
            .into_iter()
            .collect();
        evidence.extend(pieces(EvidenceKind::Statement, &self.signed.statements));
        evidence.extend(pieces(EvidenceKind::WebAuthn, &self.signed.assertions));
        evidence.extend(pieces(EvidenceKind::PublicKey, &self.signed.public_keys));
        evidence
    }
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The note, or what it says.
    #[error(transparent)]
    Receipt(#[from] NoReceipt),
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line under an auditor's name that is not its signature.
    #[error(transparent)]
    Cosignature(#[from] CosignError),
    /// Nobody who counts signed it.
    #[error("none of the auditors signed the receipt")]
    Nobody,
    /// It is for something else.
    #[error("the receipt is for another request, or says something else of it")]
    OtherRequest,
    /// What it is for.
    #[error("what the receipt is for: {0}")]
    Handed(#[from] HandedError),
}

/// A receipt whose signature holds.
#[derive(Debug, Clone)]
pub struct Received {
    /// What it says.
    pub receipt: Receipt,
    /// What it is for.
    pub handed: Handed,
    /// Whose it is.
    pub auditor: CosignerKey,
    /// When, seconds since 1970 by the auditor's clock.
    pub time: u64,
}

impl Received {
    /// Opens a receipt of one of these auditors. That what was handed in counts is the auditor's
    /// word; [`History::weigh`] says it again.
    ///
    /// # Errors
    /// See [`ReceiptError`].
    pub fn open<'a>(
        file: &ReceiptFile,
        auditors: impl IntoIterator<Item = &'a CosignerKey>,
    ) -> Result<Self, ReceiptError> {
        let note = Note::parse(&file.receipt)?;
        let receipt = Receipt::parse(note.text())?;
        let mut signed = None;
        for auditor in auditors {
            if let Some(time) = auditor.time_in(&note)? {
                signed = Some((auditor.clone(), time));
                break;
            }
        }
        let (auditor, time) = signed.ok_or(ReceiptError::Nobody)?;
        let handed = Handed::parse(&file.request.0)?;
        let says = (receipt.request, receipt.verb, receipt.intent, receipt.genesis);
        if says != (handed.hash, handed.verb, handed.intent, handed.file.genesis) {
            return Err(ReceiptError::OtherRequest);
        }
        Ok(Self { receipt, handed, auditor, time })
    }

    /// What does not complete any more, as the auditor says.
    pub fn stops(&self) -> impl Iterator<Item = Objection> {
        let stopped = self.receipt.stops.iter();
        stopped.map(|&(intent, effect): &(Hash32, VetoEffect)| Objection { intent, effect })
    }
}
