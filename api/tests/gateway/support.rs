//! A gateway between a client and a fake authority.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use avouch_api::{Gateway, GatewayConfig, GatewayError, GatewayOptions, TlsHandle};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::{Client, ClientBuilder};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_bytes::ByteBuf;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use wire::bundle::{Blob, Bundle};
use wire::frame::{MAX_REQUEST, MAX_RESPONSE, decode, encode};
use wire::problem::Problem;
use wire::rest;
use wire::socket::{Hello, Request, RequestBody, Response, ResponseBody, VERSION, Welcome};
use wire::{Hash32, Realm, UserId};

pub(crate) const SERIAL: &str = "01000000000000070011223344556677";

/// What the fake authority does with a request.
pub(crate) enum Action {
    Answer(Box<Result<ResponseBody, Problem>>),
    /// The same, once the other end of the channel says so.
    AnswerAfter(oneshot::Receiver<()>, Box<Result<ResponseBody, Problem>>),
    /// Bytes on the socket in place of a frame.
    Raw(Vec<u8>),
    Ignore,
    HangUp,
}

impl Action {
    pub(crate) fn ok(body: ResponseBody) -> Self {
        Self::Answer(Box::new(Ok(body)))
    }

    pub(crate) fn problem(problem: Problem) -> Self {
        Self::Answer(Box::new(Err(problem)))
    }
}

type Script = dyn FnMut(&Request) -> Action + Send;

/// The other side of the socket.
pub(crate) struct Authority {
    socket: PathBuf,
    script: Arc<Mutex<Box<Script>>>,
    seen: mpsc::UnboundedSender<Request>,
    task: Option<JoinHandle<()>>,
}

impl Authority {
    /// Listens (again), answering the greeting with `welcome`.
    pub(crate) fn start(&mut self, welcome: Welcome) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        let (script, seen) = (Arc::clone(&self.script), self.seen.clone());
        self.task = Some(tokio::spawn(async move {
            // Connections end with this task, as they would with the process.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(
                    stream,
                    welcome.clone(),
                    Arc::clone(&script),
                    seen.clone(),
                ));
            }
        }));
    }

    /// Dies, with all its connections.
    pub(crate) async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        let _ = std::fs::remove_file(&self.socket);
    }

    pub(crate) fn script(&self, script: impl FnMut(&Request) -> Action + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }
}

async fn converse(
    stream: UnixStream,
    welcome: Welcome,
    script: Arc<Mutex<Box<Script>>>,
    seen: mpsc::UnboundedSender<Request>,
) {
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_RESPONSE).new_codec();
    let mut frames = Framed::new(stream, codec);
    let hello = frames.next().await.unwrap().unwrap();
    assert_eq!(decode::<Hello>(&hello, MAX_REQUEST).unwrap().version, VERSION);
    let welcome = encode(&welcome, MAX_RESPONSE).unwrap();
    frames.send(Bytes::from(welcome)).await.unwrap();
    let (late, mut later) = mpsc::unbounded_channel();
    loop {
        let response = tokio::select! {
            frame = frames.next() => {
                let Some(Ok(frame)) = frame else { return };
                let request: Request = decode(&frame, MAX_REQUEST).unwrap();
                let id = request.id;
                let action = (*script.lock().unwrap())(&request);
                let _ = seen.send(request);
                match action {
                    Action::Answer(result) => Response { id, result: *result },
                    Action::AnswerAfter(when, result) => {
                        let late = late.clone();
                        tokio::spawn(async move {
                            let _ = when.await;
                            let _ = late.send(Response { id, result: *result });
                        });
                        continue;
                    }
                    Action::Raw(bytes) => {
                        frames.get_mut().write_all(&bytes).await.unwrap();
                        continue;
                    }
                    Action::Ignore => continue,
                    Action::HangUp => return,
                }
            }
            Some(response) = later.recv() => response,
        };
        let frame = encode(&response, MAX_RESPONSE).unwrap();
        if frames.send(Bytes::from(frame)).await.is_err() {
            return;
        }
    }
}

/// A CA of the tests'.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, both PEM, and the key's SubjectPublicKeyInfo.
    pub(crate) fn issue(&self, name: &str, alt_names: &[&str]) -> (String, String, Vec<u8>) {
        let alt_names: Vec<String> = alt_names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(alt_names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            certificate.pem(),
            key.serialize_pem(),
            rcgen::PublicKeyData::subject_public_key_info(&key),
        )
    }
}

