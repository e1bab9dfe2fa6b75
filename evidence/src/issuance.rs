//! The certificate that an event calls for, built again: what the authority does before it signs
//! what it recorded, and what auditors and clients do to see that the record says so.

use std::num::NonZeroU64;
use std::sync::Arc;

use policy::{Identity, Installation};
use wire::event::{Certified, Event, EventKind};
use wire::genesis::{InstallationKey, KeyPurpose};
use wire::intent::Name;
use wire::{Encoded, FormatError, Hash32, SerialNumber, UserId};
use x509::{
    Issuer, IssuerError, KeyError, KeyRules, Leaf, LeafParameters, LeafProfile, Linted,
    ProfileError, PublicKey, Purpose,
};

/// Name of the one profile that people's certificates have.
pub const PROFILE: &str = "person";

/// A CRL's number is the size of the log that it covers, and below that so many bits to tell those of
/// one size apart: the signature vouches for the size. A log in which nothing happens has a million
/// of each; at two an hour that is sixty years.
pub const CRL_COUNTER_BITS: u32 = 20;

/// Why an installation certifies nobody.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The genesis event names no issuing key.
    #[error("the genesis event names no issuing key")]
    NoIssuer,
    /// The issuing certificate cannot be an issuer's.
    #[error("the issuing certificate: {0}")]
    Issuer(#[from] IssuerError),
    /// The issuing certificate is over another key than the one named beside it.
    #[error("the issuing certificate is over key {found}; the genesis event names {expected}")]
    OtherKey {
        /// SHA-256 of the SubjectPublicKeyInfo in the genesis event.
        expected: Hash32,
        /// Of that in the certificate.
        found: Hash32,
    },
    /// The two issuing authorities are one.
    #[error("the issuing authority for switches has the key or the name of the other one")]
    SameIssuer,
    /// The genesis event's values make no profile.
    #[error("the certificate profile: {0}")]
    Profile(#[from] ProfileError),
}

/// Why a recorded certificate is not the one that its event calls for.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// The event's body does not name a certificate.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A field of the event is not what it would be.
    #[error("its {0} is not what it would be")]
    Field(&'static str),
    /// The key that is certified is not known.
    #[error("its key {0} is not one that the identity's history shows")]
    NoKey(Hash32),
    /// The key may not be certified.
    #[error("its key: {0}")]
    Key(#[from] KeyError),
    /// No certificate can be built.
    #[error("the certificate cannot be built: {0}")]
    Build(String),
}

/// An issuing authority of an installation.
#[derive(Debug, Clone)]
pub struct IssuingCa {
    issuer: Issuer,
    hash: Hash32,
    purpose: KeyPurpose,
}

impl IssuingCa {
    fn of(key: &InstallationKey) -> Result<Self, IssuanceError> {
        let InstallationKey { spki, certificate, purpose, .. } = key;
        let issuer = Issuer::from_certificate(certificate.as_bytes())?;
        let expected = Hash32::of(spki.as_bytes());
        let found = Hash32::of(issuer.key().spki_der());
        if expected != found {
            return Err(IssuanceError::OtherKey { expected, found });
        }
        Ok(Self { issuer, hash: expected, purpose: *purpose })
    }

    /// Name, key and lifetime.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// SHA-256 of its key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        self.hash
    }

    /// What its key signs.
    #[must_use]
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }
}

/// How an installation certifies: issuers and profile, by its events.
#[derive(Debug, Clone)]
pub struct Issuance {
    general: IssuingCa,
    /// Signs completed switches, where there is one.
    switches: Option<IssuingCa>,
    log_number: u16,
    leaves_per_crl: u64,
    profile: LeafProfile,
    rules: KeyRules,
}

impl Issuance {
    /// Takes issuers and profile from an installation.
    ///
    /// # Errors
    /// See [`IssuanceError`].
    pub fn new(installation: &Installation) -> Result<Self, IssuanceError> {
        // The last one of each purpose signs.
        let key = installation.keys(KeyPurpose::Issuing).last().ok_or(IssuanceError::NoIssuer)?;
        let general = IssuingCa::of(key)?;
        let switches = installation.keys(KeyPurpose::SwitchIssuing).last();
        let switches = switches.map(IssuingCa::of).transpose()?;
        if let Some(switches) = &switches
            && (switches.hash == general.hash
                || switches.issuer.subject_der() == general.issuer.subject_der())
        {
            return Err(IssuanceError::SameIssuer);
        }
        let rules = installation.rules();
        let leaves_per_crl = NonZeroU64::new(rules.leaves_per_crl).unwrap_or(NonZeroU64::MIN);
        let base = installation.base_url();
        let profile = LeafProfile::new(LeafParameters {
            realm: installation.realm().clone(),
            validity_seconds: rules.certificate_validity,
            backdate_seconds: rules.backdate,
            crl_url: format!("{base}/api/v1/issuers/{{issuer}}/crl/{{shard}}.crl"),
            leaves_per_shard: leaves_per_crl,
            ca_issuers_url: Some(format!("{base}/api/v1/issuers/{{issuer}}/certificate.der")),
            purposes: vec![Purpose::EmailProtection],
        })?;
        Ok(Self {
            general,
            switches,
            log_number: installation.log_number(),
            leaves_per_crl: leaves_per_crl.get(),
            profile,
            rules: KeyRules::identity(Arc::default()).with_rsa_min(rules.min_rsa_bits),
        })
    }

