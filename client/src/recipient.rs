//! Verifying a person's certificate before anything is sealed to it.

use path::{
    Certificate, Class, Crl, Curve, GeneralName, Given, Options, Profile, PublicKey, Purpose,
    Report, Revocation, key_usage, verify,
};
use wire::intent::{Name, NameKind};
use wire::{Hash32, UserId};

use crate::bundle::ProvenIdentity;
use crate::contacts::{Contacts, Pin};
use crate::moves::{Move, Since, since, told};
use crate::trust::Trust;

/// How far the server's clock may be ahead of ours, in seconds: a CRL made on request is younger
/// than the question.
pub(crate) const CLOCK_SKEW: i64 = 300;

/// What is needed to judge a person's certificate, wherever it came from; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Material {
    /// The person's certificate.
    pub certificate: Certificate,
    /// Issuing certificates, in any order.
    pub chain: Vec<Certificate>,
    /// CRLs that may speak of the certificate.
    pub crls: Vec<Crl>,
}

/// A person and a certificate that passed every check. Only such can be sealed to, and only
/// [`verify_recipient`] and [`verify_proven_recipient`] make one.
#[derive(Clone, Debug)]
pub struct VerifiedRecipient {
    uid: UserId,
    genesis: Hash32,
    certificate: Certificate,
    new_contact: bool,
    moved: Option<Moved>,
}

/// A person's key moved, and whoever had it before signed for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The key that was known.
    pub from: Hash32,
    /// How it came to the present one.
    pub moves: Vec<Move>,
}

impl VerifiedRecipient {
    /// The person.
    #[must_use]
    pub fn uid(&self) -> &UserId {
        &self.uid
    }

    /// The genesis event of the installation that vouches for it.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.genesis
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_sha256(&self) -> Hash32 {
        Hash32::from_bytes(self.certificate.spki_hash())
    }

    /// E-mail addresses and UPNs that the certificate carries: somebody whom the installation's
    /// policy lets say so has vouched for each.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        let names = self.certificate.alternative_names().iter();
        names.filter_map(|name| {
            let (kind, value) = match name {
                GeneralName::Email(value) => (NameKind::Rfc822, value.clone()),
                other => (NameKind::Upn, other.upn()?.to_owned()),
            };
            Some(Name { kind, value })
        })
    }

    /// The person was not among the contacts: the key is taken on the authority's word, for the
    /// first time.
    #[must_use]
    pub fn is_new_contact(&self) -> bool {
        self.new_contact
    }

    /// How the key moved since it was last seen, if it did: something to tell the user.
    #[must_use]
    pub fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }
}

/// Why nothing is sealed to a person. Each names the check that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecipientRefusal {
    /// The authority knows no such identity.
    #[error("{uid}: no such identity")]
    NoSuchIdentity {
        /// The person asked for.
        uid: UserId,
    },
    /// The identity is suspended, retired or without a key.
    #[error("{uid}: the identity is {status}")]
    NotActive {
        /// The person asked for.
        uid: UserId,
        /// What it is instead.
        status: &'static str,
    },
    /// Chain, validity, purpose or revocation; the report says which.
    #[error("{uid}: {}", .report.failure().map(ToString::to_string).unwrap_or_default())]
    Path {
        /// The person asked for.
        uid: UserId,
        /// Every check of the path that came closest.
        report: Box<Report>,
    },
    /// The certificate names somebody else.
    #[error("{uid}: the certificate's {field} is {found}, not {expected}")]
    Name {
        /// The person asked for.
        uid: UserId,
        /// Which name.
        field: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The key is of a kind, or certified for a use, that does not allow encrypting to it.
    #[error("{uid}: a {key} key without key usage {missing} cannot be encrypted to")]
    KeyUsage {
        /// The person asked for.
        uid: UserId,
        /// The kind of key.
        key: String,
        /// What its key usage lacks.
        missing: &'static str,
    },
    /// The person is known under another key.
    #[error(
        "{uid}: the key is not the one known (known {expected}, now {found}); nothing proves that \
         it was the person who changed it"
    )]
    IdentityChanged {
        /// The person asked for.
        uid: UserId,
        /// Hash of the key among the contacts.
        expected: Hash32,
        /// Hash of the key in the certificate.
        found: Hash32,
        /// The certificate, for evidence.
        certificate: Box<Certificate>,
    },
    /// Officers have switched the person to another key, with all that the policy demands. It is
    /// taken once somebody has acknowledged it.
    #[error(
        "{told}. Officers approved this, nobody signed with the key that was known. Ask {uid} whether it is \
         so, then {}",
        if *.verified { "compare the safety number again (`avouch contact verify`)" }
        else { "acknowledge it (`avouch contact acknowledge`)" }
    )]
    Switched {
        /// The person.
        uid: UserId,
        /// The key that was known.
        expected: Hash32,
        /// The key now.
        found: Hash32,
        /// Whether the person was verified face to face before.
        verified: bool,
        /// What the history says of it.
        told: String,
    },
    /// Officers declared the enrolment false. The contact is dropped: whoever held the key that was
    /// known was somebody else, and can read what was sealed to it.
    #[error(
        "{uid}: officers declared the enrolment false at {}; the key that was known, {expected}, was \
         somebody else's, who can read what was sealed to it",
        path::rfc3339(i64::try_from(*.at_ms / 1000).unwrap_or(i64::MAX))
    )]
    Voided {
        /// The person asked for.
        uid: UserId,
        /// The key that was known.
        expected: Hash32,
        /// When, milliseconds since 1970, by the authority's clock.
        at_ms: u64,
    },
}