/// A running gateway with everything around it.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) authority: Authority,
    pub(crate) client: Client,
    pub(crate) server_ca: Ca,
    pub(crate) agents: Ca,
    pub(crate) tls_handle: TlsHandle,
    /// What the authority was asked, in order.
    pub(crate) asked: mpsc::UnboundedReceiver<Request>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Result<(), GatewayError>>>,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// With default options and an authority that welcomes.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayOptions)) -> Self {
        Self::greeted(Welcome::Ok { in_flight: 100 }, change).await
    }

    pub(crate) async fn greeted(
        welcome: Welcome,
        change: impl FnOnce(&mut GatewayOptions),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("gateway.sock");
        let (seen, asked) = mpsc::unbounded_channel();
        let script: Box<Script> = Box::new(|request| Action::ok(answer(&request.body)));
        let script = Arc::new(Mutex::new(script));
        let mut authority = Authority { socket: socket.clone(), script, seen, task: None };
        let welcomed = matches!(welcome, Welcome::Ok { .. });
        authority.start(welcome);

        let (server_ca, agents) = (Ca::new("server CA"), Ca::new("agents' CA"));
        let (chain, key, _) = server_ca.issue("gateway", &["127.0.0.1", "localhost"]);
        let mut options = GatewayOptions::new(
            "127.0.0.1:0".parse().unwrap(),
            socket,
            chain.into_bytes(),
            key.into_bytes(),
        );
        options.agent_ca = Some(agents.pem().into_bytes());
        options.limits.reconnect = Duration::from_millis(50);
        options.limits.shutdown = Duration::from_secs(5);
        change(&mut options);
        let gateway = Gateway::bind(GatewayConfig::check(options).unwrap()).await.unwrap();
        let (address, plain) = (gateway.address(), gateway.plain_address());
        if welcomed {
            gateway.connected().await;
        }
        let tls_handle = gateway.tls();
        let (shutdown, stop) = oneshot::channel::<()>();
        let serving = tokio::spawn(gateway.serve(async {
            let _ = stop.await;
        }));
        let client = builder(&server_ca).build().unwrap();
        Self {
            address,
            plain,
            authority,
            client,
            server_ca,
            agents,
            tls_handle,
            asked,
            shutdown: Some(shutdown),
            serving: Some(serving),
            dir,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> reqwest::Response {
        self.client.get(self.url(path)).header("accept", accept).send().await.unwrap()
    }

    /// POSTs a CSR for alice.
    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client
            .post(self.url("/api/v1/identities/alice/certificates"))
            .header("content-type", "application/pkcs10")
            .body(body)
    }

    /// A client that shows this certificate.
    pub(crate) fn client_with(&self, certificate: &str, key: &str) -> Client {
        let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes());
        builder(&self.server_ca).identity(identity.unwrap()).build().unwrap()
    }

    /// A client that keeps one HTTP/1.1 connection.
    pub(crate) fn http1_client(&self) -> Client {
        builder(&self.server_ca).http1_only().build().unwrap()
    }

    /// A TLS configuration without ALPN that trusts this gateway.
    pub(crate) fn tls(&self, identity: Option<(&str, &str)>) -> Arc<rustls::ClientConfig> {
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&self.server_ca.pem())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![der(certificate)], key).unwrap()
            }
        })
    }

    /// A bare TLS connection that speaks HTTP/1.1 by hand.
    pub(crate) async fn raw(&self) -> TlsStream<TcpStream> {
        self.raw_with(&self.tls(None)).await
    }

    pub(crate) async fn raw_with(&self, tls: &Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.unwrap()
    }

    /// Drops the server in the midst of its work.
    pub(crate) async fn abort(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        let _ = serving.await;
    }

    /// Begins the shutdown.
    pub(crate) fn shut_down(&mut self) -> JoinHandle<Result<(), GatewayError>> {
        self.shutdown.take().unwrap().send(()).unwrap();
        self.serving.take().unwrap()
    }
}

pub(crate) fn builder(ca: &Ca) -> ClientBuilder {
    let root = reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    Client::builder().tls_certs_only([root]).no_proxy()
}

