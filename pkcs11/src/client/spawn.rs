//! Starting a worker process and greeting it.

use crate::config::{Pin, WorkerCommand};
use crate::error::HsmError;
use crate::locked::Locked;
use crate::proto::{self, Hello, Job, MAX_FRAME, MAX_HELLO, Welcome};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A worker that has answered its greeting.
pub(super) struct Greeted {
    pub(super) child: Child,
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
}

struct Order {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

/// Starts `command` from a thread that lives as long as this process.
///
/// The kernel delivers the death signal that workers ask for when the *thread* that started them
/// ends, and a runtime's threads come and go.
async fn start(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, next) = mpsc::channel::<Order>();
        // If the thread cannot be had, the channel is closed and the order below says so.
        let _ = std::thread::Builder::new().name("hsm-starter".to_owned()).spawn(move || {
            for Order { mut command, runtime, started } in next {
                let _runtime = runtime.enter();
                let _ = started.send(command.spawn());
            }
        });
        orders
    });
    let (started, child) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts workers is gone");
    starter.send(Order { command, runtime: Handle::current(), started }).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

/// Starts a worker and gives it its first frame. `secrets` are kept out of its environment.
pub(super) async fn greet(
    command: &WorkerCommand,
    job: Job<'_>,
    secrets: &[&Pin],
    limit: Duration,
) -> Result<(Greeted, Welcome), HsmError> {
    let failed = |detail: String| HsmError::Worker { program: command.program.clone(), detail };
    let mut process = Command::new(&command.program);
    process
        .args(&command.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        // An interrupt from the terminal is for the authority, which ends its workers in order.
        .process_group(0);
    // An operator may have handed us the PIN in a variable: the worker must not inherit it.
    for (name, value) in std::env::vars_os() {
        if secrets.iter().any(|pin| contains(&value, pin)) {
            process.env_remove(name);
        }
    }
    process.envs(command.envs.iter().map(|(name, value)| (name, value)));

    let mut child =
        start(process).await.map_err(|error| failed(format!("not started: {error}")))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("no pipes".to_owned()));
    };

    // One buffer of fixed size, so that no reallocation leaves a copy behind.
    let mut frame = Locked::zeroed(4 + MAX_HELLO);
    let hello = Hello { version: proto::VERSION, job };
    let len = postcard::to_slice(&hello, &mut frame[4..])
        .map_err(|_| HsmError::Config { detail: "paths and PIN are too long".to_owned() })?
        .len();
    frame[..4].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());

    let mut worker = Greeted { child, input, output };
    let welcome = worker.say(&frame[..4 + len], &command.program, limit).await?;
    Ok((worker, welcome))
}

impl Greeted {
    /// Tells the worker something while it starts, and hears what it says to that.
    pub(super) async fn say(
        &mut self,
        words: &[u8],
        program: &Path,
        limit: Duration,
    ) -> Result<Welcome, HsmError> {
        let Greeted { child, input, output } = self;
        let failed = |detail| HsmError::Worker { program: program.to_owned(), detail };
        let heard = tokio::time::timeout(limit, async {
            input.write_all(words).await?;
            let len = output.read_u32_le().await? as usize;
            if len > MAX_FRAME {
                return Err(io::Error::other("not our protocol"));
            }
            let mut frame = vec![0; len];
            output.read_exact(&mut frame).await?;
            postcard::from_bytes(&frame).map_err(|_| io::Error::other("not our protocol"))
        })
        .await;
        match heard {
            Ok(Ok(welcome)) => Ok(welcome),
            Ok(Err(error)) => {
                // It may have closed its end a moment before it is gone: kill, then ask.
                let _ = child.start_kill();
                let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
                Err(failed(format!("ended while starting ({error}; {status})")))
            }
            Err(_) => Err(failed(format!("did not start within {limit:?}"))),
        }
    }
}

/// Whether a variable's value gives the PIN away. Very short PINs only when they are all of it.
fn contains(value: &OsStr, pin: &Pin) -> bool {
    let (value, pin) = (value.as_bytes(), pin.expose().as_bytes());
    match pin.len() {
        0 => false,
        1..4 => value == pin,
        len => value.windows(len).any(|window| window == pin),
    }
}

/// Runs a job that ends with its welcome.
pub(crate) async fn one_shot(
    command: &WorkerCommand,
    job: Job<'_>,
    secrets: &[&Pin],
) -> Result<Welcome, HsmError> {
    let (mut worker, welcome) = greet(command, job, secrets, Duration::from_secs(60)).await?;
    drop(worker.input);
    if tokio::time::timeout(Duration::from_secs(5), worker.child.wait()).await.is_err() {
        let _ = worker.child.kill().await;
    }
    Ok(welcome)
}
