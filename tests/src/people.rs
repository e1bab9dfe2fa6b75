//! People with keys, and what they sign: made here from the formats alone, so that the programs
//! they use are not believed.

use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_bytes::ByteBuf;
use wire::event::EventKind;
use wire::intent::Intent;
use wire::rest::{Done, Identity};
use wire::socket::{RequestBody, ResponseBody, Signed};
use wire::statement::{Role, SignatureAlgorithm, SignedStatement, Statement};
use wire::{Encoded, Hash32, UserId, octets};

use crate::{Installation, Socket, load_csr, load_key};

/// How long an intent counts, seconds: longer than any request may be pending.
const LIFETIME: u64 = 400 * 86_400;

/// A key pair and its holder.
pub struct Holder {
    pair: KeyPair,
    spki: Vec<u8>,
}

impl Default for Holder {
    fn default() -> Self {
        Self::new()
    }
}

impl Holder {
    /// Somebody with a new P-256 key.
    #[must_use]
    pub fn new() -> Self {
        Self::of(load_key())
    }

    /// Whoever holds this key.
    #[must_use]
    pub fn of(pair: KeyPair) -> Self {
        let spki = pair.subject_public_key_info();
        Self { pair, spki }
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Hash32::of(&self.spki)
    }

    /// What an identity shows of this key while it is a recovery key.
    #[must_use]
    pub fn commitment(&self) -> Hash32 {
        wire::body::recovery_commitment(&self.spki)
    }

    /// A certification request, DER.
    #[must_use]
    pub fn csr(&self, uid: &str) -> Vec<u8> {
        load_csr(uid, &self.pair)
    }

    /// Signs a statement, with a remark where one belongs to it.
    #[must_use]
    pub fn signs(&self, statement: Statement, remark: Option<&str>) -> ByteBuf {
        let statement = match remark {
            Some(remark) => statement.with_remark(remark),
            None => statement,
        };
        let signature = self.pair.sign(&statement.to_canonical()).expect("a key that signs");
        let signed = SignedStatement {
            version: 1,
            statement,
            signer: self.hash(),
            algorithm: SignatureAlgorithm::EcdsaP256Sha256,
            signature: octets(&signature),
            remark: remark.map(str::to_owned),
        };
        ByteBuf::from(signed.to_canonical())
    }
}

/// A town: an installation with officers whose keys are at hand, seen through its gateway's socket.
pub struct Town {
    /// The installation.
    pub installation: Installation,
    /// Its officers.
    pub officers: Vec<Holder>,
    /// Hash of its genesis event.
    pub genesis: Hash32,
    clock: tempfile::NamedTempFile,
}

