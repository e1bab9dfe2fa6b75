//! Logs go to standard error. A thread of its own writes them, so that no request waits for it.

mod lines;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSection};
use lines::Writer;

/// Writes what is left when it is dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Logging(#[expect(dead_code, reason = "held for its drop")] Writer);

/// For commands of people: warnings, as text.
pub(crate) fn of_a_command() -> Logging {
    start(LogFormat::Text, "warn,cryptoki=off")
}

/// For processes that serve: as the configuration says.
pub(crate) fn of_a_service(log: &LogSection) -> Logging {
    start(log.format, &log.filter)
}

/// `AVOUCH_LOG` goes before the filter, `AVOUCH_LOG_FORMAT=json` before the format.
fn start(format: LogFormat, filter: &str) -> Logging {
    let filter = EnvFilter::try_from_env("AVOUCH_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let json = match std::env::var("AVOUCH_LOG_FORMAT").as_deref() {
        Ok("json") => true,
        Ok("text") => false,
        _ => format == LogFormat::Json,
    };
    let writer = Writer::to(std::io::stderr());
    let lines = writer.lines();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone());
    if json {
        builder.json().flatten_event(true).init();
    } else {
        use std::io::IsTerminal;
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
    Logging(writer)
}
