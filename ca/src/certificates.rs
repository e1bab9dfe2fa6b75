//! The issuing key at work: builds what it signs, and checks what the token returns.

use std::sync::Arc;

use evidence::Issuance;
use evidence::issuance::IssuanceError;
use pkcs11::{Hsm, HsmError};
use policy::Installation;
use wire::genesis::{InstallationKey, KeyPurpose, Protection};
use wire::{Hash32, SerialNumber};
use x509::{Blocklist, Crl, CrlParameters, CrlScope, KeyRules, Linted, Revoked};

use crate::token::Token;
use crate::validator::{Validator, ValidatorError};

/// Why the issuing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The genesis event names nothing to issue with.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    /// Clients would take nothing that it issues.
    #[error(transparent)]
    Validator(#[from] ValidatorError),
    /// The key that the genesis event names is not on the token, or another key has its id.
    #[error("the issuing key {id} is not on this token: {source}")]
    Key {
        /// CKA_ID.
        id: String,
        /// What the token said.
        source: HsmError,
    },
}

/// Issuer and profile, and the key's id on the token.
#[derive(Debug)]
pub(crate) struct Certificates {
    issuance: Issuance,
    validator: Validator,
    issuer_pem: String,
    subject: String,
    key_id: Vec<u8>,
    protection: Protection,
    rules: KeyRules,
    blocklist: Arc<Blocklist>,
}

impl Certificates {
    /// Takes the issuing key from the genesis event and has the token prove that it holds it.
    pub(crate) async fn open(
        installation: &Installation,
        hsm: &Hsm,
        blocklist: Arc<Blocklist>,
    ) -> Result<Self, CertificatesError> {
        let issuance = Issuance::new(installation)?;
        let validator = Validator::new(installation)?;
        // The last one signs.
        let key = installation.keys(KeyPurpose::Issuing).last();
        let key = key.ok_or(IssuanceError::NoIssuer)?.clone();
        let InstallationKey { id, spki, certificate, protection, .. } = key;
        let id = id.as_bytes().to_vec();
        hsm.prove(&id, spki.as_bytes())
            .await
            .map_err(|source| CertificatesError::Key { id: hex::encode(&id), source })?;
        let parsed = x509::Certificate::parse(certificate.as_bytes())
            .map_err(|error| IssuanceError::Issuer(error.into()))?;
        Ok(Self {
            issuer_pem: parsed.to_pem(),
            subject: parsed.subject(),
            key_id: id,
            protection,
            rules: KeyRules::identity(Arc::clone(&blocklist))
                .with_rsa_min(installation.rules().min_rsa_bits),
            issuance,
            validator,
            blocklist,
        })
    }

    /// The same under another installation.
    ///
    /// # Errors
    /// As [`Certificates::open`].
    pub(crate) async fn under(
        &self,
        installation: &Installation,
        hsm: &Hsm,
    ) -> Result<Self, CertificatesError> {
        Self::open(installation, hsm, Arc::clone(&self.blocklist)).await
    }

    /// How the installation certifies.
    pub(crate) fn issuance(&self) -> &Issuance {
        &self.issuance
    }

    /// What clients will say.
    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub(crate) fn issuer(&self) -> Hash32 {
        self.issuance.issuer_hash()
    }

    /// The issuer's id in addresses.
    pub(crate) fn id(&self) -> String {
        self.issuance.issuer().id()
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
        self.issuance.issuer().key().algorithm().to_string()
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
        let shard = self.issuance.profile().shard(*serial);
        shard.and_then(|shard| u32::try_from(shard).ok()).unwrap_or(u32::MAX)
    }

    /// Shards that a log of this size has.
    pub(crate) fn shards(&self, log_size: u64) -> u32 {
        let last = log_size.saturating_sub(1) / self.issuance.leaves_per_crl();
        u32::try_from(last).unwrap_or(u32::MAX - 1) + 1
    }

    /// Has the token sign, and verifies the signature before it is used.
    ///
    /// # Errors
    /// In words: the token is not available, or signed wrongly.
    pub(crate) async fn sign(&self, token: &Token, tbs: Linted) -> Result<Vec<u8>, String> {
        let bytes = tbs.tbs_der().to_vec();
        let assemble = |raw: &[u8]| tbs.assemble_der(raw);
        let signed = token.sign("certificate", &self.key_id, bytes, assemble).await;
        signed.map_err(|error| error.to_string())
    }

    /// The first leaf whose certificate a CRL shard covers.
    pub(crate) fn first_leaf(&self, shard: u32) -> u64 {
        u64::from(shard) * self.issuance.leaves_per_crl()
    }

    fn crl_url(&self, shard: u32) -> String {
        let Self { issuance, .. } = self;
        issuance.profile().crl_url(issuance.issuer(), Some(shard.into()))
    }

    /// Reads a CRL that this issuer signed for a shard.
    ///
    /// # Errors
    /// In words: it is not one.
    pub(crate) fn read_crl(&self, der: &[u8], shard: u32) -> Result<Crl, String> {
        let crl = Crl::parse(der).map_err(|error| error.to_string())?;
        if !crl.is_signed_by(self.issuance.issuer()) {
            return Err("the issuer did not sign it".to_owned());
        }
        let url = self.crl_url(shard);
        if crl.distribution_point() != Some(&url) {
            return Err(format!("it is not the one of {url}"));
        }
        Ok(crl)
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
        revoked: Vec<Revoked>,
    ) -> Result<Vec<u8>, String> {
        let url = self.crl_url(shard);
        let scope = CrlScope::UserCertificates { url };
        let parameters = CrlParameters { this_update, next_update, number, scope, revoked };
        let tbs = x509::crl::tbs(self.issuance.issuer(), parameters)
            .map_err(|error| error.to_string())?;
        let linted = tbs.lint(self.issuance.issuer()).map_err(|error| error.to_string())?;
        let bytes = linted.tbs_der().to_vec();
        let signed = token.sign("crl", &self.key_id, bytes, |raw| linted.assemble(raw)).await;
        let crl = signed.map_err(|error| error.to_string())?;
        self.validator
            .crl(&crl, this_update)
            .map_err(|unfit| format!("clients would refuse it: {unfit}"))?;
        Ok(crl)
    }
}
