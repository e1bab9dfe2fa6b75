//! What the generator is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// Checked arguments.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// The CA of its TLS certificate, PEM.
    pub(crate) ca: PathBuf,
    /// The enrolment agent's TLS certificate and key, PEM.
    pub(crate) agent: (PathBuf, PathBuf),
    pub(crate) clients: usize,
    pub(crate) warm_up: Duration,
    pub(crate) seconds: Duration,
    /// Requests made before the clock starts.
    pub(crate) prepare: usize,
    /// Beginning of every user id: ids that were used before would be refused.
    pub(crate) prefix: String,
    /// Names and process ids whose processor time is reported.
    pub(crate) watch: Vec<(String, u32)>,
}

const USAGE: &str = "--address ADDR:PORT --ca FILE --agent CERTIFICATE KEY --prefix TEXT \
[--clients N] [--seconds S] [--warm-up S] [--prepare N] [--watch NAME=PID]...";

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let (mut address, mut ca, mut agent, mut prefix) = (None, None, None, None);
        let (mut clients, mut seconds, mut warm_up, mut prepare) = (1, 2.0, 0.5, None);
        let mut watch = Vec::new();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--address" => address = Some(value()?.parse()?),
                "--ca" => ca = Some(value()?.into()),
                "--agent" => agent = Some((value()?.into(), value()?.into())),
                "--prefix" => prefix = Some(value()?),
                "--clients" => clients = value()?.parse()?,
                "--seconds" => seconds = value()?.parse()?,
                "--warm-up" => warm_up = value()?.parse()?,
                "--prepare" => prepare = Some(value()?.parse()?),
                "--watch" => {
                    let text = value()?;
                    let (name, pid) = text.split_once('=').ok_or("--watch NAME=PID")?;
                    watch.push((name.to_owned(), pid.parse()?));
                }
                _ => return Err(format!("{name:?} is not known; {USAGE}").into()),
            }
        }
        let (Some(address), Some(ca), Some(agent), Some(prefix)) = (address, ca, agent, prefix)
        else {
            return Err(USAGE.into());
        };
        // One client cannot be faster than the disk; many may reach the processors' limit.
        let each_second = if clients == 1 { 1500.0 } else { 8000.0 };
        Ok(Self {
            address,
            ca,
            agent,
            clients,
            warm_up: Duration::try_from_secs_f64(warm_up)?,
            seconds: Duration::try_from_secs_f64(seconds)?,
            prepare: prepare.unwrap_or(((seconds + warm_up) * each_second) as usize + clients),
            prefix,
            watch,
        })
    }
}
