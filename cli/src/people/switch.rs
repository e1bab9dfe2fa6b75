//! `avouch switch`: a move that officers approve, for whoever has lost every key.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::fetch::Server;
use client::keys::Signer;
use client::statement::{Draft, intents};
use client::switch::{PendingSwitch, pending};
use client::trust::Trust;
use wire::rest::{Switch, SwitchStatus};
use wire::socket::{PageRequest, RequestBody, ResponseBody};
use wire::statement::Role;
use wire::{Hash32, SerialNumber, UserId};

use super::common::{AgentCredentials, Connection, Proven, now, proven, state, time};
use super::moves::key_or_new;
use super::request;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{admin, files, runtime};

/// How much longer than request and wait together an intent counts, in seconds: for approvals that
/// come late, and clocks that differ.
const SLACK: u64 = 24 * 3600;

/// Asks for a switch, and shows switches.
#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    #[command(subcommand)]
    command: SwitchCommand,
}

#[derive(Debug, Subcommand)]
enum SwitchCommand {
    Request(Request),
    Status(Status),
    List(List),
}

/// Asks for a switch of an identity to a new key. `avouch recover` leads here when it has to.
#[derive(Debug, Args)]
struct Request {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The new private key; made if the file does not exist.
    #[arg(long, value_name = "FILE")]
    new_key: PathBuf,
    /// A recovery key that shall hold afterwards; made if the file does not exist.
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// What happened, for the officers; signed by the new key.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// An ID token whose nonce is the intent's hash; for a request in a file (--signed).
    #[arg(long, value_name = "FILE")]
    id_token: Option<PathBuf>,
    /// Writes the request to a file instead of sending it, and shows the hash that an ID token must
    /// have as its nonce. Officers can approve there too (`avouch request sign`).
    #[arg(long, value_name = "FILE")]
    prepare: Option<PathBuf>,
    /// Sends a request that was prepared.
    #[arg(long, value_name = "FILE", conflicts_with = "prepare")]
    signed: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Shows the pending switch of an identity, as its own proven history has it.
#[derive(Debug, Args)]
struct Status {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// A switch of which to tell what became of it, by the hash of its intent.
    #[arg(long, value_name = "HASH", value_parser = Hash32::from_hex)]
    id: Option<Hash32>,
    /// Where to write the certificate once the switch is done; PEM.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Lists all pending switches, for enrolment agents and the local administrator.
#[derive(Debug, Args)]
struct List {
    /// Asks as the local administrator, by the authority's `admin.sock`.
    #[arg(long, value_name = "SOCKET", conflicts_with = "agent_cert")]
    admin_socket: Option<PathBuf>,
    #[command(flatten)]
    agent: AgentCredentials,
    #[command(flatten)]
    connection: Connection,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &SwitchArgs) -> Result<(), Failure> {
    match &args.command {
        SwitchCommand::Request(args) => request(args),
        SwitchCommand::Status(args) => status(args),
        SwitchCommand::List(args) => list(args),
    }
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) uid: &'a UserId,
    pub(super) new_key: &'a Path,
    pub(super) recovery_key: Option<&'a Path>,
    pub(super) reason: Option<&'a str>,
    pub(super) id_token: Option<&'a Path>,
}

/// A request for a switch, signed by the new key.
pub(super) fn draft(
    server: &Server,
    trust: &Trust,
    asked: &Asked<'_>,
) -> Result<(Draft, Proven), Failure> {
    let new = key_or_new(asked.new_key)?;
    let recovery = asked.recovery_key.map(key_or_new).transpose()?;
    let (state, rules) = runtime()?.block_on(async {
        let state = state(server, trust, asked.uid).await?;
        let rules = match &state.proven {
            Some(proven) => proven.installation().rules().clone(),
            None => policy::file::parse(&server.policy().await?.toml)
                .map_err(|e| Failure::new(Exit::Remote, e.to_string()))?,
        };
        Ok::<_, Failure>((state, rules))
    })?;
    let lifetime = rules.request_expiry.saturating_add(rules.wait).saturating_add(SLACK);
    let recovery = recovery.as_ref().map(Signer::spki_der);
    let mut draft = intents::switch(&state.on, &new, recovery, lifetime)?;
    match asked.reason {
        Some(reason) => draft.sign_with_remark(&new, Role::NewKey, reason)?,
        None => draft.sign(&new, Role::NewKey)?,
    }
    if let Some(token) = asked.id_token {
        draft.id_tokens.push(id_token(token)?);
    }
    Ok((draft, state))
}

/// A compact JWS from a file.
pub(super) fn id_token(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(files::read(path)?)
        .map_err(|_| Failure::local(format!("{} is not text", path.display())))?;
    Ok(text.trim().to_owned())
}

fn request(args: &Request) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let draft = match &args.signed {
        Some(path) => {
            let mut draft = request::draft(path, &request::read(path)?)?;
            let token = args.id_token.as_deref().map(id_token).transpose()?;
            draft.id_tokens.extend(token);
            draft
        }
        None => {
            let asked = Asked {
                uid: &args.uid,
                new_key: &args.new_key,
                recovery_key: args.recovery_key.as_deref(),
                reason: args.reason.as_deref(),
                id_token: args.id_token.as_deref(),
            };
            self::draft(&server, &trust, &asked)?.0
        }
    };
    if let Some(path) = &args.prepare {
        output::line(&format!("nonce {}", draft.hash()));
        return request::keep(&draft, path);
    }
    let done = runtime()?.block_on(server.ask(&draft))?;
    match args.format {
        Format::Json => request::show_done(&done, None, args.format)?,
        Format::Text => output::line(&format!("switch {}", draft.hash())),
    }
    output::talk("Officers have to approve it, then a wait begins; it completes by itself.");
    Ok(())
}

