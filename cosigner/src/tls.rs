//! The server's side of TLS: one certificate, one key, no client certificates.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What a server needs for TLS.
pub type TlsConfig = Arc<rustls::ServerConfig>;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or nothing in it.
    #[error("{what}: {reason}")]
    Pem {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit, or are not accepted.
    #[error("the TLS certificate and key: {0}")]
    Refused(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with HTTP/1.1, from a certificate chain and a private key, both PEM.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(chain: &[u8], key: &[u8]) -> Result<TlsConfig, TlsError> {
    let pem = |what, reason: String| TlsError::Pem { what, reason };
    let what = "the TLS certificate chain";
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem(what, error.to_string()))?;
    if chain.is_empty() {
        return Err(pem(what, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| pem("the TLS private key", error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
