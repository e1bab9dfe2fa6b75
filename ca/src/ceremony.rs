//! How an installation begins: keys on the token, root and issuing certificates, the genesis event.

use std::collections::BTreeSet;

use pkcs11::{Algorithm, Holder, Hsm, HsmError, KeyInfo, KeySpec};
use policy::{Installation, InstallationError};
use tlog::Edge;
use tlog::map::EMPTY_ROOT;
use tlog::note::LogKey;
use tlog::quorum::Quorum;
use wire::address::POINT;
use wire::event::{Event, EventKind};
use wire::genesis::{Cosigner, Genesis, InstallationKey, KeyPurpose, Keyholder, Protection};
use wire::leaf::blinding_commitment;
use wire::rules::Rules;
use wire::{Encoded, Hash32, Realm, octets};
use x509::{CaName, CaParameters, Issuer, lint};

use crate::clock::Clock;
use crate::notices::AddressKey;
use crate::random;
use crate::store::rows::{NewEvent, NoticeRows, RecordGroup};
use crate::store::{Store, StoreError};
use crate::validator::{Validator, ValidatorError};
use crate::walk::{leaf_of, root_leaf};

/// Validity of the root certificate, in seconds.
const ROOT_VALIDITY: u64 = 20 * 365 * 86_400;

/// Validity of the issuing certificate, in seconds.
const ISSUING_VALIDITY: u64 = 10 * 365 * 86_400;

/// How far the validity of both begins in the past, in seconds.
const BACKDATE: u64 = 3600;

/// Algorithms of root and issuing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChoice {
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// RSA of 3072 bits, PKCS#1 v1.5 with SHA-256.
    Rsa3072,
    /// RSA of 4096 bits, PKCS#1 v1.5 with SHA-256.
    Rsa4096,
}

impl KeyChoice {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::P256,
            Self::P384 => Algorithm::P384,
            Self::Rsa3072 => Algorithm::Rsa3072,
            Self::Rsa4096 => Algorithm::Rsa4096,
        }
    }
}

/// What an installation begins with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub realm: Realm,
    /// Where CRLs and issuing certificates are served, without a trailing slash.
    pub base_url: String,
    /// The first policy.
    pub rules: Rules,
    /// The first officers; none, or as many as the policy demands.
    pub officers: Vec<Keyholder>,
    /// The enrolment agents.
    pub agents: Vec<Keyholder>,
    /// The co-signers.
    pub cosigners: Vec<Cosigner>,
    /// Algorithm of root and issuing keys.
    pub key: KeyChoice,
    /// The log that this one takes the place of: SHA-256 of what its last checkpoint's signatures
    /// are over.
    pub continues: Option<Hash32>,
}

/// An installation that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Its name.
    pub realm: Realm,
    /// Greatest age of a status, in seconds.
    pub max_status_age: u64,
    /// Hash of its genesis event.
    pub genesis: Hash32,
    /// Root certificate, DER.
    pub root: Vec<u8>,
    /// Issuing certificates, DER; the one first that signs all but what another does.
    pub issuing: Vec<Vec<u8>>,
    /// The log's verifier key (C2SP signed-note).
    pub log: String,
    /// Whose co-signatures its checkpoints need, C2SP tlog-policy text.
    pub quorum: String,
    /// The key that addresses are sealed to.
    pub address_key: [u8; POINT],
    /// What its operators should know.
    pub warnings: Vec<String>,
}