fn status(args: &Status) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    if let Some(id) = args.id {
        let switch = runtime()?.block_on(server.switch(id))?;
        match args.format {
            Format::Json => output::json(&switch),
            Format::Text => described(&switch),
        }
        return match switch.status {
            SwitchStatus::Completed => fetched(&server, &args.uid, args.out.as_deref()),
            SwitchStatus::Pending | SwitchStatus::Waiting => {
                Err(Failure::new(Exit::Pending, "the switch is pending"))
            }
            SwitchStatus::Dropped => Err(Failure::new(Exit::Refused, "the switch was dropped")),
            SwitchStatus::Expired => Err(Failure::new(Exit::Refused, "the switch has expired")),
        };
    }
    let proven = runtime()?.block_on(proven(&server, &trust, &args.uid))?;
    match pending(&proven, now() * 1000) {
        Some(switch) => {
            match args.format {
                Format::Json => output::json(&switch),
                Format::Text => lines(&switch).iter().for_each(|line| output::line(line)),
            }
            Err(Failure::new(Exit::Pending, "the switch is pending"))
        }
        None => {
            let key = proven.identity().key.map(|key| key.spki);
            match args.format {
                Format::Json => output::json(&serde_json::json!({ "uid": args.uid, "key": key })),
                Format::Text => {
                    let key = key.map_or("no key".to_owned(), |key| format!("key {key}"));
                    output::line(&format!("{}: no switch is pending; {key}", args.uid));
                }
            }
            fetched(&server, &args.uid, args.out.as_deref())
        }
    }
}

/// Writes the identity's current certificate.
fn fetched(server: &Server, uid: &UserId, out: Option<&Path>) -> Result<(), Failure> {
    let Some(out) = out else { return Ok(()) };
    let certificate = runtime()?.block_on(async {
        let serial = server.identity(uid).await?.serial.unwrap_or_default();
        let serial = SerialNumber::from_hex(&serial)
            .map_err(|_| Failure::new(Exit::Revoked, format!("{uid} has no certificate")))?;
        Ok::<_, Failure>(server.certificate(serial).await?)
    })?;
    request::certificate(Some(&certificate), out)
}

/// A switch as an officer sees it, from the identity's proven history.
pub(super) fn lines(switch: &PendingSwitch) -> Vec<String> {
    let mut lines = vec![format!("switch         {}", switch.id)];
    let mut line = |label: &str, text: &str| lines.push(format!("{label:<15}{text}"));
    line("of", switch.uid.as_str());
    let old = switch.old_key.map_or("none: it was revoked".to_owned(), |key| key.to_string());
    line("old key", &old);
    line("new key", &switch.new_key.to_string());
    for name in &switch.names {
        line("name", name);
    }
    if switch.sets_recovery_key {
        line("recovery key", "a new one, after the recovery window if there is one now");
    }
    line("reason given", switch.reason.as_deref().unwrap_or("none"));
    line("asked for by", "whoever holds the new key");
    line("at", &time(switch.requested_ms));
    line("expires", &time(switch.expires_ms));
    for approval in &switch.approvals {
        let remark = approval.remark.as_deref().unwrap_or("says not how");
        line("approved by", &format!("{} at {}: {remark}", approval.officer, time(approval.at_ms)));
    }
    if switch.slowed {
        line("slowed", "the current key objected: twice the wait, one more approval");
    }
    for remains in &switch.remains {
        line("remains", remains);
    }
    if let Some(at) = switch.not_before_ms {
        line("not before", &time(at));
    }
    lines
}

/// A switch as the server describes it.
fn described(switch: &Switch) {
    let status = serde_json::to_value(switch.status).unwrap_or_default();
    output::line(&format!("{}  {}  {}", switch.id, switch.uid, status.as_str().unwrap_or("?")));
    output::line(&format!("  to key {}, asked for at {}", switch.new_key, switch.requested));
    output::line(&format!("  {} of {} approvals", switch.approvals.len(), switch.needed));
    if let Some(at) = &switch.not_before {
        output::line(&format!("  not before {at}"));
    }
    if let Some(outcome) = &switch.outcome {
        output::line(&format!("  {outcome}"));
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let switches = match &args.admin_socket {
        Some(socket) => runtime()?.block_on(by_admin(socket))?,
        None => {
            let (_, server) = args.connection.open(Some(&args.agent))?;
            runtime()?.block_on(server.switches())?
        }
    };
    match args.format {
        Format::Json => output::json(&switches),
        Format::Text => switches.iter().for_each(described),
    }
    Ok(())
}

async fn by_admin(socket: &Path) -> Result<Vec<Switch>, Failure> {
    let mut admin = admin::Connection::open(socket).await?;
    let (mut switches, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { cursor, limit: 500 };
        let ResponseBody::Switches(page) = admin.ask(RequestBody::Switches { page }).await? else {
            return Err(admin::unexpected());
        };
        switches.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(switches);
        }
    }
}
