//! The issuing keys at work: what each of them signs, and checks on what the token returns.

use std::sync::Arc;

use evidence::Issuance;
use evidence::issuance::{IssuanceError, IssuingCa};
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

/// One issuing authority.
#[derive(Debug)]
pub(crate) struct Desk {
    ca: IssuingCa,
    pem: String,
    subject: String,
    key: InstallationKey,
}

impl Desk {
    fn new(ca: &IssuingCa, installation: &Installation) -> Result<Self, IssuanceError> {
        // The last one of each purpose signs.
        let key = installation.keys(ca.purpose()).last().ok_or(IssuanceError::NoIssuer)?.clone();
        let parsed = x509::Certificate::parse(key.certificate.as_bytes())
            .map_err(|error| IssuanceError::Issuer(error.into()))?;
        Ok(Self { ca: ca.clone(), pem: parsed.to_pem(), subject: parsed.subject(), key })
    }

    /// What its key signs.
    pub(crate) fn purpose(&self) -> KeyPurpose {
        self.ca.purpose()
    }

    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub(crate) fn hash(&self) -> Hash32 {
        self.ca.hash()
    }

    /// Its id in addresses.
    pub(crate) fn id(&self) -> String {
        self.ca.issuer().id()
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its name, RFC 4514.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Its key's algorithm.
    pub(crate) fn algorithm(&self) -> String {
        self.ca.issuer().key().algorithm().to_string()
    }

    /// Its key.
    pub(crate) fn key(&self) -> &InstallationKey {
        &self.key
    }
}

/// A certificate that is to be signed, and by whom.
#[derive(Debug)]
pub(crate) struct ToSign {
    tbs: Linted,
    by: KeyPurpose,
}

impl ToSign {
    /// What the key with this purpose is to sign.
    pub(crate) fn new(tbs: Linted, by: KeyPurpose) -> Self {
        Self { tbs, by }
    }

    /// Purpose of the key that signs it.
    pub(crate) fn by(&self) -> KeyPurpose {
        self.by
    }
}

/// Issuers and profile.
#[derive(Debug)]
pub(crate) struct Certificates {
    issuance: Issuance,
    validator: Validator,
    /// As [`Issuance::cas`] has them.
    general: Desk,
    switches: Option<Desk>,
    rules: KeyRules,
    blocklist: Arc<Blocklist>,
}

impl Certificates {
    /// Takes the issuing keys from the genesis event and has the token prove that it holds the one
    /// that signs all but what another does.
    pub(crate) async fn open(
        installation: &Installation,
        hsm: &Hsm,
        blocklist: Arc<Blocklist>,
    ) -> Result<Self, CertificatesError> {
        let issuance = Issuance::new(installation)?;
        let validator = Validator::new(installation)?;
        let mut desks = issuance.cas().map(|ca| Desk::new(ca, installation));
        let general = desks.next().ok_or(IssuanceError::NoIssuer)??;
        let switches = desks.next().transpose()?;
        drop(desks);
        let id = general.key.id.as_bytes();
        hsm.prove(id, general.key.spki.as_bytes())
            .await
            .map_err(|source| CertificatesError::Key { id: hex::encode(id), source })?;
        Ok(Self {
            general,
            switches,
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

    /// All issuing authorities.
    pub(crate) fn desks(&self) -> impl Iterator<Item = &Desk> {
        std::iter::once(&self.general).chain(&self.switches)
    }

    /// The issuing authority whose key has this purpose.
    pub(crate) fn desk(&self, purpose: KeyPurpose) -> &Desk {
        self.desks().find(|desk| desk.purpose() == purpose).unwrap_or(&self.general)
    }

    /// The issuing authority whose key has this SHA-256.
    pub(crate) fn desk_of(&self, key: Hash32) -> Option<&Desk> {
        self.desks().find(|desk| desk.hash() == key)
    }

    /// The issuing authority with this id in addresses.
    pub(crate) fn desk_with(&self, id: &str) -> Option<&Desk> {
        self.desks().find(|desk| desk.id() == id)
    }

    /// How the key is held that signs all but what another does.
    pub(crate) fn protection(&self) -> &Protection {
        &self.general.key.protection
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
    pub(crate) async fn sign(&self, token: &Token, to_sign: ToSign) -> Result<Vec<u8>, String> {
        let ToSign { tbs, by } = to_sign;
        let bytes = tbs.tbs_der().to_vec();
        let assemble = |raw: &[u8]| tbs.assemble_der(raw);
        let key = self.desk(by).key.id.as_bytes();
        let signed = token.sign("certificate", key, bytes, assemble).await;
        signed.map_err(|error| error.to_string())
    }

    /// The first leaf whose certificate a CRL shard covers.
    pub(crate) fn first_leaf(&self, shard: u32) -> u64 {
        u64::from(shard) * self.issuance.leaves_per_crl()
    }

    fn crl_url(&self, desk: &Desk, shard: u32) -> String {
        self.issuance.profile().crl_url(desk.ca.issuer(), Some(shard.into()))
    }

    /// Reads a CRL that an issuer signed for a shard.
    ///
    /// # Errors
    /// In words: it is not one.
    pub(crate) fn read_crl(&self, desk: &Desk, der: &[u8], shard: u32) -> Result<Crl, String> {
        let crl = Crl::parse(der).map_err(|error| error.to_string())?;
        if !crl.is_signed_by(desk.ca.issuer()) {
            return Err("the issuer did not sign it".to_owned());
        }
        let url = self.crl_url(desk, shard);
        if crl.distribution_point() != Some(&url) {
            return Err(format!("it is not the one of {url}"));
        }
        Ok(crl)
    }

    /// An issuer's CRL for one shard.
    ///
    /// # Errors
    /// In words: as [`Certificates::sign`].
    #[allow(clippy::too_many_arguments)]
    pub(crate) async fn crl(
        &self,
        desk: &Desk,
        token: &Token,
        shard: u32,
        number: u64,
        this_update: u64,
        next_update: u64,
        revoked: Vec<Revoked>,
    ) -> Result<Vec<u8>, String> {
        let url = self.crl_url(desk, shard);
        let issuer = desk.ca.issuer();
        let scope = CrlScope::UserCertificates { url };
        let parameters = CrlParameters { this_update, next_update, number, scope, revoked };
        let tbs = x509::crl::tbs(issuer, parameters).map_err(|error| error.to_string())?;
        let linted = tbs.lint(issuer).map_err(|error| error.to_string())?;
        let bytes = linted.tbs_der().to_vec();
        let signed =
            token.sign("crl", desk.key.id.as_bytes(), bytes, |raw| linted.assemble(raw)).await;
        let crl = signed.map_err(|error| error.to_string())?;
        self.validator
            .crl(desk.purpose(), &crl, this_update)
            .map_err(|unfit| format!("clients would refuse it: {unfit}"))?;
        Ok(crl)
    }
}
