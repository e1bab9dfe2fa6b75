//! What the commands of all co-signers do: begin, show, and serve.

use std::sync::Arc;

use cosigner::{
    Desk, Folder, KeyFile, Metrics, MetricsFormat, Record, Router, Served, Server, ServerLimits,
    ServerOptions, TlsConfig, TlsHandle, server_config,
};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{metrics, tls_files};
use crate::config::CosignerConfig;
use crate::exit::Failure;
use crate::files;
use crate::output::{self, Format};

fn local(error: &dyn std::fmt::Display) -> Failure {
    Failure::local(error.to_string())
}

/// Makes a key of this name and the folder that belongs to it; prints the public key.
pub(super) fn init(config: &CosignerConfig, name: &str) -> Result<(), Failure> {
    let key = KeyFile::generate(name).map_err(|e| local(&e))?;
    if config.key.exists() {
        let at = config.key.display();
        return Err(Failure::local(format!("there is a key already: {at}")));
    }
    let vkey = key.vkey();
    key.write_new(&config.key).map_err(|e| local(&e))?;
    let key = key.into_cosigner();
    let made = Folder::create(&config.state, key.key());
    if let Err(error) = made {
        // A key that nobody has seen, without a folder, is of no use.
        let _ = std::fs::remove_file(&config.key);
        return Err(local(&error));
    }
    output::line(&vkey);
    output::talk(
        "This is the co-signer's public key, for those who are to count on it. Its private key \
         and its folder belong together, and neither is ever restored from a copy.",
    );
    Ok(())
}

/// Shows the key, and what was co-signed last of each log; also while it serves.
pub(super) fn show(config: &CosignerConfig, format: Format) -> Result<(), Failure> {
    let key = KeyFile::read(&config.key).map_err(|e| local(&e))?;
    let vkey = key.vkey();
    let logs = Folder::look(&config.state, key.into_cosigner().key()).map_err(|e| local(&e))?;
    let test_clock = config.test_clock.is_some();
    match format {
        Format::Json => {
            let logs: Vec<_> = logs.iter().map(|(origin, record)| shown(origin, record)).collect();
            output::json(&json!({ "vkey": vkey, "test_clock": test_clock, "logs": logs }));
        }
        Format::Text => {
            output::line(&vkey);
            if test_clock {
                output::line("WARNING: its clock is a test clock: its times mean nothing");
            }
            for (origin, record) in &logs {
                output::line(&format!(
                    "{origin}: {} leaves, root {}, co-signed {}",
                    record.head.size,
                    record.head.root,
                    date(record.time)
                ));
            }
        }
    }
    Ok(())
}

fn shown(origin: &str, record: &Record) -> serde_json::Value {
    json!({
        "origin": origin,
        "size": record.head.size,
        "root": record.head.root,
        "cosigned": record.time,
        "checkpoint": record.note.to_text(),
    })
}

fn date(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    let text = at.and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{seconds} seconds after 1970"))
}

/// Opens the key and the folder that a co-signer serves from.
pub(super) fn desk(
    config: &CosignerConfig,
    logs: Vec<Served>,
    metrics: Metrics,
) -> Result<Arc<Desk>, Failure> {
    let cosigner = KeyFile::read(&config.key).map_err(|e| local(&e))?.into_cosigner();
    let folder = Folder::open(&config.state, cosigner.key()).map_err(|e| local(&e))?;
    if let Some(file) = &config.test_clock {
        tracing::warn!(file = %file.display(), "the clock is a test clock: its times mean nothing");
    }
    let desk = Desk::new(cosigner, config.clock(), folder, logs, metrics).map_err(|e| local(&e))?;
    Ok(Arc::new(desk))
}

/// Serves routes until `stop`; prints `ready URL` with the submission prefix when it does.
pub(super) async fn serve(
    config: &CosignerConfig,
    desk: &Desk,
    routes: Router,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let limits = ServerLimits {
        connections: config.connections,
        request: config.request,
        ..ServerLimits::default()
    };
    let tls = config.tls.is_some().then(|| tls_config(config)).transpose()?;
    let options = ServerOptions { listen: config.listen, tls, limits };
    let counted = desk.metrics().clone();
    let server = Server::bind(options, counted.clone()).await.map_err(|e| local(&e))?;
    if let Some(address) = config.metrics {
        let text = move |open| {
            let format = if open { MetricsFormat::OpenMetrics } else { MetricsFormat::Prometheus };
            std::future::ready(counted.text(format))
        };
        tokio::spawn(metrics::bind(address).await?.serve(text, stop.clone()));
    }
    let _reloading = config.tls.is_some().then(|| reload(config.clone(), server.tls()));
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    output::line(&format!("ready {scheme}://{}{}", server.address(), config.prefix));
    server.serve(routes, stop.cancelled_owned()).await;
    Ok(())
}

/// Certificate chain and key.
type TlsFiles = (Vec<u8>, Zeroizing<Vec<u8>>);

fn tls_material(config: &CosignerConfig) -> Result<TlsFiles, Failure> {
    match &config.tls {
        Some((chain, key)) => Ok((files::read(chain)?, Zeroizing::new(files::read(key)?))),
        None => Err(Failure::local("there is no TLS certificate")),
    }
}

fn tls_config(config: &CosignerConfig) -> Result<TlsConfig, Failure> {
    let (chain, key) = tls_material(config)?;
    server_config(&chain, &key).map_err(|e| local(&e))
}

fn reload(config: CosignerConfig, tls: TlsHandle) -> tokio_util::task::AbortOnDropHandle<()> {
    tls_files::watch(
        move || tls_material(&config),
        move |(chain, key)| server_config(chain, key).map(|config| tls.replace(config)),
    )
}
