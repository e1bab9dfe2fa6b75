//! What a co-signer counts. Labels are the origins of the logs that it is told to serve, and names
//! from this program.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tlog::witness::Refusal;

/// Which text format a scraper asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLog {
    origin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// A co-signer's metrics. Cheap to clone; clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    cosignatures: Family<OfLog, Counter>,
    size: Family<OfLog, Gauge>,
    time: Family<OfLog, Gauge>,
    refused: Family<Why, Counter>,
    not_remembered: Counter,
    clock_behind: Counter,
    connections: Gauge,
    entries_refused: Counter,
    alarm: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::with(|_| ())
    }
}

impl Metrics {
    /// Metrics to which somebody adds more.
    #[must_use]
    pub fn with(more: impl FnOnce(&mut Registry)) -> Self {
        let mut all = Registry::with_prefix("avouch_cosigner");
        let cosignatures = Family::default();
        let size = Family::default();
        let time = Family::default();
        let refused = Family::default();
        let not_remembered = Counter::default();
        let clock_behind = Counter::default();
        let connections = Gauge::default();
        all.register("cosignatures", "Co-signatures, by log", cosignatures.clone());
        all.register("size", "Leaves of the latest co-signed checkpoint, by log", size.clone());
        all.register(
            "time",
            "Time of the latest co-signature, in seconds since 1970, by log",
            time.clone(),
        );
        all.register("refused", "Requests that were refused, by reason", refused.clone());
        all.register(
            "not_remembered",
            "Checkpoints that were not co-signed because the disk did not take them",
            not_remembered.clone(),
        );
        all.register(
            "clock_behind",
            "Checkpoints that were not co-signed because the clock went back",
            clock_behind.clone(),
        );
        let entries_refused = Counter::default();
        let alarm = Gauge::default();
        all.register(
            "entries_refused",
            "Requests with an entry that this auditor refuses",
            entries_refused.clone(),
        );
        all.register(
            "alarm",
            "1 as long as nothing is co-signed because an entry was refused",
            alarm.clone(),
        );
        all.register("connections", "Open connections", connections.clone());
        more(&mut all);
        let registry = Arc::new(all);
        Self {
            registry,
            cosignatures,
            size,
            time,
            refused,
            not_remembered,
            clock_behind,
            connections,
            entries_refused,
            alarm,
        }
    }

    /// All of it as text.
    #[must_use]
    pub fn text(&self, format: MetricsFormat) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = match format {
            MetricsFormat::Prometheus => prometheus_text::encode(&mut out, &self.registry),
            MetricsFormat::OpenMetrics => text::encode(&mut out, &self.registry),
        };
        out
    }

    /// A request was refused.
    pub fn refused(&self, refusal: &Refusal) {
        self.refused.get_or_create(&Why { reason: reason(refusal) }).inc();
    }

    /// An auditor refused an entry.
    pub(crate) fn entry_refused(&self) {
        self.entries_refused.inc();
    }

    /// Whether an auditor's alarm stands.
    pub(crate) fn alarm(&self, stands: bool) {
        self.alarm.set(stands.into());
    }

    /// What was co-signed before the start.
    pub(crate) fn cosigned_before(&self, origin: &str, size: u64, time: u64) {
        let log = OfLog { origin: origin.to_owned() };
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.size.get_or_create(&log).set(number(size));
        self.time.get_or_create(&log).set(number(time));
    }

    pub(crate) fn cosigned(&self, origin: &str, size: u64, time: u64) {
        self.cosigned_before(origin, size, time);
        self.cosignatures.get_or_create(&OfLog { origin: origin.to_owned() }).inc();
    }

    pub(crate) fn not_remembered(&self) {
        self.not_remembered.inc();
    }

    pub(crate) fn clock_behind(&self) {
        self.clock_behind.inc();
    }

    /// A connection, until it is dropped.
    pub(crate) fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }
}

fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Request(_) => "malformed",
        Refusal::UnknownLog { .. } => "unknown_log",
        Refusal::Unsigned(_) => "unsigned",
        Refusal::Shrunk { .. } => "shrunk",
        Refusal::Elsewhere { .. } => "elsewhere",
        Refusal::Fork { .. } => "fork",
        Refusal::Inconsistent(_) => "inconsistent",
    }
}

/// Counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
