//! What people's commands share: trust, server, contacts, time.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ca::clock::Clock;
use clap::Args;
use client::bundle::ProvenIdentity;
use client::fetch::{FetchError, MaterialError, Server, ServerOptions};
use client::keys::{KeyError, PrivateKey};
use client::recipient::RecipientRefusal;
use client::share::LogProof;
use client::statement::On;
use client::trust::Trust;
use wire::UserId;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::files;

/// Whom to trust, and where to ask.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The trust file, handed over by your organisation.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
    trust: PathBuf,
    /// The server; by default the one that the trust file names.
    #[arg(long, value_name = "URL", env = "AVOUCH_SERVER")]
    server: Option<String>,
    /// CA certificates for TLS, PEM; by default `tls-ca.pem` beside the trust file if there is
    /// one, else the system's.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TLS_CA")]
    tls_ca: Option<PathBuf>,
}

/// Whether people are taken without the log's proof.
#[derive(Debug, Args)]
pub(crate) struct Demands {
    /// Goes without the log's proof where the trust file names no log key. Whoever holds the
    /// issuing key then decides alone whose key is whose.
    #[arg(long)]
    without_log_proof: bool,
}

impl Demands {
    /// What is demanded.
    pub(crate) fn log_proof(&self) -> LogProof {
        if self.without_log_proof { LogProof::IfThereIsALogKey } else { LogProof::Demanded }
    }
}

/// An enrolment agent's TLS credentials.
#[derive(Debug, Args)]
pub(crate) struct AgentCredentials {
    /// An enrolment agent's TLS certificate, PEM.
    #[arg(long, value_name = "FILE", env = "AVOUCH_AGENT_CERT", requires = "agent_key")]
    agent_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", env = "AVOUCH_AGENT_KEY", requires = "agent_cert")]
    agent_key: Option<PathBuf>,
}

/// Where contacts are remembered.
#[derive(Debug, Args)]
pub(crate) struct ContactsFile {
    /// The contacts file.
    #[arg(long, value_name = "FILE", env = "AVOUCH_CONTACTS", global = true)]
    contacts: Option<PathBuf>,
}

impl Connection {
    /// Reads the trust file and prepares to ask the server.
    pub(crate) fn open(
        &self,
        agent: Option<&AgentCredentials>,
    ) -> Result<(Trust, Server), Failure> {
        let trust = files::trust(&self.trust)?;
        let beside = self.trust.with_file_name("tls-ca.pem");
        let roots = match &self.tls_ca {
            Some(path) => Some(files::read(path)?),
            None if beside.exists() => Some(files::read(&beside)?),
            None => None,
        };
        let identity = match agent {
            Some(AgentCredentials { agent_cert: Some(cert), agent_key: Some(key) }) => {
                Some((files::read(cert)?, Zeroizing::new(files::read(key)?)))
            }
            _ => None,
        };
        let options = ServerOptions { tls_roots: roots, identity, timeout: None };
        let address = self.server.as_deref().unwrap_or(trust.file().server());
        let server = Server::new(address, &options)?;
        Ok((trust, server))
    }
}

impl ContactsFile {
    /// The file: as given, else in the user's data folder (XDG Base Directory).
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.contacts {
            return Ok(path.clone());
        }
        let folder =
            data_folder().map_err(|why| Failure::local(format!("give --contacts: {why}")))?;
        Ok(folder.join("contacts.json"))
    }
}

/// The program's folder among the user's data (XDG Base Directory), made when it is missing.
///
/// # Errors
/// Why there is none.
pub(super) fn data_folder() -> Result<PathBuf, String> {
    let base = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))
        .ok_or("there is no home folder")?;
    let folder = base.join("avouch");
    std::fs::create_dir_all(&folder)
        .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    Ok(folder)
}

/// Now, in seconds since 1970. `AVOUCH_TEST_CLOCK` names the file of a test clock, as the
/// authority may have one; whoever can set that could as well set the machine's.
pub(crate) fn now() -> u64 {
    static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
        let Some(file) = std::env::var_os("AVOUCH_TEST_CLOCK") else { return Clock::system() };
        let file = PathBuf::from(file);
        crate::output::talk(&format!("avouch: the time is a test clock's, {}", file.display()));
        Clock::test(file)
    });
    CLOCK.now_ms() / 1000
}

