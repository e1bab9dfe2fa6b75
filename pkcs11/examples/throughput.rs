//! Signatures per second: the module called directly, and through workers.
//!
//! `throughput WORKER_PROGRAM MODULE TOKEN_LABEL PIN [SECONDS]`, on a test token: it generates keys.

use avouch_pkcs11::{Algorithm, Hsm, KeySpec, Pin, TokenConfig, TokenSelector, WorkerCommand};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use secrecy::SecretString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, module, label, pin, rest @ ..] = args.as_slice() else {
        return Err("WORKER_PROGRAM MODULE TOKEN_LABEL PIN [SECONDS]".into());
    };
    let seconds = Duration::from_secs(rest.first().map_or(Ok(3), |text| text.parse())?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(through_workers(program, module, label, pin, seconds))?;
    // Last, since this process loads the module for it.
    for (name, id) in [("P-256", b'P'), ("RSA-3072", b'R')] {
        for threads in [1, 2] {
            let rate = directly(module, label, pin, id, threads, seconds)?;
            println!("{name} directly, {threads} threads: {rate}/s");
        }
    }
    Ok(())
}

async fn through_workers(
    program: &str,
    module: &str,
    label: &str,
    pin: &str,
    seconds: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    for (workers, sessions) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let mut config = TokenConfig::token(module, TokenSelector::Label(label.to_owned()));
        config.workers = workers;
        config.sessions = sessions;
        let command = WorkerCommand::new(program);
        let hsm = Hsm::start(command, config, Pin::new(pin.to_owned())).await?;
        while hsm.status().workers.iter().any(|w| w.state != avouch_pkcs11::HsmState::Ready) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for (algorithm, name) in [(Algorithm::P256, b'P'), (Algorithm::Rsa3072, b'R')] {
            let id = [name; 16];
            let key = match hsm.find(&id).await? {
                Some(key) => key,
                None => hsm.generate(KeySpec { algorithm, id, label: "throughput".into() }).await?,
            };
            for callers in [1, 64, 256] {
                let end = Instant::now() + seconds;
                let tasks: Vec<_> = (0..callers)
                    .map(|_| {
                        let (hsm, id) = (hsm.clone(), key.id.clone());
                        tokio::spawn(async move {
                            let mut count = 0;
                            while Instant::now() < end {
                                hsm.sign(&id, vec![0x30; 700]).await?;
                                count += 1;
                            }
                            Ok::<u64, avouch_pkcs11::HsmError>(count)
                        })
                    })
                    .collect();
                let start = Instant::now();
                let mut total = 0;
                for task in tasks {
                    total += task.await??;
                }
                let rate = total as f64 / start.elapsed().as_secs_f64();
                println!(
                    "{algorithm} through {workers} workers of {sessions} sessions, \
                     {callers} callers: {rate:.0}/s"
                );
            }
        }
        if workers == 1 {
            let killed = hsm.status().workers[0].pid.and_then(|pid| pid.try_into().ok());
            let killed = killed.and_then(rustix::process::Pid::from_raw).ok_or("no worker")?;
            rustix::process::kill_process(killed, rustix::process::Signal::KILL)?;
            let start = Instant::now();
            while hsm.sign(&[b'P'; 16], vec![0x30; 700]).await.is_err() {}
            println!("signs again {:?} after kill -9", start.elapsed());
        }
        hsm.shut_down().await;
    }
    Ok(())
}

fn directly(
    module: &str,
    label: &str,
    pin: &str,
    id: u8,
    threads: usize,
    seconds: Duration,
) -> Result<u64, Box<dyn std::error::Error>> {
    let context = Pkcs11::new(module)?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = context
        .get_slots_with_token()?
        .into_iter()
        .find(|slot| context.get_token_info(*slot).is_ok_and(|info| info.label() == label))
        .ok_or("no such token")?;
    let anchor = context.open_ro_session(slot)?;
    anchor.login(UserType::User, Some(&SecretString::from(pin)))?;
    let total = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(threads));
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let session = context.open_ro_session(slot)?;
            let (total, start) = (Arc::clone(&total), Arc::clone(&start));
            Ok::<_, cryptoki::error::Error>(std::thread::spawn(move || {
                let key = session.find_objects(&[
                    Attribute::Id(vec![id; 16]),
                    Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY),
                ])?[0];
                start.wait();
                let end = Instant::now() + seconds;
                while Instant::now() < end {
                    let mechanism = if id == b'P' { Mechanism::Ecdsa } else { Mechanism::RsaPkcs };
                    session.sign(&mechanism, key, &[7; 32])?;
                    total.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, cryptoki::error::Error>(())
            }))
        })
        .collect::<Result<_, _>>()?;
    for thread in running {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    drop(anchor);
    context.finalize()?;
    Ok(total.load(Ordering::Relaxed) / seconds.as_secs().max(1))
}
