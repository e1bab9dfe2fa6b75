//! `docs/performance.md`.

use std::fmt::Write as _;

use super::figures::Figures;
use super::options::{Options, Setup};
use super::witnesses::Audit;

/// The whole text.
pub(super) fn text(
    options: &Options,
    all: &[Figures],
    audit: Option<Audit>,
    disk_ms: f64,
) -> String {
    let mut out = String::new();
    let written = write(&mut out, options, all, disk_ms)
        .and_then(|()| cosigners(&mut out, all, audit))
        .map(|()| out.push_str(NOTES));
    debug_assert!(written.is_ok(), "a string takes everything");
    out
}

/// What co-signers cost, held against the same without them in the same rounds.
fn cosigners(out: &mut String, all: &[Figures], audit: Option<Audit>) -> std::fmt::Result {
    let with = all.iter().filter(|figures| figures.setup.witnessed);
    let pairs: Vec<_> = with
        .filter_map(|with| {
            let same = Setup { witnessed: false, ..with.setup };
            Some((all.iter().find(|figures| figures.setup == same)?, with))
        })
        .collect();
    if !pairs.is_empty() {
        writeln!(out, "\n## With two witnesses on the same machine\n")?;
        writeln!(
            out,
            "| issuing key, database | clients | certificates/s without | with | ratio | p50 ms \
             without | with | ratio | processor time of both witnesses, µs |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    }
    for (without, with) in pairs {
        for clients in with.clients() {
            let rates = [without, with].map(|f| f.of(clients, super::Run::rate));
            let times = [without, with].map(|f| f.of(clients, |run| run.p50));
            writeln!(
                out,
                "| {} | {clients} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} |",
                without.setup,
                rates[0],
                rates[1],
                rates[1] / rates[0].max(1e-9),
                times[0],
                times[1],
                times[1] / times[0].max(1e-9),
                with.cost(clients, "witnesses"),
            )?;
        }
    }
    if let Some(Audit { authority, auditor }) = audit {
        writeln!(
            out,
            "\n## With an auditor\n\nProcessor time of an event, an enrolment that an officer \
             signed for, asked for by 16 clients at once: authority {authority:.0} µs, auditor \
             {auditor:.0} µs, ratio {:.2}.",
            auditor / authority.max(1e-9),
        )?;
    }
    Ok(())
}

fn write(out: &mut String, options: &Options, all: &[Figures], disk_ms: f64) -> std::fmt::Result {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let command = match options.given.join(" ").as_str() {
        "" => "make bench".to_owned(),
        given => format!("make bench ARGS=\"{given}\""),
    };
    let others = all.iter().map(Figures::others).fold(0.0, f64::max);
    writeln!(
        out,
        "# Performance\n\n\
         Written by `{command}`; do not edit. What the figures are, and what limits them, is said \
         below the tables.\n\n\
         Measured on {cores} processors that the server, the token (SoftHSM, which computes on the \
         same processors), the database and the load generator shared; {} rounds of {} s. An \
         append to a file was durable after {disk_ms:.2} ms. Programs that have nothing to do with \
         it kept up to {others:.1} of the {cores} processors busy meanwhile{}.\n",
        options.rounds,
        options.seconds,
        if others > 0.2 {
            ": **the rates and times are too low and too long**; ratios and processor times hold"
        } else {
            ""
        },
    )?;
    writeln!(out, "## The token alone\n")?;
    writeln!(out, "| issuing key | threads | signatures/s | processor time, µs |")?;
    writeln!(out, "|---|---|---|---|")?;
    for figures in all {
        for (threads, rate, cost) in figures.raws() {
            writeln!(out, "| {} | {threads} | {rate:.0} | {cost:.0} |", figures.setup)?;
        }
    }
    writeln!(out, "\n## Issuance over HTTPS\n")?;
    writeln!(
        out,
        "| issuing key, database | clients | certificates/s | of the token | p50 ms | p99 ms |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for figures in all {
        for clients in figures.clients() {
            let rate = figures.of(clients, super::Run::rate);
            writeln!(
                out,
                "| {} | {clients} | {rate:.0} | {:.2} | {:.2} | {:.2} |",
                figures.setup,
                rate / figures.token().max(1.0),
                figures.of(clients, |run| run.p50),
                figures.of(clients, |run| run.p99),
            )?;
        }
    }
    writeln!(out, "\n## Processor time of a certificate, µs\n")?;
    writeln!(
        out,
        "| issuing key, database | clients | authority | worker | gateway | database | together | \
         load generator | {cores} idle processors would give |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for figures in all {
        for clients in figures.clients() {
            let cost = |part| figures.cost(clients, part);
            let parts = ["authority", "worker", "gateway", "database"].map(cost);
            let together: f64 = parts.iter().sum();
            let [authority, worker, gateway, database] = parts;
            writeln!(
                out,
                "| {} | {clients} | {authority:.0} | {worker:.0} | {gateway:.0} | {database:.0} | \
                 {together:.0} | {:.0} | {:.0}/s |",
                figures.setup,
                cost("load"),
                cores as f64 * 1e6 / (together + cost("load")).max(1.0),
            )?;
        }
    }
    let syncs: Vec<String> =
        all.iter().filter_map(|f| Some(format!("{} {:.2}", f.setup, f.syncs?))).collect();
    if !syncs.is_empty() {
        writeln!(
            out,
            "\nfdatasync and fsync calls for each certificate of one client: {}.",
            syncs.join("; ")
        )?;
    }
    let not_issued: f64 = all.iter().map(Figures::not_issued).sum();
    if not_issued > 0.0 {
        writeln!(out, "\n**{not_issued} requests were not answered with a certificate.**")?;
    }
    Ok(())
}

const NOTES: &str = "
## What is measured

- **The token alone** is a program that calls C_SignInit and C_Sign of the same token, in one
  process, and does nothing else; «of the token» is held against the faster number of threads.
- **The slow token** is SoftHSM behind a shim that adds 5 ms to each C_Sign, with 8 sessions: what a
  device is like, which computes by itself. Alone it is measured with as many sessions.
- **Issuance** is the whole walk over HTTPS with kept HTTP/1.1 connections, one request at a time on
  each: proof of possession, decision, event, evidence, log and certificate on the disk before the
  signature, the signature verified, the certificate on the disk before the answer. Each request is
  for an identity of its own with a P-256 key of its own; keys and requests were made before.
- Times are the clients'. Processor times are the system's account of each process; the load
  generator's is given apart, and takes its share of the same processors.
- «Idle processors would give» is what the processor times allow if nothing ever waits.
- What is compared runs in turn, round after round; figures are medians of the rounds.

## What limits it

By a profile (`perf record --call-graph dwarf`) of P-256 with SQLite and 64 clients, whose requests
then walk in groups of about twenty:

- a quarter is verifying: the request's proof of possession and the token's signature, 60 µs each.
  Neither is left out;
- a sixth is the token's signing. While the token is quick, one of the worker's sessions does all
  of it: two at once wait for each other in the module;
- a seventh is SQLite, half of that writing pages to its log and having them on the disk. A group's
  transaction is handed to SQLite's thread at once, which carries out a prepared statement for each
  row; two transactions a group are made durable, which is all that waits for the disk. The log is
  copied into the database beside them;
- a tenth is HTTP and TLS;
- a tenth is threads and processes waking each other, and a twentieth is memory management. A single
  client's request pays the former alone, a group shares it: that is why one client costs four times
  as much processor time.

With PostgreSQL each statement of a transaction is a round trip, and what the authority saves the
database spends. With an RSA-3072 or P-384 issuing key the token takes nearly all of both processors,
and shares them with everything else: what a certificate costs beside the signature is what is missing
to the token's own rate. A token that computes by itself does not pay for that.
";