/// Now, in seconds since 1970, as the validator counts them.
pub(crate) fn now_signed() -> i64 {
    i64::try_from(now()).unwrap_or(i64::MAX)
}

/// An identity as its own history proves it, with the state that an intent about it names.
pub(crate) struct Proven {
    /// What intents name.
    pub(crate) on: On,
    /// The proof; none where the trust file names no log key.
    pub(crate) proven: Option<ProvenIdentity>,
}

/// Fetches and verifies an identity's history. Nothing that is signed rests on the server's word,
/// where the trust file names the log's key.
pub(crate) async fn state(server: &Server, trust: &Trust, uid: &UserId) -> Result<Proven, Failure> {
    if trust.log().is_none() {
        let identity = server.identity(uid).await?;
        let policy = server.installation().await?.policy;
        let on = On::described(trust.genesis(), policy, &identity, now());
        return Ok(Proven { on, proven: None });
    }
    let proven = proven(server, trust, uid).await?;
    super::news::tell(trust.genesis(), &proven);
    let on = On::proven(&proven, now());
    Ok(Proven { on, proven: Some(proven) })
}

/// Fetches and verifies an identity's history.
pub(crate) async fn proven(
    server: &Server,
    trust: &Trust,
    uid: &UserId,
) -> Result<ProvenIdentity, Failure> {
    let bundle = server.bundle(uid, 0).await?;
    client::bundle::verify(trust, uid, &bundle, None, now())
        .map_err(|e| Failure::new(Exit::from_number(e.exit_code()), format!("{uid}: {e}")))
}

/// Says what is new of those among these identities that this client has used as its own. That it
/// cannot be told is said, and is no reason to do nothing else.
pub(crate) fn tell_if_own(server: &Server, trust: &Trust, uids: &[UserId]) {
    let genesis = trust.genesis();
    for uid in uids.iter().filter(|uid| super::news::is_own(genesis, uid)) {
        let told = crate::runtime().and_then(|rt| rt.block_on(proven(server, trust, uid)));
        match told {
            Ok(proven) => super::news::tell(genesis, &proven),
            Err(failure) => crate::output::talk(&format!("avouch: {}", failure.message())),
        }
    }
}

/// Tells the holder of an identity what somebody asked for in its name, at every contact.
pub(crate) fn tell_of_pending(proven: Option<&ProvenIdentity>) {
    let Some(proven) = proven else { return };
    if let Some(pending) = client::switch::pending(proven, now() * 1000) {
        crate::output::talk(&format!(
            "A switch of {0} to the key {1} was asked for at {2}. If it was not you: \
             `avouch veto {0}`.",
            pending.uid,
            pending.new_key,
            time(pending.requested_ms),
        ));
    }
    if proven.identity().retiring().is_some() {
        let uid = &proven.identity().uid;
        crate::output::talk(&format!("The retirement of {uid} is announced."));
    }
}

/// A time in milliseconds since 1970, for people.
pub(crate) fn time(ms: u64) -> String {
    path::rfc3339(i64::try_from(ms / 1000).unwrap_or(i64::MAX))
}

/// Reads a private key file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKey, Failure> {
    Ok(PrivateKey::load(path)?)
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::local(error.to_string())
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let exit = error
            .problem_code()
            .map_or_else(|| Exit::from_number(error.exit_code()), crate::exit::of_problem);
        let mut message = error.to_string();
        if let FetchError::Problem { problem, .. } = &error {
            message = format!("{} ({})", problem.detail, problem.code);
            let parts = [
                ("rule", &problem.rule),
                ("expected", &problem.expected),
                ("found", &problem.found),
                ("what to do", &problem.remedy),
            ];
            for (label, value) in parts {
                if let Some(value) = value {
                    message.push_str(&format!("\n  {label}: {value}"));
                }
            }
        }
        Self::new(exit, message)
    }
}

impl From<RecipientRefusal> for Failure {
    fn from(refusal: RecipientRefusal) -> Self {
        Self::new(Exit::from_number(refusal.exit_code()), refusal.to_string())
    }
}

impl From<MaterialError> for Failure {
    fn from(error: MaterialError) -> Self {
        match error {
            MaterialError::Fetch(error) => error.into(),
            MaterialError::Refused(refusal) => refusal.into(),
            unproven @ (MaterialError::Unproven { .. } | MaterialError::Log { .. }) => {
                Self::new(Exit::from_number(unproven.exit_code()), unproven.to_string())
            }
        }
    }
}
