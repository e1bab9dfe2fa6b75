//! What people sign: an intent on the state of an identity or of the installation, and statements
//! over it. The authority checks all of it against its own state, so a server that shows another
//! state gets statements that count for nothing.
//!
//! A [`Draft`] is made for one verb ([`intents`]), signed by as many as it takes, on one machine
//! after the other if need be ([`file`](mod@file)), and sent.

pub mod file;
pub mod intents;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::event::EventKind;
use wire::intent::{Intent, Name};
use wire::rest::{self, SignedRequest};
use wire::statement::{Role, SignatureAlgorithm as Wire, SignedStatement, Statement};
use wire::{Encoded, Hash32, UserId};

use crate::bundle::ProvenIdentity;
use crate::keys::{KeyError, SignatureAlgorithm, Signer};

/// The state that an intent names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    /// Hash of the genesis event, from the trust file.
    pub genesis: Hash32,
    /// Hash of the policy in force.
    pub policy: Hash32,
    /// The identity; none for the installation.
    pub subject: Option<UserId>,
    /// Leaf hash of the latest event.
    pub head: Option<Hash32>,
    /// Number of the event to come.
    pub sequence: u64,
    /// The names besides the id that the identity has, as far as they are proven.
    pub names: Vec<Name>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

impl On {
    /// An id that is not enrolled.
    #[must_use]
    pub fn nobody(genesis: Hash32, policy: Hash32, uid: UserId, now: u64) -> Self {
        let (subject, head, names) = (Some(uid), None, Vec::new());
        Self { genesis, policy, subject, head, sequence: 0, names, now }
    }

    /// An identity as the server describes it.
    #[must_use]
    pub fn described(genesis: Hash32, policy: Hash32, identity: &rest::Identity, now: u64) -> Self {
        let (subject, head) = (Some(identity.uid.clone()), Some(identity.head));
        let (sequence, names) = (identity.sequence + 1, Vec::new());
        Self { genesis, policy, subject, head, sequence, names, now }
    }

    /// An identity as its history proves it, under the policy that the history proves.
    #[must_use]
    pub fn proven(proven: &ProvenIdentity, now: u64) -> Self {
        let (identity, installation) = (proven.identity(), proven.installation());
        Self {
            genesis: installation.genesis(),
            policy: installation.rules_hash(),
            subject: Some(identity.uid.clone()),
            head: Some(identity.head),
            sequence: identity.sequence + 1,
            names: identity.names().to_vec(),
            now,
        }
    }

    /// The installation.
    #[must_use]
    pub fn installation(genesis: Hash32, policy: &rest::Policy, now: u64) -> Self {
        let (head, sequence) = (policy.head, policy.sequence + 1);
        let names = Vec::new();
        Self { genesis, policy: policy.hash, subject: None, head, sequence, names, now }
    }
}

/// A request for one verb, with the statements so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    genesis: Hash32,
    intent: Intent,
    csr: Option<Vec<u8>>,
    statements: Vec<Vec<u8>>,
    public_keys: Vec<Vec<u8>>,
    /// OpenID Connect ID tokens whose nonce is the intent's hash, compact JWS.
    pub id_tokens: Vec<String>,
    /// Addresses of channels, sealed for the authority.
    pub addresses: Vec<Vec<u8>>,
}

impl Draft {
    fn new(genesis: Hash32, intent: Intent) -> Self {
        Self {
            genesis,
            intent,
            csr: None,
            statements: Vec::new(),
            public_keys: Vec::new(),
            id_tokens: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Hash of the intent: what everybody signs, and the nonce of ID tokens.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        self.intent.hash()
    }

    /// The installation that it is for.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.genesis
    }

    /// The certification request, DER, where one belongs to it.
    #[must_use]
    pub fn csr(&self) -> Option<&[u8]> {
        self.csr.as_deref()
    }

    /// The statements so far ([`SignedStatement`], DER).
    #[must_use]
    pub fn statements(&self) -> &[Vec<u8>] {
        &self.statements
    }

