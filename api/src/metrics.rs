//! What the gateway counts and measures. Labels are patterns and names from this program, never
//! anybody's: no path, no address.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use wire::problem::ProblemCode;

/// Which text format a scraper asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

/// The gateway's metrics. Cheap to clone; clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    problems: Family<Code, Counter>,
    connections: Family<Listener, Gauge>,
    handshakes_failed: Counter,
    working: Gauge,
    authority: Gauge,
}

/// 100 µs to 52 s, each bucket twice the one before.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            problems: Family::default(),
            connections: Family::default(),
            handshakes_failed: Counter::default(),
            working: Gauge::default(),
            authority: Gauge::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    fn register(&self) -> Registry {
        let mut all = Registry::with_prefix("avouch_gateway");
        all.register(
            "http_requests",
            "Requests answered, by method, route (its pattern; - where there is none) and status",
            self.requests.clone(),
        );
        all.register_with_unit(
            "http_request",
            "Time from a request's header to its answer, by route",
            Unit::Seconds,
            self.seconds.clone(),
        );
        all.register(
            "problems",
            "Requests answered with a problem, by its code",
            self.problems.clone(),
        );
        all.register("connections", "Open connections, by listener", self.connections.clone());
        all.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed or took too long",
            self.handshakes_failed.clone(),
        );
        all.register("requests_in_flight", "Requests being worked on", self.working.clone());
        all.register(
            "authority_connected",
            "Whether the authority has welcomed this gateway",
            self.authority.clone(),
        );
        all
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

    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &str,
        status: u16,
        problem: Option<ProblemCode>,
        time: Duration,
    ) {
        let route = route.to_owned();
        self.seconds.get_or_create(&Route { route: route.clone() }).observe(time.as_secs_f64());
        self.requests.get_or_create(&Answered { method: name(method), route, status }).inc();
        if let Some(code) = problem {
            self.problems.get_or_create(&Code { code: code.slug() }).inc();
        }
    }

    /// A connection, until it is dropped.
    pub(crate) fn connection(&self, tls: bool) -> Counted {
        let listener = if tls { "https" } else { "plain" };
        Counted::new(self.connections.get_or_create_owned(&Listener { listener }))
    }

    /// A request being worked on, until it is dropped.
    pub(crate) fn request(&self) -> Counted {
        Counted::new(self.working.clone())
    }

    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    pub(crate) fn authority_connected(&self, connected: bool) {
        self.authority.set(connected.into());
    }
}

/// Methods with a name of their own; callers may invent others.
fn name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.into_iter().find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

/// Counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
