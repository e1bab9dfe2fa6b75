//! The worker process: loads the module, logs in once, signs what it is asked until its input ends.
//!
//! It takes no decision and keeps nothing: what must be signed, and whether, is the authority's.
//! Its standard output belongs to the protocol, so before a module is loaded the real output is
//! moved away and descriptor 1 points at standard error; vendors' libraries do print.

mod care;
mod output;
mod provision;
mod queue;
mod signer;
mod software;
mod token;

use crate::HsmError;
use crate::config::{Backend, Pin};
use crate::harden;
use crate::key::TokenInfo;
use crate::locked::Locked;
use crate::proto::{self, Hello, Job, MAX_HELLO, Welcome};
use crate::template::Template;
use care::Care;
use output::Output;
use queue::{Op, Requests};
use signer::{Fault, Holding};
use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long the end waits for calls into the module that are still running.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the worker on standard input and output. To be called first thing by the program that
/// [`crate::WorkerCommand`] names, before it starts any thread.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the operator's; nothing secret is in an error of ours.
            eprintln!("hsm-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    harden::harden_process()?;
    harden::die_with_parent()?;
    let (mut input, output) = take_stdio()?;
    let output = Arc::new(Output::new(output));

    // Unbuffered and into memory that is wiped: the greeting carries the PIN.
    let mut len = [0; 4];
    input.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_HELLO {
        return Err(io::Error::other(format!("greeting of {len} bytes")));
    }
    let mut frame = Locked::zeroed(len);
    input.read_exact(&mut frame)?;
    let hello: Hello<'_> = postcard::from_bytes(&frame)
        .map_err(|_| io::Error::other("greeting not understood; is this started by hand?"))?;
    if hello.version != proto::VERSION {
        let detail = format!("protocol {} is not {}", hello.version, proto::VERSION);
        return output.frame(&Welcome::Failed(HsmError::Config { detail }));
    }

    let welcome = match hello.job {
        Job::ListTokens { module } => token::list(&module).map(Welcome::Tokens),
        Job::InitToken { module, label, so_pin, pin } => {
            provision::init_token(&module, label, so_pin, pin).map(Welcome::Token)
        }
        Job::Serve { backend, sessions, keep_alive, memory, template, pin } => {
            let pin = Pin::new(pin.to_owned());
            let held = hold(&backend, sessions as usize, template, &pin, |token| {
                may_log_in(token, &mut input, &output)
            });
            // From here on the PIN exists only in the authority.
            drop(pin);
            drop(frame);
            match held {
                Ok(holding) => {
                    let care = Care { keep_alive, memory };
                    return requests(input, output, holding, care);
                }
                Err(error) => Err(error),
            }
        }
    };
    output.frame(&welcome.unwrap_or_else(Welcome::Failed))
}

/// Moves the protocol's descriptors out of the module's reach.
fn take_stdio() -> io::Result<(File, File)> {
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 10)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 10)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok((File::from(input), File::from(output)))
}

/// Asks the authority, which knows what others were answered at this token. True when it does not
/// know what became of the last login.
fn may_log_in(token: &TokenInfo, input: &mut File, output: &Output) -> io::Result<bool> {
    output.frame(&Welcome::LoggingIn { token: token.clone() })?;
    let mut word = [0];
    input.read_exact(&mut word)?;
    match word {
        [proto::GO_ON] => Ok(false),
        [proto::GO_ON_UNLESS_COUNTED] => Ok(true),
        _ => Err(io::Error::other("the authority says something else")),
    }
}

fn hold(
    backend: &Backend,
    sessions: usize,
    template: Template,
    pin: &Pin,
    may_log_in: impl FnOnce(&TokenInfo) -> io::Result<bool>,
) -> Result<Holding, HsmError> {
    match backend {
        Backend::Token { module, token } => {
            token::open(module, token, sessions, template, pin, may_log_in)
        }
        Backend::Software { dir } => software::open(dir, sessions),
    }
}

fn requests(input: File, output: Arc<Output>, holding: Holding, care: Care) -> io::Result<()> {
    let Holding { token, signers, keep_alive, finish } = holding;
    output.frame(&Welcome::Ready { token })?;
    let requests = Arc::new(Requests::new(input));
    let (ended, all_ended) = mpsc::channel::<io::Result<()>>();
    let mut sessions = Vec::new();
    for (number, signer) in signers.into_iter().enumerate() {
        let (requests, output) = (Arc::clone(&requests), Arc::clone(&output));
        let session = Arc::new(care::Session::new(signer));
        sessions.push(Arc::clone(&session));
        let ended = ended.clone();
        std::thread::Builder::new().name(format!("session-{number}")).spawn(move || {
            let mut next = requests.first();
            let outcome = loop {
                let work = match next {
                    Ok(Some(work)) => work,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                };
                if !matches!(work.op, Op::Sign { .. }) {
                    output.flush();
                }
                let start = Instant::now();
                let body = match session.carry_out(&work) {
                    Ok(answer) => Ok(answer),
                    Err(Fault::Answer(error)) => Err(error),
                    Err(Fault::Lost { reason }) => output.lost(reason),
                };
                let took = start.elapsed();
                output.answer(work.number, body, took, &requests);
                care.weigh(work.number, &output);
                next = requests.next(work.number, took);
            };
            let _ = ended.send(outcome);
            drop(session);
            drop(ended);
        })?;
    }
    // Ends when its sender is dropped.
    let (caring, stop) = mpsc::channel::<()>();
    {
        let (output, ended) = (Arc::clone(&output), ended.clone());
        std::thread::Builder::new().name("keep-alive".to_owned()).spawn(move || {
            care.keep_alive(&stop, &sessions, keep_alive, &output);
            drop(sessions);
            drop(ended);
        })?;
    }
    drop(ended);

    // The first that finds the end of the input tells of it, or of what it does not understand.
    let mut outcome = all_ended.recv().unwrap_or(Ok(()));
    drop(caring);

    // The authority closed the pipe or is gone. A module that does not come back is left behind
    // with the process; running its destructors under a live call would crash.
    let deadline = Instant::now() + PATIENCE;
    while outcome.is_ok() {
        match all_ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(ended) => outcome = ended,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let me = rustix::process::getpid();
                rustix::process::kill_process(me, rustix::process::Signal::KILL)?;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                finish();
                return Ok(());
            }
        }
    }
    outcome
}