/// Why an installation does not begin. Keys that were made stay on the token, under random ids,
/// and do no harm.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// There is one already.
    #[error("the database holds an installation already; nothing was changed")]
    Exists,
    /// The plan is out of bounds.
    #[error("{field}: {reason}")]
    Plan {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The token failed.
    #[error("the token: {0}")]
    Hsm(#[from] HsmError),
    /// Clients would take nothing that it issues.
    #[error(transparent)]
    Validator(#[from] ValidatorError),
    /// A certificate cannot be made.
    #[error("the {which} certificate: {reason}")]
    Certificate {
        /// Root or issuing.
        which: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was made would not be opened again.
    #[error(transparent)]
    Installation(#[from] InstallationError),
}

/// The tokens on which an installation begins.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Holds the root key: perhaps another token than `issuing`, and then needed never again until
    /// there is another issuing key.
    pub root: &'a Hsm,
    /// Holds the issuing key and the log's.
    pub issuing: &'a Hsm,
    /// Holds the key that signs switches, if they are to have one of their own.
    pub switches: Option<&'a Hsm>,
}

/// Begins an installation.
///
/// # Errors
/// [`CeremonyError`]; the store is unchanged then.
pub async fn begin(
    store: &dyn Store,
    tokens: Tokens<'_>,
    plan: Plan,
    clock: &Clock,
) -> Result<Begun, CeremonyError> {
    let Tokens { root, issuing, switches } = tokens;
    if store.genesis().await?.is_some() {
        return Err(CeremonyError::Exists);
    }
    plan.rules.within_bounds().map_err(|(field, reason)| CeremonyError::Plan { field, reason })?;
    officers_fit(&plan)?;
    let quorum = quorum(&plan.cosigners)
        .map_err(|reason| CeremonyError::Plan { field: "cosigners", reason })?;
    let now_ms = clock.now_ms();
    let root_key = generate(root, plan.key, "avouch root").await?;
    let issuing_key = generate(issuing, plan.key, "avouch issuing").await?;
    let authority = Root::certified(root, &root_key, &plan.realm, now_ms / 1000).await?;
    let issuing_der = authority.issuing("Avouch Issuing CA", &issuing_key).await?;

    let log_key = log_key(issuing).await?;
    let mut keys = vec![
        installation_key(KeyPurpose::Root, &root_key, &authority.der),
        installation_key(KeyPurpose::Issuing, &issuing_key, &issuing_der),
        installation_key(KeyPurpose::Log, &log_key, &[]),
    ];
    let mut issuing = vec![issuing_der];
    if let Some(switches) = switches {
        let key = generate(switches, plan.key, "avouch switches").await?;
        let der = authority.issuing("Avouch Switch CA", &key).await?;
        keys.push(installation_key(KeyPurpose::SwitchIssuing, &key, &der));
        issuing.push(der);
    }
    let root_der = authority.der;
    let nonce = random::bytes::<32>();
    let origin = format!("{}/avouch/{}", plan.realm, hex::encode(&nonce[..4]));
    let log = LogKey::from_spki(&origin, &log_key.spki_der)
        .map_err(|error| CeremonyError::Plan { field: "realm", reason: error.to_string() })?
        .vkey();
    let secret = random::bytes::<32>();
    let warnings = warnings(&plan.rules, &plan.officers, &keys);
    let (realm, max_status_age) = (plan.realm.clone(), plan.rules.max_status_age);
    let body = Genesis {
        version: 1,
        realm: plan.realm,
        base_url: plan.base_url,
        log_number: 0x0100,
        nonce: octets(&nonce),
        origin,
        blinding: blinding_commitment(&secret),
        rules: plan.rules,
        roster: plan.officers,
        agents: plan.agents,
        providers: Vec::new(),
        cosigners: plan.cosigners,
        keys,
        previous_log: plan.continues,
        escrow: None,
    };
    let event = Event {
        version: 1,
        engine: policy::ENGINE,
        kind: EventKind::Genesis,
        time_ms: now_ms,
        subject: None,
        sequence: 0,
        previous: None,
        policy: body.rules.hash(),
        intent: None,
        evidence: Vec::new(),
        body: octets(&body.to_canonical()),
    };
    // Whatever would keep the installation from being opened is found before it is stored.
    let installation = Installation::from_genesis(&event)?;
    Validator::new(&installation)?;
    let genesis = installation.genesis();
    store.record(&leaf_zero(event, secret)).await?;
    Ok(Begun {
        realm,
        max_status_age,
        genesis,
        root: root_der,
        issuing,
        log,
        quorum,
        address_key: *AddressKey::derive(&secret).public(),
        warnings,
    })
}

/// The quorum's text, as trust files have it.
fn quorum(cosigners: &[Cosigner]) -> Result<String, String> {
    Quorum::of(cosigners).map(|(_, text)| text).map_err(|error| error.to_string())
}

/// An installation without officers may begin, though nobody can ever change it; one with too few
/// would only seem to have some.
fn officers_fit(plan: &Plan) -> Result<(), CeremonyError> {
    let wrong = |reason: String| Err(CeremonyError::Plan { field: "officers", reason });
    let (found, least) = (plan.officers.len(), plan.rules.officers as usize);
    if found > 0 && found < least {
        return wrong(format!("{found} are named; the policy demands {least} at least"));
    }
    let keys: BTreeSet<_> = plan.officers.iter().map(|officer| officer.spki.as_bytes()).collect();
    let names: BTreeSet<_> = plan.officers.iter().map(|officer| &officer.name).collect();
    if keys.len() < found || names.len() < found {
        return wrong("two of them have the same name or key".to_owned());
    }
    Ok(())
}

/// The installation that a store holds already, for whoever lost what the ceremony handed out.
///
/// # Errors
/// The store failed, or holds something else.
pub async fn begun(store: &dyn Store) -> Result<Option<Begun>, CeremonyError> {
    let Some(row) = store.genesis().await? else { return Ok(None) };
    let installation = Installation::from_genesis(&row.event)?;
    let key = |purpose| installation.keys(purpose).next().cloned();
    let certificate =
        |purpose| key(purpose).map(|key| key.certificate.as_bytes().to_vec()).unwrap_or_default();
    let keys: Vec<InstallationKey> =
        [KeyPurpose::Root, KeyPurpose::Issuing, KeyPurpose::Log, KeyPurpose::SwitchIssuing]
            .into_iter()
            .filter_map(key)
            .collect();
    let issuing = [KeyPurpose::Issuing, KeyPurpose::SwitchIssuing].into_iter().filter_map(key);
    let log = key(KeyPurpose::Log)
        .and_then(|key| LogKey::from_spki(installation.origin(), key.spki.as_bytes()).ok())
        .map(|key| key.vkey())
        .unwrap_or_default();
    let secret = store.secret().await?.unwrap_or_default();
    Ok(Some(Begun {
        realm: installation.realm().clone(),
        max_status_age: installation.rules().max_status_age,
        genesis: installation.genesis(),
        root: certificate(KeyPurpose::Root),
        issuing: issuing.map(|key| key.certificate.as_bytes().to_vec()).collect(),
        log,
        quorum: quorum(installation.cosigners())
            .map_err(|reason| CeremonyError::Plan { field: "cosigners", reason })?,
        address_key: *AddressKey::derive(&secret).public(),
        warnings: warnings(installation.rules(), installation.roster(), &keys),
    }))
}

async fn generate(hsm: &Hsm, key: KeyChoice, label: &str) -> Result<KeyInfo, CeremonyError> {
    let spec = KeySpec { algorithm: key.algorithm(), id: random::bytes(), label: label.to_owned() };
    Ok(hsm.generate(spec).await?)
}

/// The log's key: Ed25519 as C2SP has it, or P-256 on a token that has no Ed25519.
async fn log_key(hsm: &Hsm) -> Result<KeyInfo, CeremonyError> {
    let spec =
        |algorithm| KeySpec { algorithm, id: random::bytes(), label: "avouch log".to_owned() };
    match hsm.generate(spec(Algorithm::Ed25519)).await {
        Err(HsmError::NoMechanism { .. }) => Ok(hsm.generate(spec(Algorithm::P256)).await?),
        made => Ok(made?),
    }
}

fn fault(which: &'static str) -> impl Fn(&dyn std::fmt::Display) -> CeremonyError {
    move |error| CeremonyError::Certificate { which, reason: error.to_string() }
}

/// The root, with its certificate.
struct Root<'a> {
    hsm: &'a Hsm,
    key: &'a KeyInfo,
    realm: &'a Realm,
    now: u64,
    der: Vec<u8>,
}

impl<'a> Root<'a> {
    async fn certified(
        hsm: &'a Hsm,
        key: &'a KeyInfo,
        realm: &'a Realm,
        now: u64,
    ) -> Result<Self, CeremonyError> {
        let failed = fault("root");
        let mut root = Self { hsm, key, realm, now, der: Vec::new() };
        let subject = root.name("Avouch Root CA")?;
        let issuer = Issuer::for_root(&subject, &key.spki_der).map_err(|e| failed(&e))?;
        let parameters = root.parameters(ROOT_VALIDITY);
        let tbs = x509::root_tbs(&issuer, &parameters).map_err(|e| failed(&e))?;
        let linted = lint::root(tbs, &issuer).map_err(|e| failed(&e))?;
        let raw = hsm.sign(&key.id, linted.tbs_der().to_vec()).await?;
        let certificate = linted.assemble(&raw).map_err(|e| failed(&e))?;
        root.der = certificate.der().to_vec();
        Ok(root)
    }

    /// The certificate of an issuing authority, DER.
    async fn issuing(&self, name: &str, key: &KeyInfo) -> Result<Vec<u8>, CeremonyError> {
        let failed = fault("issuing");
        let issuer = Issuer::from_certificate(&self.der).map_err(|e| failed(&e))?;
        let (subject, parameters) = (self.name(name)?, self.parameters(ISSUING_VALIDITY));
        let tbs = x509::issuing_tbs(&issuer, &subject, &key.spki_der, &parameters)
            .map_err(|e| failed(&e))?;
        let linted = lint::issuing(tbs, &issuer).map_err(|e| failed(&e))?;
        let raw = self.hsm.sign(&self.key.id, linted.tbs_der().to_vec()).await?;
        let certificate = linted.assemble(&raw).map_err(|e| failed(&e))?;
        Ok(certificate.der().to_vec())
    }

    fn name(&self, what: &str) -> Result<CaName, CeremonyError> {
        // Two installations of one realm have different names, so that no path leads astray.
        let own: String = Hash32::of(&self.key.spki_der).to_string().chars().take(8).collect();
        CaName::new(&format!("{what} {own}"), Some(self.realm.as_str()))
            .map_err(|error| fault("root")(&error))
    }

    fn parameters(&self, validity: u64) -> CaParameters {
        CaParameters {
            serial: serial(),
            not_before: self.now - BACKDATE,
            not_after: self.now + validity,
            crl_url: None,
            ca_issuers_url: None,
        }
    }
}

/// 16 random octets with a first one that makes the number positive and full.
fn serial() -> [u8; 16] {
    let mut serial = random::bytes::<16>();
    serial[0] = serial[0] & 0x7f | 0x01;
    serial
}

fn installation_key(purpose: KeyPurpose, key: &KeyInfo, certificate: &[u8]) -> InstallationKey {
    let held = &key.protection;
    InstallationKey {
        purpose,
        id: octets(&key.id),
        spki: octets(&key.spki_der),
        certificate: octets(certificate),
        protection: Protection {
            on_token: held.holder != Holder::KeyFile,
            local: held.local == Some(true),
            always_sensitive: held.sensitive == Some(true) && held.always_sensitive == Some(true),
            never_extractable: held.extractable == Some(false)
                && held.never_extractable == Some(true),
            // What a token does not report counts against it.
            modifiable: held.modifiable != Some(false),
            manufacturer: held.token.manufacturer.clone(),
            model: held.token.model.clone(),
            token_serial: held.token.serial.clone(),
            software_token: matches!(held.holder, Holder::SoftwareToken { .. }),
        },
    }
}

fn warnings(rules: &Rules, officers: &[Keyholder], keys: &[InstallationKey]) -> Vec<String> {
    let mut warnings = Vec::new();
    if officers.is_empty() {
        let text = "there are no officers: nobody can approve a switch, lift a suspension or change \
                    the policy, now or ever";
        warnings.push(text.to_owned());
    }
    for key in keys {
        match policy::hsm_held(&key.protection, rules) {
            Ok(()) if key.protection.software_token => warnings.push(format!(
                "the {} key is in a software token and counts as HSM-held only because \
                 allow_software_token is on",
                key.purpose
            )),
            Ok(()) => {}
            Err(reason) => {
                warnings
                    .push(format!("the {} key does not count as HSM-held: {reason}", key.purpose));
            }
        }
    }
    let held = |purpose| keys.iter().find(|key| key.purpose == purpose).map(|key| &key.protection);
    if let (Some(root), Some(issuing)) = (held(KeyPurpose::Root), held(KeyPurpose::Issuing))
        && root.on_token
        && root.token_serial == issuing.token_serial
    {
        warnings.push("the root key is on the same token as the issuing key".to_owned());
    }
    if let (Some(issuing), Some(switches)) =
        (held(KeyPurpose::Issuing), held(KeyPurpose::SwitchIssuing))
        && switches.token_serial == issuing.token_serial
    {
        let text = "the key that signs switches is where the issuing key is: whoever has the one has \
                    the other";
        warnings.push(text.to_owned());
    }
    if rules.allow_transport_evidence {
        let text = "allow_transport_evidence is on: an agent's TLS certificate alone may enrol";
        warnings.push(text.to_owned());
    }
    warnings
}

fn leaf_zero(event: Event, secret: [u8; 32]) -> RecordGroup {
    let salt = random::bytes();
    let leaf = leaf_of(&event, &[0; 32], &salt);
    let mut edge = Edge::empty();
    let appended = edge.append(leaf.leaf_hash());
    let map_root = root_leaf(EMPTY_ROOT);
    let last = edge.append(map_root.leaf_hash());
    let new = NewEvent {
        leaf_index: appended.leaf_index,
        leaf,
        salt,
        event,
        evidence: Vec::new(),
        identity: None,
        new_key: None,
        certificate: None,
        revocation: None,
        proposal: None,
        idempotency: None,
        addresses: Vec::new(),
        completes: None,
    };
    RecordGroup {
        expected_size: 0,
        events: vec![new],
        map_root,
        hashes: [appended.stored, last.stored].concat(),
        secret: Some(secret),
        notices: NoticeRows::default(),
    }
}