    /// The authority that signs what an event of this kind calls for, and no other does.
    #[must_use]
    pub fn ca(&self, kind: EventKind) -> &IssuingCa {
        match &self.switches {
            Some(switches) if kind == EventKind::SwitchComplete => switches,
            _ => &self.general,
        }
    }

    /// All of them, the one first that signs what no other does.
    pub fn cas(&self) -> impl Iterator<Item = &IssuingCa> {
        std::iter::once(&self.general).chain(&self.switches)
    }

    /// What people's certificates say.
    #[must_use]
    pub fn profile(&self) -> &LeafProfile {
        &self.profile
    }

    /// Leaves of the log that share a CRL.
    #[must_use]
    pub fn leaves_per_crl(&self) -> u64 {
        self.leaves_per_crl
    }

    /// Which keys the policy lets be certified. A blocklist of today says nothing of what was
    /// decided before it, so replays go without.
    #[must_use]
    pub fn key_rules(&self) -> &KeyRules {
        &self.rules
    }

    /// A person's certificate with the names besides the id, linted and ready to be signed. The same arguments give the same
    /// bytes; `now_ms` is the event's time.
    ///
    /// # Errors
    /// In words: the issuer's certificate is about to expire, or what was built breaks a rule.
    pub fn leaf(
        &self,
        ca: &IssuingCa,
        key: &PublicKey,
        (uid, names): (&UserId, &[Name]),
        serial: SerialNumber,
        now_ms: u64,
    ) -> Result<Linted, String> {
        let leaf = Leaf { key, uid, names, serial, now: now_ms / 1000 };
        let tbs =
            x509::leaf_tbs(&self.profile, &ca.issuer, &leaf).map_err(|error| error.to_string())?;
        x509::lint::leaf(tbs, &self.profile, &ca.issuer, &leaf).map_err(|error| error.to_string())
    }

    /// notBefore and notAfter, in seconds since 1970, of a certificate that this authority
    /// signs at this time.
    #[must_use]
    pub fn validity(&self, ca: &IssuingCa, now_ms: u64) -> (u64, u64) {
        self.profile.validity(&ca.issuer, now_ms / 1000)
    }

    /// The certificate that an event at a leaf calls for, if the event says exactly that: serial
    /// number, issuer, validity, profile and the hash of the TBS. None for an event that no
    /// certificate follows from. `after` is the identity after the event; `spki_of` gives the keys
    /// that its history has shown.
    ///
    /// # Errors
    /// The first difference.
    pub fn certified<'k>(
        &self,
        event: &Event,
        leaf_index: u64,
        after: Option<&Identity>,
        spki_of: impl FnOnce(Hash32) -> Option<&'k [u8]>,
    ) -> Result<Option<Linted>, Difference> {
        if !event.kind.certifies() {
            return Ok(None);
        }
        let body = Certified::from_canonical(event.body.as_bytes())?;
        let serial = SerialNumber::from_slice(body.serial.as_bytes())
            .filter(|serial| serial.leaf_index() == leaf_index)
            .filter(|serial| serial.log_number() == self.log_number)
            .ok_or(Difference::Field("serial number"))?;
        let ca = self.ca(event.kind);
        if body.issuer != ca.hash {
            return Err(Difference::Field("issuer"));
        }
        if (body.not_before, body.not_after) != self.validity(ca, event.time_ms) {
            return Err(Difference::Field("validity"));
        }
        if body.profile != PROFILE {
            return Err(Difference::Field("profile"));
        }
        let uid = event.subject.as_ref().ok_or(Difference::Field("subject"))?;
        let spki = spki_of(body.spki).ok_or(Difference::NoKey(body.spki))?;
        let key = PublicKey::parse(spki, &self.rules)?;
        let names = after.map_or(&[][..], Identity::names);
        let tbs =
            self.leaf(ca, &key, (uid, names), serial, event.time_ms).map_err(Difference::Build)?;
        if Hash32::of(tbs.tbs_der()) != body.tbs {
            return Err(Difference::Field("TBSCertificate"));
        }
        Ok(Some(tbs))
    }
}