impl RecipientRefusal {
    /// The command line's exit code: 10 to 14 or 16.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoSuchIdentity { .. } => 10,
            Self::NotActive { .. } | Self::Voided { .. } => Class::Revoked.exit_code(),
            Self::Path { report, .. } => report.exit_code(),
            Self::Name { .. } | Self::KeyUsage { .. } => Class::Chain.exit_code(),
            Self::IdentityChanged { .. } | Self::Switched { .. } => 14,
        }
    }

    /// Whether nothing is wrong but the age of the CRL.
    pub(crate) fn is_stale(&self) -> bool {
        self.exit_code() == Class::Stale.exit_code()
    }

    /// A stable name of the check that failed, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchIdentity { .. } => "no-such-identity",
            Self::NotActive { .. } => "not-active",
            Self::Path { report, .. } => report.failure().map_or("chain", path::Failure::code),
            Self::Name { .. } => "wrong-name",
            Self::KeyUsage { .. } => "key-usage",
            Self::IdentityChanged { .. } => "identity-changed",
            Self::Switched { .. } => "identity-switched",
            Self::Voided { .. } => "enrolment-voided",
        }
    }
}

/// Checks, as of `now` (seconds since 1970), that this is the certificate of exactly this person:
/// a path to the trust file's root and to nothing else, validity, purpose e-mail protection, not
/// revoked by a CRL no older than the trust file allows, common name and URI, a key that can be
/// encrypted to, and the same key as among the contacts, if the person is there.
///
/// The contacts are not changed: see [`Contacts::pin`].
///
/// # Errors
/// The first check that fails.
pub fn verify_recipient(
    trust: &Trust,
    contacts: &Contacts,
    uid: &UserId,
    material: Material,
    now: i64,
) -> Result<VerifiedRecipient, RecipientRefusal> {
    recipient(trust, contacts, uid, material, None, Some(age(trust)), now)
}

/// The same with the identity's proven history, which says what to make of another key than the
/// one among the contacts: where the key before, or the recovery key, signed for each move, it is
/// taken; where officers moved it, after somebody has acknowledged that.
///
/// # Errors
/// The first check that fails.
pub fn verify_proven_recipient(
    trust: &Trust,
    contacts: &Contacts,
    uid: &UserId,
    material: Material,
    proven: &ProvenIdentity,
    now: i64,
) -> Result<VerifiedRecipient, RecipientRefusal> {
    recipient(trust, contacts, uid, material, Some(proven), Some(age(trust)), now)
}

/// The same where something else than the CRL says that the proof is recent enough: the CRL has to
/// hold by itself, however old it is.
pub(crate) fn verify_switched_recipient(
    trust: &Trust,
    contacts: &Contacts,
    uid: &UserId,
    material: Material,
    proven: &ProvenIdentity,
    now: i64,
) -> Result<VerifiedRecipient, RecipientRefusal> {
    recipient(trust, contacts, uid, material, Some(proven), None, now)
}

/// Greatest age of a status, seconds.
fn age(trust: &Trust) -> i64 {
    i64::try_from(trust.file().max_status_age()).unwrap_or(i64::MAX)
}

