//! The loop that has co-signers asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use wire::Hash32;

use super::book::{Ended, Question};
use super::client::{Asked, Fault, advance};
use super::feed::Hand;
use crate::authority::{Authority, Fatal};
use crate::store::rows::{Publication, TimedLine};

/// How long co-signatures may wait for a group that takes them along.
const STORE_WITHIN: Duration = Duration::from_millis(250);

/// How often an idle log is co-signed again where the clocks are a test's, which jump.
const REFRESH_TEST: Duration = Duration::from_secs(1);

/// What came of a question.
struct Told {
    question: Question,
    outcome: Result<TimedLine, Fault>,
    took: Duration,
}

async fn ask(authority: Arc<Authority>, question: Question, deadline: Duration) -> Told {
    let began = Instant::now();
    let asked = Asked {
        kind: question.kind,
        key: &question.key,
        known: question.known,
        offer: &question.offer,
        log_size: authority.log_size(),
        hand: Hand { log: authority.log(), token: authority.hsm() },
    };
    let outcome = advance(&question.peer, authority.store(), asked, deadline).await;
    Told { question, outcome, took: began.elapsed() }
}

/// Has co-signers asked until the authority stops.
///
/// # Errors
/// When the authority is to stop.
pub(crate) async fn run(authority: Arc<Authority>) -> Result<(), Fatal> {
    let cosigning = authority.cosigning();
    let deadline = cosigning.settings.deadline;
    let mut asked = BTreeSet::<Hash32>::new();
    let mut asks = FuturesUnordered::new();
    let mut unstored_since: Option<Instant> = None;
    loop {
        let (now, refresh) = (Instant::now(), refresh(&authority));
        let (due, wake, has_rows) = {
            let mut book = cosigning.lock();
            book.next_round(now, deadline);
            let due = book.due(now, refresh, |id| asked.contains(&id));
            (due, book.wake(now, deadline, refresh), book.has_unstored())
        };
        hold_views(&authority);
        for question in due {
            asked.insert(question.id);
            asks.push(ask(Arc::clone(&authority), question, deadline));
        }
        measure(&authority);
        if !has_rows {
            unstored_since = None;
        } else if now.duration_since(*unstored_since.get_or_insert(now)) >= STORE_WITHIN {
            store(&authority).await;
            unstored_since = None;
            continue;
        }
        let store_at = unstored_since.map(|since| since + STORE_WITHIN);
        let wake = store_at.map_or(wake, |at| at.min(wake));
        tokio::select! {
            Some(told) = asks.next(), if !asks.is_empty() => {
                asked.remove(&told.question.id);
                settle(&authority, told);
            }
            () = cosigning.changed.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => {}
            () = authority.stopping().cancelled() => {
                store(&authority).await;
                return Ok(());
            }
        }
    }
}

/// How long an idle log goes without being co-signed again: clients want a word that is fresh.
fn refresh(authority: &Authority) -> Duration {
    if authority.clock().test_file().is_some() {
        return REFRESH_TEST;
    }
    let freshness = authority.installation().rules().max_status_age / 4;
    authority.cosigning().settings.refresh.min(Duration::from_secs(freshness.max(1)))
}

/// Lets go of the map's earlier states but those that may be shown yet.
fn hold_views(authority: &Authority) {
    let (quorate, target) = {
        let book = authority.cosigning().lock();
        (book.quorate(), book.target())
    };
    if let Some(size) = quorate {
        authority.heads().shows(size);
    }
    authority
        .heads()
        .let_go(|size| Some(size) == quorate || target.is_none_or(|target| size >= target));
}

fn settle(authority: &Authority, told: Told) {
    let Told { question, outcome, took } = told;
    let (cosigning, now) = (authority.cosigning(), Instant::now());
    let name = question.peer.name();
    authority.metrics().cosigner_asked(name, took, outcome.is_ok());
    authority.metrics().cosigner_refuses(name, matches!(outcome, Err(Fault::Unlawful(_))));
    match outcome {
        Ok(word) => {
            cosigning.with(|book| book.cosigned(question.id, &question.offer, word, now));
        }
        Err(fault) => {
            if let Fault::Unlawful(_) = &fault {
                tracing::error!(cosigner = name, %fault, "not co-signed");
            } else if fault.is_alarm() {
                authority.alarm(format!("the co-signer {name} does not go on: {fault}"));
            } else {
                tracing::warn!(cosigner = name, %fault, "not co-signed");
            }
            cosigning.with(|book| book.failed(question.id, &fault, now));
        }
    }
}

/// Stores what no group has taken along.
async fn store(authority: &Authority) {
    let cosigning = authority.cosigning();
    let (vouched, (checkpoints, cosignatures)) = {
        let mut book = cosigning.lock();
        (book.quorate(), book.take_unstored())
    };
    if cosignatures.is_empty() {
        return;
    }
    let publication = Publication { checkpoints, cosignatures, vouched, ..Publication::default() };
    match authority.store().publish(&publication).await {
        Ok(_) => authority.published(),
        Err(error) => {
            tracing::warn!(%error, "co-signatures are stored later");
            cosigning.lock().put_back(publication.cosignatures);
        }
    }
}

fn measure(authority: &Authority) {
    let ended = authority.cosigning().lock().take_ended();
    for ended in ended {
        match ended {
            Ended::Met(took) => authority.metrics().cosign_round("met", Some(took)),
            Ended::Late => authority.metrics().cosign_round("late", None),
        }
    }
}
