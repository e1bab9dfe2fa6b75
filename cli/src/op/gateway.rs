//! `avouch gateway`: HTTPS in front of the authority's socket. No PIN, no module, no database.

use std::path::PathBuf;

use api::{Gateway, GatewayConfig, GatewayOptions, MetricsFormat, Rate};
use clap::Args;
use zeroize::Zeroizing;

use super::{metrics, supervise, tls_files};
use crate::config::{self, FrontConfig};
use crate::exit::{Exit, Failure};
use crate::files;

/// Runs a gateway alone.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The configuration, of which `[gateway]` must be there and that of the authority need not; `-`
    /// reads it from standard input, where `avouch serve` writes the gateway's part.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: &GatewayArgs) -> Result<(), Failure> {
    supervise::end_with_parent();
    let config = if args.config.as_os_str() == "-" {
        let text = std::io::read_to_string(std::io::stdin());
        let text = text.map_err(|e| Failure::local(format!("the configuration: {e}")))?;
        config::front_handed_over(&text)
    } else {
        config::front(&args.config)
    };
    let config = config.map_err(|e| Failure::local(e.to_string()))?;
    let _logging = crate::log::of_a_service(&config.log);
    let options = options(&config)?;
    let checked = GatewayConfig::check(options).map_err(|e| Failure::local(e.to_string()))?;
    crate::half_runtime()?.block_on(async {
        let stop = supervise::stop_signal();
        let gateway = Gateway::bind(checked).await.map_err(|e| Failure::local(e.to_string()))?;
        if let Some(address) = config.metrics {
            let counted = gateway.metrics();
            let text = move |open| {
                let format =
                    if open { MetricsFormat::OpenMetrics } else { MetricsFormat::Prometheus };
                std::future::ready(counted.text(format))
            };
            tokio::spawn(metrics::bind(address).await?.serve(text, stop.clone()));
        }
        let (tls, files) = (gateway.tls(), config.clone());
        let _reloading = tls_files::watch(
            move || tls_files(&files),
            move |(chain, key, agent_ca)| tls.replace(chain, key, agent_ca.as_deref()),
        );
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

/// Certificate chain, key, and CA of agents.
type TlsFiles = (Vec<u8>, Zeroizing<Vec<u8>>, Option<Vec<u8>>);

fn tls_files(config: &FrontConfig) -> Result<TlsFiles, Failure> {
    let section = &config.gateway;
    Ok((
        files::read(&section.tls_certificate)?,
        Zeroizing::new(files::read(&section.tls_key)?),
        section.agent_ca.as_deref().map(files::read).transpose()?,
    ))
}

/// What the gateway is told.
pub(super) fn options(config: &FrontConfig) -> Result<GatewayOptions, Failure> {
    let section = &config.gateway;
    let mut options = GatewayOptions::new(
        section.listen,
        config.socket(),
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