fn recipient(
    trust: &Trust,
    contacts: &Contacts,
    uid: &UserId,
    material: Material,
    proven: Option<&ProvenIdentity>,
    age: Option<i64>,
    now: i64,
) -> Result<VerifiedRecipient, RecipientRefusal> {
    let Material { certificate, chain, crls } = material;
    let options = Options::at(now)
        .profile(Profile::Strict)
        .purpose(Purpose::Email)
        .revocation(Revocation::Leaf)
        .clock_skew(CLOCK_SKEW);
    let options = match age {
        Some(seconds) => options.max_status_age(seconds),
        None => options,
    };
    let given = Given {
        roots: std::slice::from_ref(trust.root()),
        untrusted: &chain,
        crls: &crls,
        ocsp: &[],
    };
    let report = verify(&certificate, &given, &options);
    if !report.is_valid() {
        return Err(RecipientRefusal::Path { uid: uid.clone(), report: Box::new(report) });
    }
    check_name(trust, uid, &certificate)?;
    check_usage(uid, &certificate)?;
    let genesis = trust.genesis();
    let known = contacts.find(genesis, uid);
    let found = Hash32::from_bytes(certificate.spki_hash());
    let (new_contact, moved) = match contacts.check(genesis, uid, found) {
        Pin::Unknown => (true, None),
        Pin::Same => (false, None),
        Pin::Other(expected) => {
            let verified = known.is_some_and(|contact| contact.verified.is_some());
            match proven.map_or(Since::Never, |proven| since(proven, expected)) {
                Since::Continuous(moves) => (false, Some(Moved { from: expected, moves })),
                Since::Switched(moves) => {
                    let (uid, told) = (uid.clone(), told(uid, &moves));
                    return Err(RecipientRefusal::Switched {
                        uid,
                        expected,
                        found,
                        verified,
                        told,
                    });
                }
                Since::Voided(at_ms) => {
                    return Err(RecipientRefusal::Voided { uid: uid.clone(), expected, at_ms });
                }
                Since::Never => {
                    return Err(RecipientRefusal::IdentityChanged {
                        uid: uid.clone(),
                        expected,
                        found,
                        certificate: Box::new(certificate),
                    });
                }
            }
        }
    };
    Ok(VerifiedRecipient { uid: uid.clone(), genesis, certificate, new_contact, moved })
}

/// One common name, the id byte for byte, and one URI of ours that says the same.
fn check_name(
    trust: &Trust,
    uid: &UserId,
    certificate: &Certificate,
) -> Result<(), RecipientRefusal> {
    let refuse = |field, expected: &str, found: Vec<&str>| {
        Err(RecipientRefusal::Name {
            uid: uid.clone(),
            field,
            expected: format!("{expected:?}"),
            found: if found.is_empty() { "missing".into() } else { format!("{found:?}") },
        })
    };
    let names: Vec<&str> = certificate.subject().common_names().collect();
    if names != [uid.as_str()] {
        return refuse("common name", uid.as_str(), names);
    }
    let expected = format!("avouch://{}/{}", trust.file().realm(), uid.percent_encoded());
    let uris: Vec<&str> = certificate
        .alternative_names()
        .iter()
        .filter_map(|name| match name {
            // Schemes are compared without regard to case (RFC 3986 section 3.1).
            GeneralName::Uri(uri) if uri.to_ascii_lowercase().starts_with("avouch:") => {
                Some(uri.as_str())
            }
            _ => None,
        })
        .collect();
    if uris != [expected.as_str()] {
        return refuse("URI", &expected, uris);
    }
    Ok(())
}

fn check_usage(uid: &UserId, certificate: &Certificate) -> Result<(), RecipientRefusal> {
    let key = certificate.public_key();
    let (bit, missing) = match key {
        PublicKey::Rsa { pss_only: false, .. } => (key_usage::KEY_ENCIPHERMENT, "keyEncipherment"),
        PublicKey::Ec { curve: Curve::P256 | Curve::P384, .. } => {
            (key_usage::KEY_AGREEMENT, "keyAgreement")
        }
        _ => (0, "for encryption (the kind of key has none)"),
    };
    if certificate.key_usage().is_some_and(|bits| bits & bit != 0) {
        return Ok(());
    }
    Err(RecipientRefusal::KeyUsage { uid: uid.clone(), key: key.describe(), missing })
}
