//! Logs go to standard error. A thread of its own writes them, so that no request waits for it.

use std::io::BufWriter;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSection};

/// Writes what is left when it is dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Logging(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

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
    // Lines that come together go out in one write; none is thrown away.
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .lossy(false)
        .thread_name("log")
        .finish(BufWriter::new(std::io::stderr()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        use std::io::IsTerminal;
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
    Logging(guard)
}
