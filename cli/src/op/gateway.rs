//! `avouch gateway`: HTTPS in front of the authority's socket. No PIN, no module, no database.

use std::path::PathBuf;

use api::{Gateway, GatewayConfig, GatewayOptions, MetricsFormat, Rate, TlsHandle};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::{metrics, supervise};
use crate::config::{self, Config};
use crate::exit::{Exit, Failure};
use crate::files;

/// How often the files of TLS are looked at.
const LOOK: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs a gateway alone.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: &GatewayArgs) -> Result<(), Failure> {
    supervise::end_with_parent();
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let _logging = crate::log::of_a_service(&config);
    let options = options(&config)?;
    let checked = GatewayConfig::check(options).map_err(|e| Failure::local(e.to_string()))?;
    crate::runtime()?.block_on(async {
        let stop = supervise::stop_signal();
        let gateway = Gateway::bind(checked).await.map_err(|e| Failure::local(e.to_string()))?;
        if let Some(address) = config.metrics.gateway {
            let counted = gateway.metrics();
            let text = move |open| {
                let format =
                    if open { MetricsFormat::OpenMetrics } else { MetricsFormat::Prometheus };
                std::future::ready(counted.text(format))
            };
            tokio::spawn(metrics::bind(address).await?.serve(text, stop.clone()));
        }
        let reloading = tokio::spawn(reload_tls(gateway.tls(), config.clone()));
        let _ends = AbortOnDropHandle::new(reloading);
        tokio::select! {
            () = gateway.connected() => {}
            () = stop.cancelled() => return Ok(()),
        }
        crate::output::line("ready");
        gateway
            .serve(stop.cancelled_owned())
            .await
            .map_err(|e| Failure::new(Exit::Remote, format!("the gateway stops: {e}")))
    })
}

fn rate(per_second: usize, burst: usize) -> Rate {
    // The configuration allows less than 2^32.
    let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
    Rate { per_second: number(per_second), burst: number(burst) }
}

/// Takes a new TLS certificate and key from the same files, on SIGHUP, and when they have changed.
async fn reload_tls(gateway: TlsHandle, config: Config) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut ticks = tokio::time::interval(LOOK);
    let mut seen = tls_files(&config);
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            _ = asked => true,
            _ = ticks.tick() => false,
        };
        let Ok(files) = tls_files(&config) else {
            tracing::warn!("the TLS certificate or key cannot be read; the present one stays");
            continue;
        };
        if !asked && seen.as_ref().is_ok_and(|seen| *seen == files) {
            continue;
        }
        match gateway.replace(&files.0, &files.1, files.2.as_deref()) {
            Ok(()) => tracing::info!("took the TLS certificate from its file anew"),
            // Certificate and key are two files: in between they do not fit.
            Err(error) => tracing::warn!(%error, "the present TLS certificate stays"),
        }
        seen = Ok(files);
    }
}

/// Certificate chain, key, and CA of agents.
type TlsFiles = (Vec<u8>, Zeroizing<Vec<u8>>, Option<Vec<u8>>);

fn tls_files(config: &Config) -> Result<TlsFiles, Failure> {
    let section = &config.gateway;
    Ok((
        files::read(&section.tls_certificate)?,
        Zeroizing::new(files::read(&section.tls_key)?),
        section.agent_ca.as_deref().map(files::read).transpose()?,
    ))
}

/// What the gateway is told.
pub(super) fn options(config: &Config) -> Result<GatewayOptions, Failure> {
    let section = &config.gateway;
    let mut options = GatewayOptions::new(
        section.listen,
        config.gateway_socket(),
        files::read(&section.tls_certificate)?,
        files::read(&section.tls_key)?,
    );
    options.agent_ca = section.agent_ca.as_deref().map(files::read).transpose()?;
    options.public_url = Some(section.public_url.clone());
    options.plain_listen = section.plain_listen;
    options.limits.body = config.limits.body.0;
    if config.test_clock.is_some() {
        // By a clock that somebody moves, nothing that is kept is known to be fresh.
        options.limits.cache_age = std::time::Duration::from_millis(1);
    }
    options.limits.connections = config.limits.connections.0;
    options.limits.requests = config.limits.requests.0;
    options.limits.request = config.limits.request_timeout.0;
    options.limits.anonymous_rate =
        rate(config.limits.anonymous_rate.0, config.limits.anonymous_burst.0);
    options.limits.agent_rate = rate(config.limits.agent_rate.0, config.limits.agent_burst.0);
    Ok(options)
}
