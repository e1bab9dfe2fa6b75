//! Trying a token with all that Avouch needs of it: what it can, how it holds keys, how quick it is.
//!
//! Keys are made under [`TRIAL_LABEL`] and removed again; no other object is touched.

use crate::client::{Hsm, TokenSetup};
use crate::config::TokenConfig;
use crate::error::HsmError;
use crate::key::{Algorithm, KeyInfo, KeySpec, TRIAL_LABEL, TokenInfo};
use std::time::{Duration, Instant};

/// What came of one thing that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As Avouch needs it.
    Good,
    /// It does without, or with less.
    Missing,
    /// Wrong: the token is not to be used.
    Bad,
}

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
    /// In words.
    pub detail: String,
}

/// What a token turned out to be.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it says about itself.
    pub token: TokenInfo,
    /// Everything that was tried, in order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Bad)
    }

    fn note(&mut self, what: impl Into<String>, verdict: Verdict, detail: impl Into<String>) {
        self.findings.push(Finding { what: what.into(), verdict, detail: detail.into() });
    }
}

const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::P256, Algorithm::P384, Algorithm::Rsa3072, Algorithm::Ed25519];

/// Tries a token; each measurement takes `seconds`.
///
/// # Errors
/// The token cannot be opened at all.
pub async fn run(setup: TokenSetup, seconds: Duration) -> Result<Report, HsmError> {
    let hsm = start(&setup, |_| ()).await?;
    let token = hsm.status().token.unwrap_or_default();
    let mut report = Report { token, findings: Vec::new() };
    let limit = report.token.max_sessions.map_or("no limit".to_owned(), |most| most.to_string());
    report.note("login", Verdict::Good, format!("with the PIN given; sessions: {limit}"));

    let mut made = Vec::new();
    for algorithm in ALGORITHMS {
        match algorithm_of(&hsm, algorithm, seconds, &mut report).await {
            Ok(Some(key)) => made.push(key),
            Ok(None) => (),
            Err(error) => report.note(algorithm.to_string(), Verdict::Bad, error.to_string()),
        }
    }
    hsm.shut_down().await;

    let outcome = with_others(&setup, &made, seconds, &mut report).await;
    if let Err(error) = outcome {
        report.note("after a restart", Verdict::Bad, error.to_string());
    }
    tidy(&setup, &made, &mut report).await?;
    Ok(report)
}

async fn start(setup: &TokenSetup, change: impl FnOnce(&mut TokenConfig)) -> Result<Hsm, HsmError> {
    let mut setup = setup.clone();
    change(&mut setup.config);
    let workers = setup.config.workers;
    let hsm = Hsm::start_all(vec![setup]).await?;
    // A measurement is of all of them. One that does not come is missed in the figure.
    let patience = Instant::now() + Duration::from_secs(30);
    while hsm.ready_workers() < workers && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(hsm)
}