/// All that a peer sends until it closes; a reset counts as the end too.
pub(crate) async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A problem's members.
pub(crate) async fn problem(response: reqwest::Response) -> (u16, rest::ProblemJson) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let json: rest::ProblemJson = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(json.status, status);
    (status, json)
}

/// What the fake authority says unless it is told otherwise.
pub(crate) fn answer(question: &RequestBody) -> ResponseBody {
    match question {
        RequestBody::Issue { uid, .. } => {
            ResponseBody::Certificate { certificate: Box::new(certificate(uid)), created: true }
        }
        RequestBody::Revoke { .. } | RequestBody::Certificate { .. } => ResponseBody::Certificate {
            certificate: Box::new(certificate(&uid("alice"))),
            created: false,
        },
        RequestBody::Identity { uid } => ResponseBody::Identity(Box::new(identity(uid))),
        RequestBody::Certificates { uid, page } => ResponseBody::Certificates(rest::Page {
            items: vec![certificate(uid); 2],
            next: page.cursor.as_ref().map(|cursor| format!("{cursor}+1")),
        }),
        RequestBody::History { .. } => {
            ResponseBody::History(rest::Page { items: Vec::new(), next: None })
        }
        RequestBody::SearchCertificates { query, page } => {
            let uid = uid(query.user.as_deref().unwrap_or("alice"));
            ResponseBody::Certificates(rest::Page {
                items: vec![certificate(&uid)],
                next: page.cursor.clone(),
            })
        }
        RequestBody::SearchIdentities { query, page } => {
            let uid = uid(query.user.as_deref().unwrap_or("alice"));
            ResponseBody::Identities(rest::Page {
                items: vec![identity(&uid)],
                next: page.cursor.clone(),
            })
        }
        RequestBody::Installation => ResponseBody::Installation(Box::new(installation())),
        RequestBody::Crl { shard, .. } => ResponseBody::Crl {
            der: ByteBuf::from(format!("CRL {shard}").repeat(20).into_bytes()),
            next_update: 4_102_444_800,
        },
        RequestBody::Checkpoint => ResponseBody::Checkpoint(CHECKPOINT.to_owned()),
        RequestBody::Tile { path } => ResponseBody::Tile(ByteBuf::from(path.clone().into_bytes())),
        RequestBody::Bundle { uid, since } => ResponseBody::Bundle(Box::new(bundle(uid, *since))),
        RequestBody::Ask { uid, .. } => ResponseBody::Done(Box::new(done(Some(uid)))),
        RequestBody::Approve { .. } | RequestBody::Veto { .. } => {
            ResponseBody::Done(Box::new(done(Some(&uid("alice")))))
        }
        RequestBody::Change { .. } => ResponseBody::Done(Box::new(done(None))),
        RequestBody::Switch { switch } => ResponseBody::Switch(Box::new(pending(*switch))),
        RequestBody::Switches { page } => ResponseBody::Switches(rest::Page {
            items: vec![pending(Hash32::of(b"intent"))],
            next: page.cursor.clone(),
        }),
        RequestBody::Policy => ResponseBody::Policy(Box::new(policy())),
        RequestBody::Ways { .. } => ResponseBody::Ways(Vec::new()),
        RequestBody::KeyChanges { page } => {
            ResponseBody::KeyChanges(rest::Page { items: Vec::new(), next: page.cursor.clone() })
        }
        // Asked by administrators alone: a gateway has no way to.
        RequestBody::Hsm(_) => ResponseBody::Hsm(Box::default()),
        RequestBody::Health => {
            let part = |name: &str| rest::HealthPart {
                name: name.to_owned(),
                ok: true,
                detail: "ok".to_owned(),
            };
            ResponseBody::Health(rest::Health { ready: true, parts: vec![part("store")] })
        }
    }
}

pub(crate) fn done(uid: Option<&UserId>) -> rest::Done {
    rest::Done {
        uid: uid.cloned(),
        event: "done".to_owned(),
        sequence: 1,
        leaf_index: 9,
        head: Hash32::of(b"leaf"),
        announced: false,
        certificate: None,
    }
}

