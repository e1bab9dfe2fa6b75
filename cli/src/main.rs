//! The avouch command.

mod admin;
mod config;
mod exit;
mod files;
mod keyholder;
mod log;
mod op;
mod output;
mod people;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Failure;

/// A request's bytes are allocated by one thread and freed by another, many times; the system's
/// allocator spends a tenth of all processor time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A certificate authority for the identities of people who share end-to-end encrypted data.
#[derive(Debug, Parser)]
#[command(name = "avouch", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 local or usage, 2 remote, 3 HSM unavailable, \
10 no such identity, 11 chain, 12 revoked or suspended, 13 expired, 14 identity changed, \
15 log proof, 16 stale status, 20 refused by policy, 21 pending.";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(op::dev::Dev),
    Init(op::init::Init),
    Serve(op::serve::Serve),
    Authority(op::authority::AuthorityArgs),
    Gateway(op::gateway::GatewayArgs),
    Doctor(op::doctor::Doctor),
    Config(op::config::ConfigArgs),
    Search(op::search::Search),
    Db(op::db::Db),
    Log(op::log::LogArgs),
    Audit(op::log::AuditArgs),
    Notices(op::notices::NoticesArgs),
    Hsm(op::hsm::HsmArgs),
    Unlock(op::hsm::Unlock),
    Witness(op::witness::WitnessArgs),
    Auditor(op::auditor::AuditorArgs),
    Key(people::key::KeyArgs),
    Csr(people::csr::Csr),
    #[command(visible_alias = "enroll")]
    Enrol(people::enrol::Enrol),
    Renew(people::ask::Renew),
    Rekey(people::moves::Rekey),
    Recover(people::recover::Recover),
    RecoveryKey(people::moves::RecoveryKey),
    Switch(people::switch::SwitchArgs),
    Approve(people::approve::Approve),
    Veto(people::approve::Veto),
    Suspend(people::standing::Suspend),
    Resume(people::standing::Resume),
    Retire(people::standing::Retire),
    Void(people::standing::Void),
    Revoke(people::revoke::Revoke),
    Request(people::request::RequestArgs),
    Agent(people::agent::AgentArgs),
    Change(people::change::ChangeArgs),
    Channels(people::channels::ChannelsArgs),
    Rename(people::rename::Rename),
    Policy(people::policy::PolicyArgs),
    Contact(people::contact::ContactArgs),
    Trust(people::trust::TrustArgs),
    History(people::history::History),
    Verify(people::verify::Verify),
    Seal(people::share::Seal),
    Open(people::share::Open),
    #[command(hide = true)]
    HsmWorker(op::worker::Worker),
}

impl Command {
    fn is_operators(&self) -> bool {
        matches!(
            self,
            Self::Dev(_)
                | Self::Init(_)
                | Self::Serve(_)
                | Self::Authority(_)
                | Self::Gateway(_)
                | Self::Doctor(_)
                | Self::Config(_)
                | Self::Search(_)
                | Self::Db(_)
                | Self::Log(_)
                | Self::Audit(_)
                | Self::Notices(_)
                | Self::Hsm(_)
                | Self::Unlock(_)
                | Self::Witness(_)
                | Self::Auditor(_)
                | Self::HsmWorker(_)
        )
    }

    fn serves(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Authority(_) | Self::Gateway(_) => true,
            Self::Witness(args) => args.serves(),
            Self::Auditor(args) => args.serves(),
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions are answers; everything else is a usage error, which is 1 here
            // and not clap's 2: that means "remote".
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    // What operators' commands make (database, sockets, process ids) is theirs alone. What others
    // are to read is given its mode by name.
    if cli.command.is_operators() {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    // Processes that serve read first how they are to log.
    let _logging = (!cli.command.serves()).then(log::of_a_command);
    let outcome = match &cli.command {
        Command::Dev(args) => op::dev::run(args),
        Command::Init(args) => op::init::run(args),
        Command::Serve(args) => op::serve::run(args),
        Command::Authority(args) => op::authority::run(args),
        Command::Gateway(args) => op::gateway::run(args),
        Command::Doctor(args) => op::doctor::run(args),
        Command::Config(args) => op::config::run(args),
        Command::Search(args) => op::search::run(args),
        Command::Db(args) => op::db::run(args),
        Command::Log(args) => op::log::log(args),
        Command::Audit(args) => op::log::audit(args),
        Command::Notices(args) => op::notices::run(args),
        Command::Hsm(args) => op::hsm::run(args),
        Command::Unlock(args) => op::hsm::unlock(args),
        Command::Witness(args) => op::witness::run(args),
        Command::Auditor(args) => op::auditor::run(args),
        Command::Key(args) => people::key::run(args),
        Command::Csr(args) => people::csr::run(args),
        Command::Enrol(args) => people::enrol::run(args),
        Command::Renew(args) => people::ask::renew(args),
        Command::Rekey(args) => people::moves::rekey(args),
        Command::Recover(args) => people::recover::run(args),
        Command::RecoveryKey(args) => people::moves::recovery_key(args),
        Command::Switch(args) => people::switch::run(args),
        Command::Approve(args) => people::approve::approve(args),
        Command::Veto(args) => people::approve::veto(args),
        Command::Suspend(args) => people::standing::suspend(args),
        Command::Resume(args) => people::standing::resume(args),
        Command::Retire(args) => people::standing::retire(args),
        Command::Void(args) => people::standing::void(args),
        Command::Revoke(args) => people::revoke::revoke(args),
        Command::Request(args) => people::request::run(args),
        Command::Agent(args) => people::agent::run(args),
        Command::Channels(args) => people::channels::run(args),
        Command::Rename(args) => people::rename::run(args),
        Command::Change(args) => people::change::run(args),
        Command::Policy(args) => people::policy::run(args),
        Command::Contact(args) => people::contact::run(args),
        Command::Trust(args) => people::trust::run(args),
        Command::History(args) => people::history::run(args),
        Command::Verify(args) => people::verify::run(args),
        Command::Seal(args) => people::share::seal(args),
        Command::Open(args) => people::share::open(args),
        Command::HsmWorker(args) => return op::worker::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::talk(&format!("avouch: {}", failure.message()));
            failure.code()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    build(&mut tokio::runtime::Builder::new_multi_thread())
}

/// For a process beside which another one does most of the work: half of the processors. A thread
/// for each would only wake the others.
fn half_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    build(builder.worker_threads(processors.div_ceil(2)))
}

fn build(builder: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    builder.enable_all().build().map_err(|e| Failure::local(format!("cannot start: {e}")))
}
