//! What happens when the worker dies, hangs, or is given the wrong PIN.

mod common;

use avouch_pkcs11::{Algorithm, Hsm, HsmError, HsmState, Pin, WorkerCommand, provision};
use common::{MODULE, PIN, SoftHsm, pin, spec};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn worker_pid(hsm: &Hsm) -> u32 {
    hsm.status().workers[0].pid.expect("a worker is running")
}

/// Waits for the end of a process that is not our child. One that nobody has reaped has ended too.
async fn ended(pid: u32) {
    while std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    {
        tokio::task::yield_now().await;
    }
}

/// Waits until every thread of a process stands still: the signal is not there at once.
fn stopped(pid: u32) {
    let stands = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("stat"))
            .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    };
    let tasks = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    while !tasks().all(|task| stands(task.unwrap())) {
        std::thread::yield_now();
    }
}

/// A worker command that notes each start in a file.
fn counted(soft: &SoftHsm) -> (WorkerCommand, PathBuf) {
    let starts = soft.dir.path().join("starts");
    let script = soft.dir.path().join("worker.sh");
    let worker = common::worker().program;
    let text = format!("#!/bin/sh\necho $$ >> {}\nexec {}\n", starts.display(), worker.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = soft.command();
    command.program = script;
    (command, starts)
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

async fn tokens_pin_count_low(soft: &SoftHsm) -> bool {
    let tokens = provision::list_tokens(&soft.command(), Path::new(MODULE)).await.unwrap();
    tokens.iter().any(|token| token.initialised && token.pin_count_low)
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_what_was_in_flight_is_told() {
    let soft = SoftHsm::new().await;
    let hsm = soft.start().await;
    let key = hsm.generate(spec(Algorithm::Rsa4096, 1)).await.unwrap();
    let killed = worker_pid(&hsm);

    let requests: Vec<_> = (0..40u8)
        .map(|number| {
            let (hsm, id) = (hsm.clone(), key.id.clone());
            tokio::spawn(async move { hsm.sign(&id, [number; 64]).await })
        })
        .collect();
    // Stopped first, so that all requests are in flight when it dies.
    signal(killed, Signal::STOP);
    while hsm.status().in_flight < 40 {
        tokio::task::yield_now().await;
    }
    signal(killed, Signal::KILL);

    for request in requests {
        let error = request.await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.retry_after().unwrap() > Duration::ZERO);
    }
    assert_eq!(hsm.status().in_flight, 0);

    // No restart by hand: the next request is simply answered.
    let signature = hsm.sign(&key.id, b"after").await.unwrap();
    key.verify(b"after", &signature).unwrap();
    assert_ne!(worker_pid(&hsm), killed);
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_hanging_worker_is_replaced() {
    let soft = SoftHsm::new().await;
    let mut config = soft.config();
    config.deadline = Duration::from_millis(300);
    let hsm = Hsm::start(soft.command(), config, pin()).await.unwrap();
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    let hanging = worker_pid(&hsm);
    signal(hanging, Signal::STOP);
    stopped(hanging);
    let error = hsm.sign(&key.id, b"x").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    ended(hanging).await;
    hsm.wait_ready().await.unwrap();
    loop {
        // The replacement may not be there yet; every refusal until then must say so.
        match hsm.sign(&key.id, b"x").await {
            Ok(signature) => break key.verify(b"x", &signature).unwrap(),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once_by_however_many_workers() {
    let soft = SoftHsm::new().await;
    let (command, starts) = counted(&soft);
    assert!(!tokens_pin_count_low(&soft).await);

    let mut config = soft.config();
    config.workers = 3;
    let wrong = Pin::new("not-the-pin-4711".to_owned());
    let hsm = Hsm::start_in_background(command, config, wrong).unwrap();
    let error = hsm.wait_ready().await.unwrap_err();
    assert!(matches!(error, HsmError::PinWrong { .. }), "{error}");
    for _ in 0..5 {
        let error = hsm.sign(&[1; 16], b"x").await.unwrap_err();
        assert!(error.is_pin() && !error.is_transient(), "{error}");
    }
    assert_eq!(lines(&starts), 1);
    assert!(tokens_pin_count_low(&soft).await, "the token did see the attempt");

    // The operator gives the right one.
    hsm.set_pin(pin());
    hsm.wait_ready().await.unwrap();
    hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    assert!(!tokens_pin_count_low(&soft).await);
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_pin_changed_on_the_token_stops_the_replacement_at_the_first_answer() {
    let soft = SoftHsm::new().await;
    let (command, starts) = counted(&soft);
    let hsm = Hsm::start(command, soft.config(), pin()).await.unwrap();
    let new = "another-pin-2222";
    soft.tool(&["--login", "--pin", PIN, "--change-pin", "--new-pin", new]);
    signal(worker_pid(&hsm), Signal::KILL);
    let mut refused = false;
    while !refused {
        refused = hsm.keys().await.is_err_and(|error| error.is_pin());
    }
    assert_eq!(lines(&starts), 2);
    hsm.set_pin(Pin::new(new.to_owned()));
    hsm.wait_ready().await.unwrap();
    assert_eq!(hsm.keys().await.unwrap(), []);
    hsm.shut_down().await;
}

#[tokio::test]
async fn another_token_in_the_place_of_ours_is_refused() {
    let soft = SoftHsm::new().await;
    let hsm = soft.start().await;
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();

    // Somebody takes the tokens away and puts an empty one of the same name there.
    let tokens = soft.dir.path().join("tokens");
    let ours = soft.dir.path().join("ours");
    let other = SoftHsm::new().await;
    std::fs::rename(&tokens, &ours).unwrap();
    std::fs::rename(other.dir.path().join("tokens"), &tokens).unwrap();
    signal(worker_pid(&hsm), Signal::KILL);
    let missing = loop {
        match hsm.status().state {
            HsmState::Recovering { error } => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(missing, HsmError::KeyNotFound { id: key.id.clone() });
    assert!(hsm.sign(&key.id, b"x").await.unwrap_err().is_transient());

    // Ours returns: no restart by hand.
    std::fs::remove_dir_all(&tokens).unwrap();
    std::fs::rename(&ours, &tokens).unwrap();
    hsm.wait_ready().await.unwrap();
    let signature = hsm.sign(&key.id, b"x").await.unwrap();
    key.verify(b"x", &signature).unwrap();
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_token_erased_under_a_running_worker_is_lost_and_found() {
    let soft = SoftHsm::new().await;
    let hsm = soft.start().await;
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    let tokens = soft.dir.path().join("tokens");
    let away = soft.dir.path().join("away");
    std::fs::rename(&tokens, &away).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    for _ in 0..3 {
        let error = hsm.sign(&key.id, b"x").await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    std::fs::remove_dir(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    hsm.wait_ready().await.unwrap();
    key.verify(b"x", &hsm.sign(&key.id, b"x").await.unwrap()).unwrap();
    hsm.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_request_is_answered() {
    let soft = SoftHsm::new().await;
    let mut config = soft.config();
    config.sessions = 4;
    config.workers = 2;
    let hsm = Hsm::start(soft.command(), config, pin()).await.unwrap();
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    let callers: Vec<_> = (0..24u8)
        .map(|caller| {
            let (hsm, id) = (hsm.clone(), key.id.clone());
            tokio::spawn(async move {
                let mut last = Vec::new();
                for number in 0..200u8 {
                    last = hsm.sign(&id, [caller, number]).await.unwrap();
                }
                last
            })
        })
        .collect();
    for (caller, last) in (0..24u8).zip(callers) {
        key.verify(&[caller, 199], &last.await.unwrap()).unwrap();
    }
    assert_eq!(hsm.status().workers.iter().map(|worker| worker.started).sum::<u64>(), 2);
    hsm.shut_down().await;
}

#[tokio::test]
async fn several_workers_share_the_work_and_one_may_die() {
    let soft = SoftHsm::new().await;
    let mut config = soft.config();
    config.workers = 2;
    let hsm = Hsm::start(soft.command(), config, pin()).await.unwrap();
    let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
    while hsm.status().workers.iter().any(|worker| worker.state != HsmState::Ready) {
        tokio::task::yield_now().await;
    }
    signal(worker_pid(&hsm), Signal::KILL);
    for number in 0..200u8 {
        match hsm.sign(&key.id, [number; 8]).await {
            Ok(signature) => key.verify(&[number; 8], &signature).unwrap(),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    hsm.shut_down().await;
}

#[tokio::test]
async fn the_pin_is_nowhere_to_be_read() {
    let soft = SoftHsm::new().await;
    let hsm = soft.start().await;
    let pid = worker_pid(&hsm);
    for file in ["environ", "cmdline"] {
        // Not dumpable, so this may not even open; when it does, the PIN is not in it.
        let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        assert!(!content.windows(PIN.len()).any(|window| window == PIN.as_bytes()), "{file}");
    }
    // Even where the kernel lets the administrator look, the worker has forgotten it.
    assert_ne!(memory_holds(pid, PIN.as_bytes()), Some(true));
    assert_ne!(memory_holds(pid, b"SOFTHSM2_CONF="), Some(false), "we look where things are");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(!format!("{:?} {:?}", pin(), hsm).contains(PIN));
    hsm.shut_down().await;
}

/// Whether the process's memory holds these bytes, if it may be read.
fn memory_holds(pid: u32, wanted: &[u8]) -> Option<bool> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let found = maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let range = line.split_whitespace().next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let mut content = vec![0; (address(end) - address(start)) as usize];
        let read = memory.read_at(&mut content, address(start)).unwrap_or_default();
        let last = wanted[wanted.len() - 1];
        // Comparing from a rare byte keeps a debug build quick.
        (wanted.len()..=read).any(|e| content[e - 1] == last && content[..e].ends_with(wanted))
    });
    Some(found)
}

#[tokio::test]
async fn the_worker_dies_with_its_parent() {
    let soft = SoftHsm::new().await;
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "parent_process", "--ignored", "--nocapture"])
        .env("AVOUCH_TEST_CONF", soft.conf())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(parent.stdout.take().unwrap());
    let pid = std::io::BufRead::lines(output)
        .map_while(Result::ok)
        .find_map(|line| line.split_once("worker=").and_then(|(_, pid)| pid.parse().ok()))
        .expect("the parent started a worker");
    parent.kill().unwrap();
    parent.wait().unwrap();
    ended(pid).await;
}

/// Not a test: the parent that the test above kills.
#[tokio::test]
#[ignore = "started by the_worker_dies_with_its_parent"]
async fn parent_process() {
    let conf = std::env::var("AVOUCH_TEST_CONF").unwrap();
    let command = common::worker().env("SOFTHSM2_CONF", conf);
    let config = avouch_pkcs11::TokenConfig::token(
        MODULE,
        avouch_pkcs11::TokenSelector::Label(common::LABEL.to_owned()),
    );
    let hsm = Hsm::start(command, config, pin()).await.unwrap();
    println!("\nworker={}", worker_pid(&hsm));
    std::future::pending::<()>().await;
}