impl Town {
    /// A town with a test clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A town with more arguments to `avouch dev`.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        Self::under(arguments, Vec::new())
    }

    /// A town with more arguments to `avouch dev`, and more environment variables.
    #[must_use]
    pub fn under(arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let clock = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = clock.path().to_str().expect("a plain path").to_owned();
        let arguments = [&["--test-clock", &path], arguments].concat();
        let installation = Installation::start_under(&arguments, environment);
        Self { clock, ..Self::of(installation) }
    }

    /// The town around an installation whose clock is not this town's to move.
    #[must_use]
    pub fn of(installation: Installation) -> Self {
        let clock = tempfile::NamedTempFile::new().expect("a temporary file");
        let officers = (1..=3)
            .map(|n| {
                let pem = installation.read(&format!("officer-{n}.key"));
                let pem = String::from_utf8(pem).expect("PEM");
                Holder::of(KeyPair::from_pem(&pem).expect("a P-256 key"))
            })
            .collect();
        let mut town = Self { installation, officers, genesis: Hash32::from_bytes([0; 32]), clock };
        town.genesis = town.seen().genesis;
        town
    }

    /// A caller on the gateway's socket.
    #[must_use]
    pub fn gateway(&self) -> Socket {
        Socket::open(&self.installation.file("run/gateway.sock"))
    }

    fn seen(&self) -> wire::rest::Installation {
        match self.gateway().ask(RequestBody::Installation).result {
            Ok(ResponseBody::Installation(installation)) => *installation,
            other => panic!("{other:?}"),
        }
    }

    /// Id of its issuing CA.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.seen().issuers.first().expect("an issuer").id.clone()
    }

    /// Puts the test clock forward to so many seconds after the start.
    pub fn clock_at(&self, seconds: u64) {
        std::fs::write(self.clock.path(), seconds.to_string()).expect("a file of ours");
    }

    /// The file with the test clock.
    #[must_use]
    pub fn clock(&self) -> &std::path::Path {
        self.clock.path()
    }

    /// An identity.
    #[must_use]
    pub fn identity(&self, uid: &str) -> Identity {
        match self.gateway().ask(RequestBody::Identity { uid: id(uid) }).result {
            Ok(ResponseBody::Identity(identity)) => *identity,
            other => panic!("{uid}: {other:?}"),
        }
    }

    /// An identity's current key.
    #[must_use]
    pub fn key(&self, uid: &str) -> Option<Hash32> {
        self.identity(uid).key.map(|key| key.spki_sha256)
    }

    /// An intent on the present state of an identity.
    #[must_use]
    pub fn intent(&self, verb: EventKind, uid: &str) -> Intent {
        let identity = self.identity(uid);
        Intent {
            head: Some(identity.head),
            sequence: identity.sequence + 1,
            ..self.first_intent(verb, Some(uid))
        }
    }

    /// An intent for an id that is not enrolled, or for the installation.
    #[must_use]
    pub fn first_intent(&self, verb: EventKind, uid: Option<&str>) -> Intent {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        Intent {
            version: 1,
            verb,
            subject: uid.map(id),
            head: None,
            sequence: 0,
            csr: None,
            new_spki: None,
            names: Vec::new(),
            profile: String::new(),
            policy: self.seen().policy,
            recovery_commitment: None,
            body: None,
            nonce: octets(&Holder::new().hash().as_bytes()[..16]),
            expiry: now + LIFETIME,
        }
    }

    /// What somebody signs of an intent for the act that it names.
    #[must_use]
    pub fn signed(&self, intent: &Intent, role: Role, by: &Holder) -> ByteBuf {
        self.signed_for(intent.verb, intent, role, by)
    }

    /// What somebody signs of an intent for another act: an approval, a veto.
    #[must_use]
    pub fn signed_for(&self, verb: EventKind, intent: &Intent, role: Role, by: &Holder) -> ByteBuf {
        let remark = (role == Role::Officer).then_some("met in person, passport seen");
        by.signs(Statement::new(self.genesis, verb, role, intent.hash()), remark)
    }

    /// Enrols somebody, with a recovery key if there is one, vouched for by an officer.
    pub fn enrol(&self, uid: &str, key: &Holder, recovery: Option<&Holder>) {
        let answer = self.try_enrol(uid, key, recovery);
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// As [`Town::enrol`], while the certificate may have to wait.
    pub fn try_enrol(
        &self,
        uid: &str,
        key: &Holder,
        recovery: Option<&Holder>,
    ) -> Result<ResponseBody, wire::problem::Problem> {
        let csr = key.csr(uid);
        let mut intent = self.first_intent(EventKind::Enrol, Some(uid));
        intent.csr = Some(Hash32::of(&csr));
        intent.new_spki = Some(key.hash());
        intent.recovery_commitment = recovery.map(Holder::commitment);
        let statements = vec![
            self.signed(&intent, Role::Officer, &self.officers[0]),
            self.signed(&intent, Role::NewKey, key),
        ];
        let signed = Signed { intent: der(&intent), statements, ..Signed::default() };
        let uid = id(uid);
        let body =
            RequestBody::Issue { uid, csr: ByteBuf::from(csr), idempotency_key: None, signed };
        self.gateway().ask(body).result
    }

    /// An intent to move to a new key, with that key's request.
    #[must_use]
    pub fn move_to(&self, verb: EventKind, uid: &str, key: &Holder) -> (Intent, Vec<u8>) {
        let csr = key.csr(uid);
        let mut intent = self.intent(verb, uid);
        intent.csr = Some(Hash32::of(&csr));
        intent.new_spki = Some(key.hash());
        (intent, csr)
    }

    /// Asks for what an intent says.
    pub fn ask(
        &self,
        intent: &Intent,
        csr: Option<Vec<u8>>,
        statements: Vec<ByteBuf>,
        revealed: &[&Holder],
    ) -> Result<Done, wire::problem::Problem> {
        let public_keys = revealed.iter().map(|key| ByteBuf::from(key.spki())).collect();
        let signed = Signed { intent: der(intent), statements, public_keys, ..Signed::default() };
        let csr = csr.map(ByteBuf::from);
        let uid = intent.subject.clone().expect("about an identity");
        done(
            self.gateway().ask(RequestBody::Ask { uid, csr, signed, idempotency_key: None }).result,
        )
    }

    /// Files a request to switch to a new key.
    pub fn request_switch(&self, uid: &str, key: &Holder) -> Intent {
        let (intent, csr) = self.move_to(EventKind::SwitchRequest, uid, key);
        let statements = vec![self.signed(&intent, Role::NewKey, key)];
        let asked = self.ask(&intent, Some(csr), statements, &[]);
        assert!(asked.is_ok(), "{asked:?}");
        intent
    }

    /// One officer approves a switch.
    pub fn approve(
        &self,
        switch: &Intent,
        officer: &Holder,
    ) -> Result<Done, wire::problem::Problem> {
        let statement = self.signed_for(EventKind::SwitchApprove, switch, Role::Officer, officer);
        self.approve_with(switch, vec![statement])
    }

    /// Hands in what are said to be approvals of a switch.
    pub fn approve_with(
        &self,
        switch: &Intent,
        statements: Vec<ByteBuf>,
    ) -> Result<Done, wire::problem::Problem> {
        let signed = Signed { statements, ..Signed::default() };
        let switch = switch.hash();
        done(self.gateway().ask(RequestBody::Approve { switch, signed }).result)
    }

    /// Objects to a switch.
    pub fn veto(
        &self,
        switch: &Intent,
        role: Role,
        by: &Holder,
    ) -> Result<Done, wire::problem::Problem> {
        let statements = vec![self.signed_for(EventKind::Veto, switch, role, by)];
        let revealed = role == Role::RecoveryKey;
        let public_keys = revealed.then(|| ByteBuf::from(by.spki())).into_iter().collect();
        let signed = Signed { statements, public_keys, ..Signed::default() };
        let switch = switch.hash();
        done(self.gateway().ask(RequestBody::Veto { switch, signed }).result)
    }

    /// Changes the installation, signed by so many officers.
    pub fn change(&self, intent: &Intent, officers: usize) -> Result<Done, wire::problem::Problem> {
        let officers = self.officers.iter().take(officers);
        let statements = officers.map(|o| self.signed(intent, Role::Officer, o)).collect();
        let signed = Signed { intent: der(intent), statements, ..Signed::default() };
        done(self.gateway().ask(RequestBody::Change { signed }).result)
    }

    /// An intent to change the installation.
    #[must_use]
    pub fn change_intent(&self, verb: EventKind, body: &[u8]) -> Intent {
        let policy = match self.gateway().ask(RequestBody::Policy).result {
            Ok(ResponseBody::Policy(policy)) => policy,
            other => panic!("{other:?}"),
        };
        Intent {
            head: policy.head,
            sequence: policy.sequence + 1,
            body: Some(octets(body)),
            ..self.first_intent(verb, None)
        }
    }
}

impl Default for Town {
    fn default() -> Self {
        Self::new()
    }
}

/// A user id.
#[must_use]
pub fn id(uid: &str) -> UserId {
    UserId::parse(uid).expect("a user id")
}

/// An intent's DER, as it goes into a request.
#[must_use]
pub fn der(intent: &Intent) -> Option<ByteBuf> {
    Some(ByteBuf::from(intent.to_canonical()))
}

fn done(
    result: Result<ResponseBody, wire::problem::Problem>,
) -> Result<Done, wire::problem::Problem> {
    match result? {
        ResponseBody::Done(done) => Ok(*done),
        other => panic!("not an answer to this: {other:?}"),
    }
}
