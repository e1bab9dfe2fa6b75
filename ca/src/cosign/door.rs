//! What people handed to auditors, since nobody else took it or passed it on: fetched, and put on the
//! same walk as what comes through the gateway. And before something completes, its auditors are
//! asked once more: what was receipted before the completion counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evidence::audit::{ASK, AuditorAsk, StandingHead, Wanted};
use evidence::handed::{Handed, MAX_HANDED};
use futures::future::join_all;
use wire::genesis::CosignerKind;
use wire::problem::ProblemCode;
use wire::receipt::ReceiptFile;
use wire::{Hash32, UserId};

use super::client::{Fault, Peer, call};
use crate::authority::{Authority, Fatal};
use crate::server;

/// How often auditors are asked.
const LOOK: Duration = Duration::from_secs(10);

/// The same where the clocks are a test's, which jump.
const LOOK_TEST: Duration = Duration::from_millis(500);

/// How long what was logged, or refused, is left alone: the auditor sees the log move, and drops it.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Longest answer that is read, in bytes: more stands with nobody.
const MAX_ANSWER: usize = 64 * 2 * MAX_HANDED;

/// What the auditors say of something that is about to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doors {
    /// More than half of them take nothing for a moment that stops it, and none of those has been
    /// handed anything that does.
    Closed,
    /// It may have been stopped; or too few of them answer.
    Open,
}

/// Fetches what people handed to auditors, until the authority stops.
///
/// # Errors
/// Never; the other loops can.
pub(crate) async fn run(authority: Arc<Authority>) -> Result<(), Fatal> {
    let look = if authority.clock().test_file().is_some() { LOOK_TEST } else { LOOK };
    let mut left_alone: HashMap<Hash32, Instant> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(look) => {}
            () = authority.stopping().cancelled() => return Ok(()),
        }
        let now = Instant::now();
        left_alone.retain(|_, until| now < *until);
        let mut fresh: Vec<Handed> = Vec::new();
        for (peer, answer) in ask_all(&authority, Wanted::Standing).await.1 {
            match answer {
                Ok((_, handed)) => fresh.extend(handed),
                Err(fault) => tracing::debug!(cosigner = peer, %fault, "not asked for statements"),
            }
        }
        fresh.sort_by_key(Handed::hash);
        fresh.dedup_by_key(|handed| handed.hash());
        fresh.retain(|handed| !left_alone.contains_key(&handed.hash()));
        let walks = fresh.into_iter().map(|handed| async {
            let (hash, verb) = (handed.hash(), handed.verb());
            match server::handed(&authority, handed).await {
                Ok(()) => {
                    tracing::info!(%verb, "logged what an auditor was handed");
                    Some(hash)
                }
                Err(problem) => {
                    let (code, rule) = (problem.code.slug(), problem.rule.as_deref());
                    tracing::warn!(%verb, code, rule, "what an auditor was handed");
                    let passes = matches!(
                        problem.code,
                        ProblemCode::Overloaded
                            | ProblemCode::StoreUnavailable
                            | ProblemCode::HsmUnavailable
                    );
                    (!passes).then_some(hash)
                }
            }
        });
        let walked = join_all(walks).await.into_iter().flatten();
        left_alone.extend(walked.map(|hash| (hash, Instant::now() + LEFT_ALONE)));
    }
}

/// Has the auditors say that nothing stops what an intent asked for, which is about to complete.
pub(crate) async fn close(authority: &Authority, uid: &UserId, intent: Hash32) -> Doors {
    let (auditors, answers) = ask_all(authority, Wanted::Closing(intent)).await;
    let (mut closed, mut stopped) = (0, false);
    for (peer, answer) in answers {
        match answer {
            Ok((is_closed, handed)) => {
                closed += usize::from(is_closed);
                // The log takes it first, as soon as it is fetched.
                stopped |= handed.iter().any(|handed| handed.may_stop(uid, intent));
            }
            Err(fault) => tracing::warn!(cosigner = peer, %fault, "not asked before a completion"),
        }
    }
    if !stopped && (auditors == 0 || closed * 2 > auditors) { Doors::Closed } else { Doors::Open }
}

type Standing = (bool, Vec<Handed>);

/// The installation's auditors, and what those who can be asked answer.
async fn ask_all(
    authority: &Authority,
    wanted: Wanted,
) -> (usize, Vec<(String, Result<Standing, Fault>)>) {
    let cosigning = authority.cosigning();
    let (auditors, peers) = {
        let book = cosigning.lock();
        let auditors = book.members().iter().filter(|m| m.kind == CosignerKind::Auditor);
        let peers: Vec<Peer> = auditors.clone().filter_map(|m| m.peer.clone()).collect();
        (auditors.count(), peers)
    };
    let timeout = cosigning.settings.deadline;
    let answers = join_all(peers.into_iter().map(|peer| async move {
        let answer = standing(authority, &peer, wanted, timeout).await;
        (peer.name().to_owned(), answer)
    }));
    (auditors, answers.await)
}

async fn standing(
    authority: &Authority,
    peer: &Peer,
    wanted: Wanted,
    timeout: Duration,
) -> Result<Standing, Fault> {
    let asked = AuditorAsk {
        genesis: authority.installation().genesis(),
        to: peer.key().vkey(),
        at: authority.clock().now_ms() / 1000,
        wanted,
    };
    let signed = authority.log().say(authority.hsm(), &asked.to_text()).await;
    let body = signed.map_err(Fault::Proof)?.into_bytes();
    let (status, answer) = call(peer, ASK, body, timeout, MAX_ANSWER).await?;
    let text = String::from_utf8_lossy(&answer);
    if status != 200 {
        return Err(Fault::Unreachable(format!("{status}: {:.200}", text.trim_end())));
    }
    read(&text).ok_or_else(|| Fault::Unreachable("its answer is of no use".to_owned()))
}

fn read(text: &str) -> Option<Standing> {
    let mut lines = text.lines();
    let head: StandingHead = serde_json::from_str(lines.next()?).ok()?;
    let handed: Option<Vec<Handed>> = lines
        .map(|line| Handed::parse(&ReceiptFile::parse(line.as_bytes()).ok()?.request.0).ok())
        .collect();
    handed.filter(|handed| handed.len() == head.count).map(|handed| (head.closed, handed))
}
