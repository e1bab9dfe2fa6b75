//! Starts processes, starts again what dies, and stops all of them cleanly.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::OsUser;
use crate::exit::Failure;

/// How long a process may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(20);

/// A process that ran this long had started well.
const STEADY: Duration = Duration::from_secs(10);

/// Name of the service that holds the PIN.
pub(super) const AUTHORITY: &str = "authority";

/// A process to keep running.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) args: Vec<String>,
    /// Variables of the environment that are not its business.
    pub(super) unset: Vec<String>,
    /// What it finds on its standard input.
    pub(super) input: Option<String>,
    /// As whom it runs, if not as this process does.
    pub(super) user: Option<OsUser>,
}

/// Runs services until `stop`; each prints a line beginning with `ready` when it can be used.
///
/// `ready` is told once all of them have said so. A service that ends with exit code 1 before it
/// was ever ready has met something that starting again does not mend: that ends everything.
pub(super) async fn run(
    services: Vec<Service>,
    run_dir: &Path,
    ready: oneshot::Sender<()>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let (readiness, mut said) = mpsc::channel(services.len());
    let expected = services.len();
    let mut tasks = JoinSet::new();
    for service in services {
        let pid_file = run_dir.join(format!("{}.pid", service.name));
        tasks.spawn(keep(service, pid_file, readiness.clone(), stop.clone()));
    }
    drop(readiness);
    let all_ready = async {
        for _ in 0..expected {
            said.recv().await?;
        }
        Some(())
    };
    let mut outcome = Ok(());
    let mut told = Some(ready);
    tokio::pin!(all_ready);
    loop {
        tokio::select! {
            done = &mut all_ready, if told.is_some() => {
                if let (Some(()), Some(told)) = (done, told.take()) {
                    let _ = told.send(());
                }
            }
            ended = tasks.join_next() => match ended {
                None => return outcome,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => {
                    outcome = Err(failure);
                    stop.cancel();
                }
                Some(Err(error)) => {
                    outcome = Err(Failure::local(error.to_string()));
                    stop.cancel();
                }
            },
        }
    }
}

async fn keep(
    service: Service,
    pid_file: PathBuf,
    readiness: mpsc::Sender<()>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut ever_ready = false;
    let mut delay = Duration::from_millis(50);
    loop {
        let started = Instant::now();
        let mut child = start(&service)?;
        if let (Some(input), Some(mut stdin)) = (&service.input, child.stdin.take()) {
            // One that has ended already says so by its status.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        if let Some(pid) = child.id() {
            // Written whole, so that whoever reads it reads a number.
            let written = std::fs::write(pid_file.with_extension("new"), pid.to_string())
                .and_then(|()| std::fs::rename(pid_file.with_extension("new"), &pid_file));
            if let Err(error) = written {
                tracing::warn!(%error, file = %pid_file.display(), "cannot write the process id");
            }
        }
        let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let status = tokio::select! {
            status = watch(&mut child, lines, &readiness, &mut ever_ready) => status,
            () = stop.cancelled() => {
                end(&service, &mut child).await;
                let _ = std::fs::remove_file(&pid_file);
                return Ok(());
            }
        };
        let status = status.map_err(|e| Failure::local(format!("{}: {e}", service.name)))?;
        // Exit code 1 says that starting again mends nothing: a wrong PIN above all is tried once.
        let unmendable = status.code() == Some(1) && (!ever_ready || service.name == AUTHORITY);
        if unmendable {
            let message = format!("the {} could not start; its message is above", service.name);
            return Err(Failure::local(message));
        }
        tracing::warn!(service = service.name, %status, "a process ended and is started again");
        if started.elapsed() >= STEADY {
            delay = Duration::from_millis(50);
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return Ok(()),
        }
        delay = (delay * 2).min(Duration::from_secs(5));
    }
}

type Lines = tokio::io::Lines<BufReader<tokio::process::ChildStdout>>;

/// Waits for the end of a process, and passes on that it is ready.
async fn watch(
    child: &mut Child,
    lines: Option<Lines>,
    readiness: &mpsc::Sender<()>,
    ever_ready: &mut bool,
) -> std::io::Result<std::process::ExitStatus> {
    if let Some(mut lines) = lines {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("ready") && !*ever_ready {
                *ever_ready = true;
                let _ = readiness.try_send(());
            }
        }
    }
    child.wait().await
}

fn start(service: &Service) -> Result<Child, Failure> {
    // The file this process runs from, even when another build has taken its place meanwhile.
    let mut command = Command::new("/proc/self/exe");
    if let Ok(program) = std::env::current_exe() {
        command.arg0(program);
    }
    for name in &service.unset {
        command.env_remove(name);
    }
    if let Some(user) = &service.user {
        // Root's other groups are given up with that.
        command.gid(user.gid).uid(user.uid);
    }
    let piped = service.input.is_some();
    command
        .args(&service.args)
        .stdin(if piped { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Failure::local(format!("cannot start the {}: {e}", service.name)))
}

async fn end(service: &Service, child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        tracing::warn!(service = service.name, "it did not stop in time and is killed");
        let _ = child.kill().await;
    }
}

/// Has this process told to stop when its parent ends, so that none is left behind.
pub(crate) fn end_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
}

/// Makes a limit on the size of files an error of the write that meets it, as a full disk is: the
/// signal that comes with it would end the process.
pub(crate) fn bear_file_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    let exceeded = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    if let Err(error) = signal(exceeded) {
        tracing::warn!(%error, "a limit on the size of files will end this process");
    }
}

/// Cancelled by SIGTERM, SIGINT, or (`with_parent`) the end of the parent.
pub(crate) fn stop_signal() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let Ok(mut stream) = signal(kind) else { continue };
        let token = token.clone();
        tokio::spawn(async move {
            stream.recv().await;
            token.cancel();
        });
    }
    token
}

/// Passes SIGHUP on to the gateway, which reads its TLS files again.
pub(crate) fn pass_on_hangups(pid_file: PathBuf) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let pid = std::fs::read_to_string(&pid_file)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::HUP);
            }
        }
    });
}
