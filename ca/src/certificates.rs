//! The issuing key at work: builds what it signs, and checks what the token returns.

use std::num::NonZeroU64;
use std::sync::Arc;

use pkcs11::{Hsm, HsmError};
use policy::Installation;
use wire::genesis::{InstallationKey, KeyPurpose, Protection};
use wire::rules::Rules;
use wire::{Hash32, SerialNumber, UserId};
use x509::{
    Blocklist, CrlParameters, CrlScope, Issuer, IssuerError, KeyRules, Leaf, LeafParameters,
    LeafProfile, Linted, ProfileError, PublicKey, Purpose, Reason, Revoked,
};

use crate::store::rows::RevokedRow;
use crate::token::Token;

/// Name of the one profile that people's certificates have.
pub(crate) const PROFILE: &str = "person";

/// Why the issuing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The genesis event names no issuing key.
    #[error("the genesis event names no issuing key")]
    NoIssuer,
    /// The issuing certificate cannot be an issuer's.
    #[error("the issuing certificate: {0}")]
    Issuer(#[from] IssuerError),
    /// The genesis event's values make no profile.
    #[error("the certificate profile: {0}")]
    Profile(#[from] ProfileError),
    /// The key that the genesis event names is not on the token, or another key has its id.
    #[error("the issuing key {id} is not on this token: {source}")]
    Key {
        /// CKA_ID.
        id: String,
        /// What the token said.
        source: HsmError,
    },
}

/// Which keys the policy lets be certified; a blocklist of today says nothing of what was decided
/// before it, so replays go without.
pub(crate) fn key_rules(rules: &Rules) -> KeyRules {
    KeyRules::identity(Arc::default()).with_rsa_min(rules.min_rsa_bits)
}

/// Issuing certificate, profile and the key's id on the token.
#[derive(Debug)]
pub(crate) struct Certificates {
    issuer: Issuer,
    issuer_hash: Hash32,
    issuer_pem: String,
    subject: String,
    key_id: Vec<u8>,
    protection: Protection,
    profile: LeafProfile,
    rules: KeyRules,
    leaves_per_crl: u64,
}

impl Certificates {
    /// Takes the issuing key from the genesis event and has the token prove that it holds it.
    pub(crate) async fn open(
        installation: &Installation,
        hsm: &Hsm,
        blocklist: Arc<Blocklist>,
    ) -> Result<Self, CertificatesError> {
        let key = installation
            .keys(KeyPurpose::Issuing)
            .next()
            .ok_or(CertificatesError::NoIssuer)?
            .clone();
        let InstallationKey { id, spki, certificate, protection, .. } = key;
        let id = id.as_bytes().to_vec();
        hsm.prove(&id, spki.as_bytes())
            .await
            .map_err(|source| CertificatesError::Key { id: hex::encode(&id), source })?;
        let issuer = Issuer::from_certificate(certificate.as_bytes())?;
        let parsed =
            x509::Certificate::parse(certificate.as_bytes()).map_err(IssuerError::Certificate)?;
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
            issuer_hash: Hash32::of(spki.as_bytes()),
            issuer_pem: parsed.to_pem(),
            subject: parsed.subject(),
            issuer,
            key_id: id,
            protection,
            profile,
            rules: KeyRules::identity(blocklist).with_rsa_min(rules.min_rsa_bits),
            leaves_per_crl: leaves_per_crl.get(),
        })
    }

    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub(crate) fn issuer(&self) -> Hash32 {
        self.issuer_hash
    }

    /// The issuer's id in addresses.
    pub(crate) fn id(&self) -> String {
        self.issuer.id()
    }

    /// The issuing certificate.
    pub(crate) fn issuer_pem(&self) -> &str {
        &self.issuer_pem
    }

    /// The issuer's name, RFC 4514.
    pub(crate) fn subject(&self) -> String {
        self.subject.clone()
    }

    /// The issuing key's algorithm.
    pub(crate) fn algorithm(&self) -> String {
        self.issuer.key().algorithm().to_string()
    }

    /// How the issuing key is held.
    pub(crate) fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Which keys may be certified.
    pub(crate) fn key_rules(&self) -> &KeyRules {
        &self.rules
    }

    /// The CRL shard that covers a certificate.
    pub(crate) fn shard(&self, serial: &SerialNumber) -> u32 {
        self.profile.shard(*serial).and_then(|shard| u32::try_from(shard).ok()).unwrap_or(u32::MAX)
    }

    /// Shards that a log of this size has.
    pub(crate) fn shards(&self, log_size: u64) -> u32 {
        let last = log_size.saturating_sub(1) / self.leaves_per_crl;
        u32::try_from(last).unwrap_or(u32::MAX - 1) + 1
    }

    /// A person's certificate, linted and ready to be signed. The same arguments give the same
    /// bytes; `now_ms` is the event's time.
    ///
    /// # Errors
    /// In words: the issuer's certificate is about to expire, or what was built breaks a rule.
    pub(crate) fn leaf(
        &self,
        key: &PublicKey,
        uid: &UserId,
        serial: SerialNumber,
        now_ms: u64,
    ) -> Result<Linted, String> {
        let leaf = Leaf { key, uid, serial, now: now_ms / 1000 };
        let tbs = x509::leaf_tbs(&self.profile, &self.issuer, &leaf)
            .map_err(|error| error.to_string())?;
        x509::lint::leaf(tbs, &self.profile, &self.issuer, &leaf).map_err(|error| error.to_string())
    }

    /// notBefore and notAfter, in seconds since 1970, of a certificate made at this time.
    pub(crate) fn validity(&self, now_ms: u64) -> (u64, u64) {
        self.profile.validity(&self.issuer, now_ms / 1000)
    }

    /// Has the token sign, and verifies the signature before it is used.
    ///
    /// # Errors
    /// In words: the token is not available, or signed wrongly.
    pub(crate) async fn sign(&self, token: &Token, tbs: Linted) -> Result<Vec<u8>, String> {
        let raw = token
            .sign("certificate", &self.key_id, tbs.tbs_der().to_vec())
            .await
            .map_err(|error| error.to_string())?;
        tbs.assemble_der(&raw).map_err(|error| error.to_string())
    }

    /// A CRL for one shard.
    ///
    /// # Errors
    /// In words: as [`Certificates::sign`].
    pub(crate) async fn crl(
        &self,
        token: &Token,
        shard: u32,
        number: u64,
        this_update: u64,
        next_update: u64,
        revoked: &[RevokedRow],
    ) -> Result<Vec<u8>, String> {
        let parameters = CrlParameters {
            this_update,
            next_update,
            number,
            scope: CrlScope::UserCertificates {
                url: self.profile.crl_url(&self.issuer, Some(shard.into())),
            },
            revoked: revoked
                .iter()
                .map(|row| Revoked {
                    serial: *row.serial.as_bytes(),
                    at: row.at_ms / 1000,
                    reason: Reason::from_code(row.reason.number()).unwrap_or(Reason::Unspecified),
                })
                .collect(),
        };
        let tbs = x509::crl::tbs(&self.issuer, parameters).map_err(|error| error.to_string())?;
        let linted = tbs.lint(&self.issuer).map_err(|error| error.to_string())?;
        let raw = token
            .sign("crl", &self.key_id, linted.tbs_der().to_vec())
            .await
            .map_err(|error| error.to_string())?;
        linted.assemble(&raw).map_err(|error| error.to_string())
    }
}
