//! `avouch change`: policy, officers, agents and co-signers, and leaves that are declared dead, by the
//! officers' threshold.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use client::statement::{Draft, On, intents};
use tlog::quorum::Quorum;
use wire::body::{Agents, Cosigners, Roster, Struck};
use wire::event::EventKind;
use wire::genesis::{Cosigner, CosignerKind, Keyholder};
use wire::statement::Role;
use wire::{Encoded, Hash32, octets, rest};

use super::common::{Connection, now};
use super::request::{self, agree};
use super::shown;
use super::signer::SignerArgs;
use crate::exit::{Exit, Failure};
use crate::keyholder;
use crate::op::init::policy_file;
use crate::output::{self, Format};
use crate::runtime;

/// Changes policy, officers, agents or co-signers, or declares a leaf dead. Officers sign, as many as the policy in force demands: the
/// first writes the request to a file (`--out`), the others sign it (`avouch request sign`), one hands
/// it in (`avouch request submit`). What loosens anything holds after the wait.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(subcommand)]
    command: ChangeCommand,
}

#[derive(Debug, Subcommand)]
enum ChangeCommand {
    /// Puts another policy in force.
    Policy {
        /// The policy, TOML.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Adds officers and takes some off.
    Roster {
        /// An officer, as NAME=FILE with her certificate or public key; NAME:UID=FILE where she has
        /// an identity here.
        #[arg(long, value_name = "NAME[:UID]=FILE", required_unless_present = "remove")]
        add: Vec<String>,
        /// An officer, by name.
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Adds enrolment agents and takes some off.
    Agents {
        /// An agent, as NAME=FILE with its certificate or public key.
        #[arg(long, value_name = "NAME=FILE", required_unless_present_any = ["remove", "scope"])]
        add: Vec<String>,
        /// An agent, by name.
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
        /// What an agent may do, as NAME:ENTRY, all entries of it: enrol, directory,
        /// uid-prefix=TEXT, uid-suffix=TEXT, email=DOMAIN, upn=DOMAIN.
        #[arg(long, value_name = "NAME:ENTRY")]
        scope: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Declares a leaf dead that an auditor refuses (`avouch auditor status` names it). No
    /// certificate follows from it, its identity can only be voided, and auditors go on.
    Strike {
        /// The leaf's hash.
        #[arg(value_name = "LEAF-HASH", value_parser = Hash32::from_hex)]
        leaf: Hash32,
        /// The leaf's index, where others of its identity came after it: the latest is struck
        /// first.
        #[arg(long, value_name = "N")]
        index: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
    /// Names all who co-sign checkpoints from then on. People's trust files name them, too: see
    /// `avouch trust export --proven`.
    Cosigners {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        common: Common,
    },
}

/// All co-signers that there are to be.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Named {
    /// A witness, by its public key (`avouch witness show`).
    #[arg(long, value_name = "VKEY")]
    witness: Vec<String>,
    /// An auditor, by its public key.
    #[arg(long, value_name = "VKEY")]
    auditor: Vec<String>,
    /// Nobody: whoever holds the authority's host is believed.
    #[arg(long, conflicts_with_all = ["witness", "auditor"])]
    nobody: bool,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    signer: SignerArgs,
    /// Writes the request to a file, for others to sign and hand in.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Does not ask whether you agree.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &ChangeArgs) -> Result<(), Failure> {
    match &args.command {
        ChangeCommand::Policy { file, common } => {
            let rules = policy_file(file)?;
            ask(common, |on, _| {
                Ok(intents::change(on, EventKind::PolicyChange, &rules.to_canonical())?)
            })
        }
        ChangeCommand::Roster { add, remove, common } => ask(common, |on, policy| {
            let officers = list(&policy.officers, add, remove, keyholder::officer)?;
            let roster = Roster { version: 1, officers };
            Ok(intents::change(on, EventKind::RosterChange, &roster.to_canonical())?)
        }),
        ChangeCommand::Agents { add, remove, scope, common } => ask(common, |on, policy| {
            let mut agents = list(&policy.agents, add, remove, keyholder::agent)?;
            keyholder::scopes(&mut agents, scope)?;
            let agents = Agents { version: 1, agents };
            Ok(intents::change(on, EventKind::AgentsChange, &agents.to_canonical())?)
        }),
        ChangeCommand::Strike { leaf, index, common } => ask(common, |on, _| {
            let struck = Struck { version: 1, leaf: *leaf, index: *index };
            Ok(intents::change(on, EventKind::Strike, &struck.to_canonical())?)
        }),
        ChangeCommand::Cosigners { named, common } => {
            let cosigners = named.list()?;
            ask(common, |on, _| {
                let body = Cosigners { version: 1, cosigners: cosigners.clone() };
                Ok(intents::change(on, EventKind::CosignersChange, &body.to_canonical())?)
            })
        }
    }
}

impl Named {
    fn list(&self) -> Result<Vec<Cosigner>, Failure> {
        let of = |kind, vkeys: &[String]| -> Vec<Cosigner> {
            vkeys.iter().map(|vkey| Cosigner { kind, vkey: vkey.clone() }).collect()
        };
        let auditors = of(CosignerKind::Auditor, &self.auditor);
        let all = [auditors, of(CosignerKind::Witness, &self.witness)].concat();
        let (quorum, _) = Quorum::of(&all).map_err(|e| Failure::local(e.to_string()))?;
        output::talk(&format!("Checkpoints will be co-signed by: {}", quorum.rule()));
        Ok(all)
    }
}

/// The list as it is afterwards: all of it is signed, so what the server says of it is shown.
fn list(
    present: &[rest::Keyholder],
    add: &[String],
    remove: &[String],
    read: impl Fn(&str) -> Result<Keyholder, Failure>,
) -> Result<Vec<Keyholder>, Failure> {
    let wrong = |what: String| Failure::new(Exit::Remote, what);
    let mut list = Vec::new();
    for holder in present {
        let spki = STANDARD.decode(&holder.public_key).unwrap_or_default();
        if Hash32::of(&spki) != holder.key {
            return Err(wrong(format!(
                "the server names another key for {} than it sends",
                holder.name
            )));
        }
        let (name, scope) = (holder.name.clone(), holder.scope.clone());
        list.push(Keyholder { name, spki: octets(&spki), scope });
    }
    for name in remove {
        let before = list.len();
        list.retain(|holder| holder.name != *name);
        if list.len() == before {
            return Err(Failure::local(format!("nobody in the list is called {name}")));
        }
    }
    for text in add {
        list.push(read(text)?);
    }
    Ok(list)
}

fn ask(
    common: &Common,
    draft: impl FnOnce(&On, &rest::Policy) -> Result<Draft, Failure>,
) -> Result<(), Failure> {
    let (trust, server) = common.connection.open(None)?;
    let policy = runtime()?.block_on(server.policy())?;
    let on = On::installation(trust.genesis(), &policy, now());
    let mut draft = draft(&on, &policy)?;
    shown::intent(draft.intent()).iter().for_each(|line| output::talk(line));
    agree(common.yes, "sign this")?;
    let (signer, role) = common.signer.open(Role::Officer)?;
    draft.sign(&*signer, role)?;
    request::send_or_keep(&server, &draft, common.out.as_deref(), common.format)
}
