//! Asks one server for certificates as fast as so many clients can, each with one kept connection
//! and one request at a time, and says what came of it in one line of JSON.
//!
//! Requests, and the keys in them, are made before the clock starts; every request is for an
//! identity of its own. The processor time of watched processes is read at both ends of the
//! measured time, and this program's own is given apart from theirs.

mod client;
mod csr;
mod options;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use options::Options;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(run) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("avouch-bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the clients share.
struct Work {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Work {
    fn take(&self) -> Option<&[u8]> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        self.requests.get(self.next.fetch_add(1, Ordering::Relaxed)).map(Vec::as_slice)
    }
}

/// What one client saw in the measured time.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    others: Vec<u16>,
    /// Certificates, those of the warm-up too.
    all: usize,
}

fn run(options: Options) -> Result<String, Error> {
    let requests = csr::requests(&options)?;
    // One thread: this program shall take as little as it can from the machine under test.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(options, requests))
}

async fn load(options: Options, requests: Vec<Vec<u8>>) -> Result<String, Error> {
    let work = Arc::new(Work { requests, next: AtomicUsize::new(0), stop: AtomicBool::new(false) });
    let tls = client::tls(&options)?;
    let mut clients = Vec::with_capacity(options.clients);
    for _ in 0..options.clients {
        clients.push(Client::connect(&options, Arc::clone(&tls)).await?);
    }
    let measured = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (work, measured) = (Arc::clone(&work), Arc::clone(&measured));
            tokio::spawn(async move {
                let mut seen = Seen::default();
                while let Some(request) = work.take() {
                    // What began before the measured time is not counted, what ends after is.
                    let counts = measured.load(Ordering::Relaxed);
                    let start = Instant::now();
                    let status = client.ask(request).await?;
                    match status {
                        201 if counts => seen.latencies.push(start.elapsed()),
                        201 => {}
                        other => seen.others.push(other),
                    }
                    seen.all += usize::from(status == 201);
                }
                Ok::<_, Error>(seen)
            })
        })
        .collect();
    tokio::time::sleep(options.warm_up).await;
    let before = usage::Usage::read(&options.watch)?;
    measured.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let mut latencies = Vec::new();
    let mut others = Vec::new();
    let mut all = 0;
    tokio::time::sleep(options.seconds).await;
    work.stop.store(true, Ordering::Relaxed);
    let ran_out = work.next.load(Ordering::Relaxed) >= work.requests.len();
    for task in tasks {
        let seen = task.await??;
        latencies.extend(seen.latencies);
        others.extend(seen.others);
        all += seen.all;
    }
    let elapsed = start.elapsed();
    if ran_out {
        return Err("the prepared requests ran out; give --prepare a larger number".into());
    }
    let spent = usage::Usage::read(&options.watch)?.since(&before);
    latencies.sort_unstable();
    let seen = Seen { latencies, others, all };
    Ok(report(&seen, elapsed, &spent))
}

fn report(seen: &Seen, elapsed: Duration, spent: &usage::Usage) -> String {
    let Seen { latencies, others, all } = seen;
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        let place = (last as f64 * share) as usize;
        latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    let cpu: serde_json::Map<_, _> =
        spent.seconds.iter().map(|(name, seconds)| (name.clone(), (*seconds).into())).collect();
    serde_json::json!({
        "issued": latencies.len(),
        "seconds": elapsed.as_secs_f64(),
        "issued_with_warm_up": all,
        "not_issued": others.len(),
        "first_other_status": others.first(),
        "ms_p50": at(0.50),
        "ms_p99": at(0.99),
        "ms_max": at(1.0),
        "cpu_seconds": cpu,
    })
    .to_string()
}
