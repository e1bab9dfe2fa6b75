//! The log's key, as notes name it.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::NoteError;
use super::text::{Note, NoteSignature};

/// SPKI of Ed25519 up to the 32 key bytes (RFC 8410 section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// SPKI of a P-256 key up to its 65 bytes of uncompressed point (RFC 5480 section 2).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0,
];

/// How a key signs notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Ed25519 over the text (signature type 0x01).
    Ed25519,
    /// ECDSA over P-256 with SHA-256, DER (signature type 0x02).
    EcdsaP256,
}

impl KeyKind {
    /// The signature type byte of C2SP signed-note.
    #[must_use]
    pub fn signature_type(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::EcdsaP256 => 2,
        }
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
        })
    }
}

/// A log's verification key together with the log's origin, which is also the key's name.
#[derive(Clone)]
pub struct LogKey {
    origin: String,
    kind: KeyKind,
    /// What follows the signature type in a verifier key: 32 bytes, or SPKI DER.
    public: Vec<u8>,
    id: [u8; 4],
    parsed: ParsedPublicKey,
}

impl LogKey {
    /// The key of the log `origin` from its SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// Refuses an origin that cannot be a key's name, and every key but Ed25519 and P-256 with an
    /// uncompressed point on the curve.
    pub fn from_spki(origin: &str, spki_der: &[u8]) -> Result<Self, NoteError> {
        if let Some(key) = spki_der.strip_prefix(&ED25519_PREFIX) {
            Self::new(origin, KeyKind::Ed25519, key)
        } else {
            Self::new(origin, KeyKind::EcdsaP256, spki_der)
        }
    }

    /// Reads a verifier key, `name+id+base64(type ‖ key)`.
    ///
    /// # Errors
    /// As [`LogKey::from_spki`]; and refuses an id that is not the key's, and other signature types.
    pub fn parse_vkey(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key { reason: "not of the form name+id+key" });
        };
        let key =
            STANDARD.decode(key).map_err(|_| NoteError::Key { reason: "not standard base64" })?;
        let parsed = match key.split_first() {
            Some((1, key)) => Self::new(name, KeyKind::Ed25519, key)?,
            Some((2, key)) => Self::new(name, KeyKind::EcdsaP256, key)?,
            Some(_) => return Err(NoteError::Key { reason: "an unknown signature type" }),
            None => return Err(NoteError::Key { reason: "empty" }),
        };
        let expected = hex::encode(parsed.id);
        if id != expected {
            return Err(NoteError::KeyId { expected, found: id.to_owned() });
        }
        Ok(parsed)
    }

    fn new(origin: &str, kind: KeyKind, public: &[u8]) -> Result<Self, NoteError> {
        check_name(origin)?;
        let (raw, id) = match kind {
            KeyKind::Ed25519 if public.len() == 32 => {
                let mut hasher = Sha256::new();
                hasher.update(origin.as_bytes());
                hasher.update([b'\n', kind.signature_type()]);
                hasher.update(public);
                (public, hasher.finalize())
            }
            KeyKind::Ed25519 => {
                return Err(NoteError::Key { reason: "an Ed25519 key has 32 bytes" });
            }
            KeyKind::EcdsaP256 => match public.strip_prefix(&P256_PREFIX) {
                Some(point) if point.len() == 65 && point[0] == 4 => {
                    (point, Sha256::digest(public))
                }
                _ => {
                    let reason = "neither Ed25519 nor P-256 with an uncompressed point";
                    return Err(NoteError::Key { reason });
                }
            },
        };
        let parsed = ParsedPublicKey::new(kind.algorithm(), raw)
            .map_err(|_| NoteError::Key { reason: "not a point on its curve" })?;
        let id = [id[0], id[1], id[2], id[3]];
        Ok(Self { origin: origin.to_owned(), kind, public: public.to_vec(), id, parsed })
    }

    /// The verifier key, for trust files and other people's tools.
    #[must_use]
    pub fn vkey(&self) -> String {
        let mut key = vec![self.kind.signature_type()];
        key.extend_from_slice(&self.public);
        format!("{}+{}+{}", self.origin, hex::encode(self.id), STANDARD.encode(key))
    }

    /// Whether it is the same key, under whatever name.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        (self.kind, &self.public) == (other.kind, &other.public)
    }

    /// The log's origin and the key's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How it signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The four bytes that name the key in signature lines.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether a signature line is under this key's name and id. Says nothing of the signature.
    #[must_use]
    pub fn names(&self, line: &NoteSignature) -> bool {
        line.name() == self.origin && line.key_id() == self.id
    }

    /// The signature as notes carry it, from what a token returns: 64 bytes, for ECDSA r ‖ s.
    ///
    /// # Errors
    /// Refuses other lengths.
    pub fn signature_from_raw(&self, raw: &[u8]) -> Result<Vec<u8>, NoteError> {
        if raw.len() != 64 {
            return Err(NoteError::RawSignature { kind: self.kind, found: raw.len() });
        }
        Ok(match self.kind {
            KeyKind::Ed25519 => raw.to_vec(),
            KeyKind::EcdsaP256 => {
                let (r, s) = raw.split_at(32);
                let mut integers = der_unsigned(r);
                integers.extend(der_unsigned(s));
                let mut der = vec![0x30, integers.len() as u8];
                der.extend(integers);
                der
            }
        })
    }

    /// Checks a signature over a note's text.
    ///
    /// # Errors
    /// [`NoteError::Signature`].
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        self.parsed
            .verify_sig(text, signature)
            .map_err(|_| NoteError::Signature { key: self.to_string() })
    }

    /// Checks that a note is signed by this key. Lines of other keys are ignored, as C2SP
    /// signed-note asks; every line under this key's name and id must verify.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] or [`NoteError::Signature`].
    pub fn verify_note(&self, note: &Note) -> Result<(), NoteError> {
        let mut signed = false;
        for signature in note.signatures().iter().filter(|line| self.names(line)) {
            self.verify(note.text().as_bytes(), signature.signature())?;
            signed = true;
        }
        if signed {
            return Ok(());
        }
        let signatures = note.signatures().len();
        Err(NoteError::Unsigned { signatures, key: self.to_string() })
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.origin, hex::encode(self.id))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({}, {})", self.vkey(), self.kind)
    }
}

impl PartialEq for LogKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.origin, self.kind, &self.public) == (&other.origin, other.kind, &other.public)
    }
}

impl Eq for LogKey {}

/// Names of keys (C2SP signed-note, "Format"): no Unicode spaces, no plus, no control characters.
pub(crate) fn check_name(name: &str) -> Result<(), NoteError> {
    let reason = if name.is_empty() {
        "empty"
    } else if name.len() > 256 {
        "longer than 256 bytes"
    } else if name.chars().any(char::is_whitespace) {
        "holds a space"
    } else if name.contains('+') {
        "holds a plus sign"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(NoteError::Name { name: name.to_owned(), reason })
}

/// A DER INTEGER of a big-endian number of at most 32 bytes (X.690 section 8.3).
fn der_unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
    let digits = &bytes[start..];
    let pad = digits[0] & 0x80 != 0;
    let mut der = vec![2, (digits.len() + usize::from(pad)) as u8];
    if pad {
        der.push(0);
    }
    der.extend_from_slice(digits);
    der
}