fn pending(id: Hash32) -> rest::Switch {
    rest::Switch {
        id,
        uid: uid("alice"),
        status: rest::SwitchStatus::Pending,
        intent: "MIIB".to_owned(),
        old_key: None,
        new_key: Hash32::of(b"new"),
        reason: None,
        requested: "2026-01-01T00:00:00Z".to_owned(),
        expires: "2026-01-15T00:00:00Z".to_owned(),
        not_before: None,
        needed: 2,
        approvals: Vec::new(),
        slowed: false,
        outcome: None,
    }
}

fn policy() -> rest::Policy {
    rest::Policy {
        hash: Hash32::of(b"policy"),
        toml: "approvals = 2\n".to_owned(),
        officers: Vec::new(),
        agents: Vec::new(),
        providers: Vec::new(),
        sequence: 0,
        head: None,
        announced: Vec::new(),
    }
}

pub(crate) fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

/// Not a certificate, but in its clothes; the gateway does not look inside.
pub(crate) const LEAF_DER: &[u8] = b"leaf";
pub(crate) const LEAF: &str = "-----BEGIN CERTIFICATE-----\nbGVhZg==\n-----END CERTIFICATE-----\n";
pub(crate) const ISSUER_ID: &str = "00112233445566778899aabbccddeeff00112233";
pub(crate) const ISSUER_DER: &[u8] = b"issuer";
pub(crate) const ISSUER: &str =
    "-----BEGIN CERTIFICATE-----\naXNzdWVy\n-----END CERTIFICATE-----\n";

pub(crate) fn certificate(uid: &UserId) -> rest::Certificate {
    rest::Certificate {
        serial: SERIAL.to_owned(),
        uid: uid.clone(),
        event: "enrol".to_owned(),
        sequence: 0,
        leaf_index: 7,
        status: rest::CertificateStatus::Good,
        revocation_reason: None,
        revoked_at: None,
        spki_sha256: Hash32::of(b"spki"),
        not_before: "2026-01-01T00:00:00Z".to_owned(),
        not_after: "2027-01-01T00:00:00Z".to_owned(),
        issuer: ISSUER_ID.to_owned(),
        certificate: Some(LEAF.to_owned()),
        chain: vec![ISSUER.to_owned()],
        evidence: vec!["transport".to_owned()],
    }
}

pub(crate) fn identity(uid: &UserId) -> rest::Identity {
    rest::Identity {
        uid: uid.clone(),
        status: rest::IdentityStatus::Active,
        sequence: 3,
        head: Hash32::of(b"head"),
        key: None,
        serial: Some(SERIAL.to_owned()),
        created: "2026-01-01T00:00:00Z".to_owned(),
        updated: "2026-01-01T00:00:00Z".to_owned(),
    }
}

pub(crate) fn installation() -> rest::Installation {
    let issuer = |id: &str, crl_shards| rest::Issuer {
        id: id.to_owned(),
        subject: "CN=Issuing CA".to_owned(),
        algorithm: "P-256".to_owned(),
        certificate: ISSUER.to_owned(),
        crl_shards,
        protection: "software token".to_owned(),
    };
    rest::Installation {
        realm: Realm::parse("example.test").unwrap(),
        genesis: Hash32::of(b"genesis"),
        policy: Hash32::of(b"policy"),
        ladder: "hsm".to_owned(),
        warnings: Vec::new(),
        max_status_age: 86_400,
        root: ISSUER.to_owned(),
        issuers: vec![issuer(ISSUER_ID, 1), issuer("8899aabbccddeeff", 4)],
    }
}

pub(crate) const CHECKPOINT: &str = "log.example.test\n1\nAAAA\n\n\u{2014} log AAAA\n";

/// Not a sound bundle; the gateway does not look inside.
pub(crate) fn bundle(uid: &UserId, since: u64) -> Bundle {
    let blob = |bytes: &[u8]| Blob(bytes.to_vec());
    Bundle {
        version: 1,
        uid: uid.clone(),
        certificate: Some(blob(LEAF_DER)),
        chain: vec![blob(ISSUER_DER)],
        installation: Vec::new(),
        installation_proof: blob(b"installation proof"),
        blinding_key: blob(b"key"),
        events: Vec::new(),
        head: blob(&since.to_be_bytes()),
        map_proof: blob(b"proof"),
        map_leaf: blob(b"leaf"),
        map_leaf_proof: vec![Hash32::of(b"sibling")],
        checkpoint: CHECKPOINT.to_owned(),
        ladder: "hsm".to_owned(),
    }
}
