//! What the authority counts and measures. Labels are names from this program, never anybody's:
//! no user id, no key, no address.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use wire::problem::{Problem, ProblemCode};

use crate::authority::Authority;

/// Unfinished records that are counted at most.
const UNFINISHED_COUNTED: u32 = 1000;

/// Which text format a scraper asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    asked: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    event: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    code: &'static str,
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CosignerName {
    cosigner: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shard {
    issuer: String,
    shard: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Worker {
    worker: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenState {
    token: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenName {
    token: String,
}

type Latency = Family<What, Histogram, fn() -> Histogram>;

/// 100 µs to 13 s, each bucket twice the one before.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

/// The authority's metrics. Cheap to clone; clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    requests: Family<Asked, Counter>,
    request_seconds: Latency,
    issued: Family<Event, Counter>,
    refusals: Family<Refusal, Counter>,
    group: Histogram,
    sign_seconds: Latency,
    sign_errors: Family<What, Counter>,
    store: StoreMetrics,
    alarms: Counter,
    notices: Family<Told, Counter>,
    notices_waiting: Gauge<u64, AtomicU64>,
    cosign_rounds: Family<What, Counter>,
    cosign_round_seconds: Histogram,
    cosigner_seconds: Family<CosignerName, Histogram, fn() -> Histogram>,
    cosigner_errors: Family<CosignerName, Counter>,
    cosigner_refuses: Family<CosignerName, Gauge>,
    cosigner_up: Family<CosignerName, Gauge>,
    connections: Family<What, Gauge>,
    crl_this_update: Family<Shard, Gauge<u64, AtomicU64>>,
    crl_next_update: Family<Shard, Gauge<u64, AtomicU64>>,
    queue: Gauge,
    log_size: Gauge<u64, AtomicU64>,
    unfinished: Gauge,
    switches_waiting: Gauge,
    hsm_ready: Gauge,
    hsm_waiting: Gauge,
    hsm_in_flight: Gauge,
    worker_ready: Family<Worker, Gauge>,
    worker_starts: Family<Worker, Counter>,
    token_state: Family<TokenState, Gauge>,
    token_since: Family<TokenName, Gauge<u64, AtomicU64>>,
}

/// What is measured at the store.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    seconds: Latency,
    errors: Family<What, Counter>,
}

impl StoreMetrics {
    /// A session of the kind took so long, from taking a connection to its end.
    pub(crate) fn took(&self, kind: &'static str, time: Duration) {
        self.seconds.get_or_create(&What { what: kind }).observe(time.as_secs_f64());
    }

    /// A session of the kind failed.
    pub(crate) fn failed(&self, kind: &'static str) {
        self.errors.get_or_create(&What { what: kind }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        let store = StoreMetrics {
            seconds: Latency::new_with_constructor(latency),
            errors: Family::default(),
        };
        let mut metrics = Self {
            registry: std::sync::Arc::default(),
            requests: Family::default(),
            request_seconds: Latency::new_with_constructor(latency),
            issued: Family::default(),
            refusals: Family::default(),
            group: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            sign_seconds: Latency::new_with_constructor(latency),
            sign_errors: Family::default(),
            store,
            alarms: Counter::default(),
            notices: Family::default(),
            notices_waiting: Gauge::default(),
            cosign_rounds: Family::default(),
            cosign_round_seconds: latency(),
            cosigner_seconds: Family::new_with_constructor(latency),
            cosigner_errors: Family::default(),
            cosigner_refuses: Family::default(),
            cosigner_up: Family::default(),
            connections: Family::default(),
            crl_this_update: Family::default(),
            crl_next_update: Family::default(),
            queue: Gauge::default(),
            log_size: Gauge::default(),
            unfinished: Gauge::default(),
            switches_waiting: Gauge::default(),
            hsm_ready: Gauge::default(),
            hsm_waiting: Gauge::default(),
            hsm_in_flight: Gauge::default(),
            worker_ready: Family::default(),
            worker_starts: Family::default(),
            token_state: Family::default(),
            token_since: Family::default(),
        };
        // Whoever waits for the first that is given up wants a line before it.
        for kind in wire::body::ChannelKind::ALL {
            for outcome in ["sent", "failed", "given-up"] {
                drop(metrics.notices.get_or_create(&Told { kind: kind.name(), outcome }));
            }
        }
        metrics.registry = std::sync::Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut all = Registry::with_prefix("avouch_authority");
        let seconds = || Unit::Seconds;
        all.register(
            "requests",
            "Requests answered, by what was asked and the outcome: ok, or the problem's code",
            self.requests.clone(),
        );
        all.register_with_unit(
            "request",
            "Time from a request's arrival at the socket to its answer, by what was asked",
            seconds(),
            self.request_seconds.clone(),
        );
        all.register(
            "certificates_issued",
            "Certificates signed and stored, by the event they follow from",
            self.issued.clone(),
        );
        all.register(
            "refusals",
            "Requests refused, by the problem's code and the rule that refused",
            self.refusals.clone(),
        );
        all.register(
            "group_size",
            "Events that were recorded in one transaction",
            self.group.clone(),
        );
        all.register_with_unit(
            "hsm_sign",
            "Time that the token took to sign, waiting included, by what was signed",
            seconds(),
            self.sign_seconds.clone(),
        );
        all.register(
            "hsm_sign_errors",
            "Signatures that the token did not give, by what was to be signed",
            self.sign_errors.clone(),
        );
        all.register_with_unit(
            "store_session",
            "Time of a database session, from taking a connection to its end: a read, a snapshot \
             of several reads, or a write transaction",
            seconds(),
            self.store.seconds.clone(),
        );
        all.register(
            "store_errors",
            "Database sessions that failed, by kind",
            self.store.errors.clone(),
        );
        all.register(
            "alarms",
            "Things that cannot be explained; each needs an operator",
            self.alarms.clone(),
        );
        all.register(
            "notices",
            "Tries to tell somebody of an event, by kind of channel and outcome: sent, failed (and \
             tried again), given-up",
            self.notices.clone(),
        );
        all.register(
            "notices_waiting",
            "Notices that are not sent and not given up",
            self.notices_waiting.clone(),
        );
        all.register(
            "cosign_rounds",
            "Checkpoints that the quorum vouched for in time (met), or not (late)",
            self.cosign_rounds.clone(),
        );
        all.register_with_unit(
            "cosign_round",
            "Time until the quorum vouched for a checkpoint",
            seconds(),
            self.cosign_round_seconds.clone(),
        );
        all.register_with_unit(
            "cosigner_answer",
            "Time until a co-signer answered, by its name in the configuration",
            seconds(),
            self.cosigner_seconds.clone(),
        );
        all.register(
            "cosigner_errors",
            "Answers of co-signers that were none, or of no use",
            self.cosigner_errors.clone(),
        );
        all.register(
            "cosigner_refuses",
            "1 as long as an auditor refuses an event of the log, by its name",
            self.cosigner_refuses.clone(),
        );
        all.register(
            "cosigner_up",
            "Whether each co-signer of the installation co-signed when it was asked last",
            self.cosigner_up.clone(),
        );
        all.register("connections", "Open connections, by socket", self.connections.clone());
        all.register_with_unit(
            "crl_this_update_timestamp",
            "thisUpdate of each shard's current CRL, since 1970",
            seconds(),
            self.crl_this_update.clone(),
        );
        all.register_with_unit(
            "crl_next_update_timestamp",
            "nextUpdate of each shard's current CRL, since 1970",
            seconds(),
            self.crl_next_update.clone(),
        );
        all.register("queue_length", "Requests that wait to be decided", self.queue.clone());
        all.register("log_size", "Leaves in the log", self.log_size.clone());
        all.register(
            "unfinished_records",
            "Events recorded whose certificate is not stored; counted up to 1000",
            self.unfinished.clone(),
        );
        all.register(
            "switches_waiting",
            "Completed switches that wait for the signature of their own issuing authority",
            self.switches_waiting.clone(),
        );
        all.register("hsm_ready", "Whether a worker takes requests", self.hsm_ready.clone());
        all.register("hsm_waiting", "Signatures that wait for a worker", self.hsm_waiting.clone());
        all.register(
            "hsm_in_flight",
            "Signatures that workers are making",
            self.hsm_in_flight.clone(),
        );
        all.register(
            "hsm_worker_ready",
            "Whether each worker process takes requests",
            self.worker_ready.clone(),
        );
        all.register(
            "hsm_worker_starts",
            "Worker processes started in each place; more than one is a restart",
            self.worker_starts.clone(),
        );
        all.register(
            "hsm_token_state",
            "1 for the state that each token is in",
            self.token_state.clone(),
        );
        all.register(
            "hsm_token_state_since_seconds",
            "When each token came into its state, seconds since 1970",
            self.token_since.clone(),
        );
        all
    }

    /// What the store is measured with.
    #[must_use]
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// A request was answered.
    pub(crate) fn answered(&self, asked: &'static str, time: Duration, problem: Option<&Problem>) {
        let outcome = problem.map_or("ok", |problem| problem.code.slug());
        self.requests.get_or_create(&Asked { asked, outcome }).inc();
        self.request_seconds.get_or_create(&What { what: asked }).observe(time.as_secs_f64());
        if let Some(problem) = problem
            && is_refusal(problem.code)
        {
            let rule = problem.rule.clone().unwrap_or_else(|| "-".to_owned());
            self.refusals.get_or_create(&Refusal { code: problem.code.slug(), rule }).inc();
        }
    }

    /// A certificate was stored for the first time.
    pub(crate) fn issued(&self, event: &str) {
        self.issued.get_or_create(&Event { event: event.to_owned() }).inc();
    }

    /// So many events were recorded together.
    pub(crate) fn recorded(&self, events: usize) {
        // A group has a few thousand at most.
        self.group.observe(events as f64);
    }

    /// The token signed, or did not.
    pub(crate) fn signed(&self, what: &'static str, time: Duration, well: bool) {
        self.sign_seconds.get_or_create(&What { what }).observe(time.as_secs_f64());
        if !well {
            self.sign_errors.get_or_create(&What { what }).inc();
        }
    }

    /// Something cannot be explained.
    pub(crate) fn alarm(&self) {
        self.alarms.inc();
    }

    /// A notice was sent, or not.
    pub(crate) fn notice(&self, kind: &'static str, outcome: &'static str) {
        self.notices.get_or_create(&Told { kind, outcome }).inc();
    }

    /// So many notices wait.
    pub(crate) fn notices_waiting(&self, waiting: u64) {
        self.notices_waiting.set(waiting);
    }

    /// A round of co-signing ended.
    pub(crate) fn cosign_round(&self, outcome: &'static str, took: Option<Duration>) {
        self.cosign_rounds.get_or_create(&What { what: outcome }).inc();
        if let Some(took) = took {
            self.cosign_round_seconds.observe(took.as_secs_f64());
        }
    }

    /// A co-signer was asked.
    pub(crate) fn cosigner_asked(&self, name: &str, took: Duration, well: bool) {
        let name = CosignerName { cosigner: name.to_owned() };
        self.cosigner_seconds.get_or_create(&name).observe(took.as_secs_f64());
        let errors = self.cosigner_errors.get_or_create(&name);
        if !well {
            errors.inc();
        }
    }

    /// Whether an auditor refuses an event.
    pub(crate) fn cosigner_refuses(&self, name: &str, refuses: bool) {
        let name = CosignerName { cosigner: name.to_owned() };
        self.cosigner_refuses.get_or_create(&name).set(refuses.into());
    }

    /// The current CRL of an issuer's shard.
    pub(crate) fn crl(&self, issuer: String, shard: u32, this_update: u64, next_update: u64) {
        let shard = Shard { issuer, shard };
        self.crl_this_update.get_or_create(&shard).set(this_update);
        self.crl_next_update.get_or_create(&shard).set(next_update);
    }

    /// A connection at a socket, until it is dropped.
    pub(crate) fn connection(&self, socket: &'static str) -> Connection {
        let open = self.connections.get_or_create_owned(&What { what: socket });
        open.inc();
        Connection(open)
    }

    /// All of it as text, gauges as they are now.
    pub async fn text(&self, authority: &Authority, format: Format) -> String {
        self.look(authority).await;
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = match format {
            Format::Prometheus => prometheus_text::encode(&mut out, &self.registry),
            Format::OpenMetrics => text::encode(&mut out, &self.registry),
        };
        out
    }

    /// Sets what is looked at rather than counted.
    async fn look(&self, authority: &Authority) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.queue.set(count(authority.queue_length()));
        self.log_size.set(authority.log_size());
        match authority.store().unfinished(None, UNFINISHED_COUNTED).await {
            Ok(found) => drop(self.unfinished.set(count(found.len()))),
            Err(error) => tracing::warn!(%error, "unfinished records cannot be counted"),
        }
        for (cosigner, well) in authority.cosigning().answering() {
            self.cosigner_up.get_or_create(&CosignerName { cosigner }).set(well.into());
        }
        let status = authority.hsm().status();
        self.hsm_ready.set((status.state == pkcs11::HsmState::Ready).into());
        self.hsm_waiting.set(count(status.waiting));
        self.hsm_in_flight.set(count(status.in_flight));
        self.token_state.clear();
        for token in &status.tokens {
            let (name, state) = (token.name.clone(), crate::server::hsm_word(&token.state));
            self.token_state.get_or_create(&TokenState { token: name.clone(), state }).set(1);
            let since = token.since.duration_since(std::time::UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            self.token_since.get_or_create(&TokenName { token: name }).set(since);
        }
        if let Some(token) = authority.switch_token() {
            let (state, since, _) = token.status();
            let name = token.name().to_owned();
            self.token_state.get_or_create(&TokenState { token: name.clone(), state }).set(1);
            let since = since.duration_since(std::time::UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            self.token_since.get_or_create(&TokenName { token: name }).set(since);
            match crate::queries::switches_waiting(authority).await {
                Ok(waiting) => drop(self.switches_waiting.set(waiting.cast_signed())),
                Err(error) => tracing::warn!(%error, "waiting switches cannot be counted"),
            }
        }
        for (worker, status) in status.workers.iter().enumerate() {
            let ready = status.state == pkcs11::HsmState::Ready;
            self.worker_ready.get_or_create(&Worker { worker }).set(ready.into());
            let starts = self.worker_starts.get_or_create(&Worker { worker });
            starts.inc_by(status.started.saturating_sub(starts.get()));
        }
    }
}

/// A connection that is counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Whether a problem is an answer to what was asked, not a fault on this side.
pub(crate) fn is_refusal(code: ProblemCode) -> bool {
    code.status() < 500
}