    /// Who has signed so far: role and hash of the key. What does not parse is left out.
    #[must_use]
    pub fn signers(&self) -> Vec<(Role, Hash32)> {
        let signed = self.statements.iter().filter_map(|s| SignedStatement::from_canonical(s).ok());
        signed.map(|signed| (signed.statement.role, signed.signer)).collect()
    }

    /// Signs it in a role.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(&mut self, signer: &dyn Signer, role: Role) -> Result<(), KeyError> {
        let statement = Statement::new(self.genesis, self.intent.verb, role, self.hash());
        self.add(signed(signer, statement, None)?);
        Ok(())
    }

    /// Signs it with a remark that is signed along: what the person says of it.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign_with_remark(
        &mut self,
        signer: &dyn Signer,
        role: Role,
        remark: &str,
    ) -> Result<(), KeyError> {
        let statement = Statement::new(self.genesis, self.intent.verb, role, self.hash());
        self.add(signed(signer, statement, Some(remark))?);
        Ok(())
    }

    /// Signs it with the recovery key, which is revealed by that.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign_with_recovery_key(&mut self, key: &dyn Signer) -> Result<(), KeyError> {
        self.public_keys.push(key.spki_der().to_vec());
        self.sign(key, Role::RecoveryKey)
    }

    fn add(&mut self, statement: Vec<u8>) {
        self.statements.push(statement);
    }

    /// The body of the request.
    #[must_use]
    pub fn to_rest(&self) -> SignedRequest {
        SignedRequest {
            csr: self.csr.as_ref().map(|der| x509::pem::encode("CERTIFICATE REQUEST", der)),
            intent: Some(STANDARD.encode(self.intent.to_canonical())),
            statements: encoded(&self.statements),
            assertions: Vec::new(),
            id_tokens: self.id_tokens.clone(),
            public_keys: encoded(&self.public_keys),
            addresses: encoded(&self.addresses),
        }
    }

    /// The body of a request for a certificate: an enrolment or a renewal.
    #[must_use]
    pub fn to_certificate_request(&self) -> rest::CertificateRequest {
        let SignedRequest { csr, intent, statements, id_tokens, addresses, .. } = self.to_rest();
        let csr = csr.unwrap_or_default();
        rest::CertificateRequest { csr, intent, statements, id_tokens, addresses }
    }
}

/// What officers and objectors sign about somebody else's intent: an approval or a veto of it.
///
/// # Errors
/// The key cannot be used.
pub fn about(
    genesis: Hash32,
    verb: EventKind,
    switch: Hash32,
    (signer, role): (&dyn Signer, Role),
    remark: Option<&str>,
) -> Result<SignedRequest, KeyError> {
    let statement = signed(signer, Statement::new(genesis, verb, role, switch), remark)?;
    let reveals = role == Role::RecoveryKey;
    let public_keys = reveals.then(|| STANDARD.encode(signer.spki_der())).into_iter().collect();
    let statements = encoded(&[statement]);
    Ok(SignedRequest { statements, public_keys, ..SignedRequest::default() })
}

fn encoded(parts: &[Vec<u8>]) -> Vec<String> {
    parts.iter().map(|part| STANDARD.encode(part)).collect()
}

fn signed(
    signer: &dyn Signer,
    statement: Statement,
    remark: Option<&str>,
) -> Result<Vec<u8>, KeyError> {
    let algorithm = match signer.algorithm() {
        SignatureAlgorithm::EcdsaSha256 => Wire::EcdsaP256Sha256,
        SignatureAlgorithm::EcdsaSha384 => Wire::EcdsaP384Sha384,
        SignatureAlgorithm::RsaPkcs1Sha256 => Wire::RsaPkcs1Sha256,
    };
    let statement = match remark {
        Some(remark) => statement.with_remark(remark),
        None => statement,
    };
    let mut signed: SignedStatement =
        evidence::sign_statement(statement, signer.spki_der(), algorithm, |message| {
            signer.sign(message)
        })?;
    signed.remark = remark.map(str::to_owned);
    Ok(signed.to_canonical())
}
