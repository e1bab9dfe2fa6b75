//! What a server is asked for and asked to do, a route each (`/openapi.json`).

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use wire::event::EventKind;
use wire::rest::{self, HistoryEntry, Identity, Installation};
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId};

use super::{FetchError, Server, identity_path};
use crate::statement::Draft;

impl Server {
    /// What the server says of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn identity(&self, uid: &UserId) -> Result<Identity, FetchError> {
        self.get_json(&identity_path(uid, "")).await
    }

    /// All certificates of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn certificates(&self, uid: &UserId) -> Result<Vec<rest::Certificate>, FetchError> {
        self.get_pages(&identity_path(uid, "/certificates")).await
    }

    /// The history of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn history(&self, uid: &UserId) -> Result<Vec<HistoryEntry>, FetchError> {
        self.get_pages(&identity_path(uid, "/history")).await
    }

    /// Sends a certification request (DER); with the same idempotency key again it gets the same
    /// answer.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn request_certificate(
        &self,
        uid: &UserId,
        request: Vec<u8>,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<rest::Certificate, FetchError> {
        let path = identity_path(uid, "/certificates");
        let mut sent = self
            .request(Method::POST, &path)?
            .header(CONTENT_TYPE, "application/pkcs10")
            .header(ACCEPT, "application/json")
            .body(request);
        if let Some(key) = idempotency_key {
            sent = sent.header("Idempotency-Key", key.as_str());
        }
        self.json(sent, &path).await
    }

    /// The same with statements that vouch for it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn request_certificate_signed(
        &self,
        uid: &UserId,
        request: &rest::CertificateRequest,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<rest::Certificate, FetchError> {
        self.post_json(&identity_path(uid, "/certificates"), request, idempotency_key).await
    }

    /// Asks for the revocation of a certificate, by its serial number.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn revoke(
        &self,
        serial: SerialNumber,
        request: &rest::RevocationRequest,
    ) -> Result<rest::Certificate, FetchError> {
        self.post_json(&format!("/api/v1/certificates/{serial}/revocation"), request, None).await
    }

    /// One certificate, by its serial number.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn certificate(&self, serial: SerialNumber) -> Result<rest::Certificate, FetchError> {
        self.get_json(&format!("/api/v1/certificates/{serial}")).await
    }

    /// What the installation says of itself. Its root and genesis hash are not to be trusted: those
    /// come with the trust file.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn installation(&self) -> Result<Installation, FetchError> {
        self.get_json("/api/v1/trust").await
    }

    /// What an identity, or an id that is not enrolled, may do now, and what it takes; under other
    /// rules (DER of [`wire::rules::Rules`]) if some are given.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn ways(
        &self,
        uid: &UserId,
        rules: Option<&[u8]>,
    ) -> Result<Vec<rest::Way>, FetchError> {
        let Some(rules) = rules else { return self.get_json(&identity_path(uid, "/ways")).await };
        let rules = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rules);
        let body = rest::SimulateRequest { uid: uid.clone(), rules: Some(rules) };
        self.post_json("/api/v1/policy/simulate", &body, None).await
    }

    /// The policy in force and who has a say in it, as the server says.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn policy(&self) -> Result<rest::Policy, FetchError> {
        self.get_json("/api/v1/policy").await
    }

    /// A switch, as the server describes it. Whoever approves one looks at
    /// [`crate::switch::pending`] instead.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn switch(&self, id: Hash32) -> Result<rest::Switch, FetchError> {
        self.get_json(&format!("/api/v1/switches/{id}")).await
    }

    /// All pending switches, for agents.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn switches(&self) -> Result<Vec<rest::Switch>, FetchError> {
        self.get_pages("/api/v1/switches").await
    }

    /// Whose key moved, oldest first, for agents.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn changes(&self) -> Result<Vec<rest::KeyChange>, FetchError> {
        self.get_pages("/api/v1/changes").await
    }

    /// Sends a request for what its intent asks for.
    ///
    /// # Errors
    /// See [`FetchError`]; also for a verb that has no address of its own: enrolments, renewals and
    /// revocations are sent otherwise.
    pub async fn ask(&self, draft: &Draft) -> Result<rest::Done, FetchError> {
        let intent = draft.intent();
        let path = match (&intent.subject, resource(intent.verb)) {
            (Some(uid), Some(resource)) => identity_path(uid, resource),
            (Some(_), None) if intent.verb == EventKind::SwitchRequest => {
                "/api/v1/switches".to_owned()
            }
            (None, _) => "/api/v1/installation/changes".to_owned(),
            (Some(_), None) => {
                let why = format!("a {} is not asked for by an intent alone", intent.verb);
                return Err(FetchError::Address { url: self.address().to_owned(), why });
            }
        };
        // The same intent again is the same request: its answer may have been lost.
        let key = IdempotencyKey::parse(&format!("intent-{}", draft.hash())).ok();
        let key = key.filter(|_| intent.subject.is_some());
        self.post_json(&path, &draft.to_rest(), key.as_ref()).await
    }

    /// Approves a switch.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn approve(
        &self,
        switch: Hash32,
        request: &rest::SignedRequest,
    ) -> Result<rest::Done, FetchError> {
        self.post_json(&format!("/api/v1/switches/{switch}/approvals"), request, None).await
    }

    /// Objects to a switch, or to an announced retirement.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn veto(
        &self,
        switch: Hash32,
        request: &rest::SignedRequest,
    ) -> Result<rest::Done, FetchError> {
        self.post_json(&format!("/api/v1/switches/{switch}/veto"), request, None).await
    }
}

/// What hangs below an identity for this verb.
fn resource(verb: EventKind) -> Option<&'static str> {
    use EventKind as K;
    Some(match verb {
        K::Rekey => "/rekey",
        K::Recover => "/recover",
        K::RecoveryCommitmentChange => "/recovery-key",
        K::Suspend => "/suspension",
        K::Resume => "/resumption",
        K::ChannelChange => "/channels",
        K::Rename => "/names",
        K::Retire => "/retirement",
        K::Void => "/void",
        _ => return None,
    })
}