async fn algorithm_of(
    hsm: &Hsm,
    algorithm: Algorithm,
    seconds: Duration,
    report: &mut Report,
) -> Result<Option<KeyInfo>, HsmError> {
    let name = algorithm.to_string();
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| HsmError::Config { detail: format!("no randomness: {error}") })?;
    let spec = KeySpec { algorithm, id, label: format!("{TRIAL_LABEL}{name}") };
    let key = match hsm.generate(spec.clone()).await {
        Ok(key) => key,
        Err(error @ (HsmError::NoMechanism { .. } | HsmError::Refused { .. })) => {
            report.note(&name, Verdict::Missing, error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for message in [&b"a"[..], &[7; 3000], b""] {
        key.verify(message, &hsm.sign(&id, message).await?)?;
    }
    let again = hsm.generate(spec).await;
    if !matches!(again, Err(HsmError::KeyExists { .. })) {
        report.note(&name, Verdict::Bad, "makes a second key of the same CKA_ID");
    }
    if hsm.find(&id).await? != Some(key.clone()) {
        report.note(&name, Verdict::Bad, "does not find again what it made");
    }
    if hsm.find(&[0xee; 16]).await?.is_some() {
        report.note(&name, Verdict::Bad, "finds a key that is not there");
    }
    let held = key.protection.hsm_held(true);
    let verdict = if held { Verdict::Good } else { Verdict::Missing };
    let what = format!("{name}: held by an HSM");
    let answer = if held { "yes" } else { "no" };
    report.note(what, verdict, format!("{answer}: {}", key.protection.why(true)));
    let rate = rate(hsm, &key, 1, seconds).await?;
    report.note(format!("{name}: speed"), Verdict::Good, format!("{rate:.0}/s for one caller"));
    Ok(Some(key))
}

/// What other sessions and processes bring, and whether they find the keys.
async fn with_others(
    setup: &TokenSetup,
    made: &[KeyInfo],
    seconds: Duration,
    report: &mut Report,
) -> Result<(), HsmError> {
    let Some(key) = made.first() else { return Ok(()) };
    let mut best = (0.0, 0, 0);
    for (workers, sessions) in [(1, 1), (1, 2), (1, 4), (1, 8), (2, 1), (2, 2), (4, 1)] {
        let hsm = start(setup, |config| {
            config.workers = workers;
            config.sessions = sessions;
        })
        .await?;
        for key in made {
            hsm.prove(&key.id, &key.spki_der).await?;
        }
        let rate = rate(&hsm, key, 64, seconds).await?;
        let starts: u64 = hsm.status().workers.iter().map(|worker| worker.started).sum();
        hsm.shut_down().await;
        let what = format!("{}: {workers} × {sessions} sessions", key.algorithm);
        let died = starts.saturating_sub(u64::try_from(workers).unwrap_or(u64::MAX));
        let (verdict, note) = match died {
            0 => (Verdict::Good, String::new()),
            n => (Verdict::Missing, format!("; {n} workers had to be replaced")),
        };
        report.note(what, verdict, format!("{rate:.0}/s for 64 callers{note}"));
        // More of them only where they bring something.
        if died == 0 && rate > best.0 * 1.05 {
            best = (rate, workers, sessions);
        }
    }
    let (rate, workers, sessions) = best;
    let detail = format!("workers = {workers}, sessions = {sessions} ({rate:.0}/s)");
    report.note("best setting", Verdict::Good, detail);
    Ok(())
}

/// Signatures a second, each of them verified. A request that found its worker gone counts as none.
async fn rate(
    hsm: &Hsm,
    key: &KeyInfo,
    callers: usize,
    seconds: Duration,
) -> Result<f64, HsmError> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (hsm, key) = (hsm.clone(), key.clone());
            tokio::spawn(async move {
                let mut count = 0u64;
                while start.elapsed() < seconds {
                    let message = format!("trial {caller} {count}").into_bytes();
                    match hsm.sign(&key.id, message.clone()).await {
                        Ok(signature) => {
                            key.verify(&message, &signature)?;
                            count += 1;
                        }
                        Err(error) if error.is_transient() => {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(count)
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        let ended = task.await.map_err(|error| HsmError::Config { detail: error.to_string() })?;
        total += ended?;
    }
    // At most some ten million, which a float holds exactly.
    Ok(total as f64 / start.elapsed().as_secs_f64())
}

async fn tidy(setup: &TokenSetup, made: &[KeyInfo], report: &mut Report) -> Result<(), HsmError> {
    let hsm = start(setup, |_| ()).await?;
    for KeyInfo { id, algorithm, .. } in made {
        let forgotten = match hsm.forget(id).await {
            Ok(()) => hsm.find(id).await.map(|found| found.is_none()),
            Err(error) => Err(error),
        };
        let what = format!("{algorithm}: removed again");
        match forgotten {
            Ok(true) => report.note(what, Verdict::Good, "yes"),
            Ok(false) => report.note(what, Verdict::Missing, "it is still there"),
            Err(error) => {
                let left = format!("key {} is left behind: {error}", hex::encode(id));
                report.note(what, Verdict::Missing, left);
            }
        }
    }
    hsm.shut_down().await;
    Ok(())
}
