//! TLS: the server's configuration, and what a client's certificate says.

use std::sync::Arc;

use der::{Decode, Encode};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_bytes::ByteBuf;
use wire::socket::Peer;

use crate::config::ConfigError;

/// HTTP/2 as it is named in ALPN (RFC 7301, RFC 9113 section 3.1).
pub(crate) const H2: &[u8] = b"h2";

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, a client certificate only where an agents' CA is given
/// and then optional.
pub(crate) fn server_config(
    chain: &[u8],
    key: &[u8],
    agent_ca: Option<&[u8]>,
) -> Result<rustls::ServerConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates("the TLS certificate chain", chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| ConfigError::Pem {
        what: "the TLS private key",
        reason: error.to_string(),
    })?;
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match agent_ca {
        Some(pem) => builder.with_client_cert_verifier(verifier(pem, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    // One entry has a few hundred bytes; resumption spares clients that reconnect a signature.
    config.session_storage = ServerSessionMemoryCache::new(4096);
    Ok(config)
}

fn verifier(
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the agents' CA", pem)? {
        roots.add(certificate)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(builder.allow_unauthenticated().build()?)
}

/// All certificates of a PEM text, at least one.
pub(crate) fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::Pem { what, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(ConfigError::Pem { what, reason: "no certificate in it".to_owned() });
    }
    Ok(found)
}

/// What the authority is told of a client that showed a certificate: its key, and for people its
/// common name, or the whole subject where it has none.
pub(crate) fn peer(certificate: &CertificateDer<'_>) -> Result<Peer, der::Error> {
    let parsed = x509_cert::Certificate::from_der(certificate)?;
    let tbs = parsed.tbs_certificate();
    let spki = tbs.subject_public_key_info().to_der()?;
    let name = match tbs.subject().common_name() {
        Ok(Some(name)) => name.value().into_owned(),
        Ok(None) | Err(_) => tbs.subject().to_string(),
    };
    Ok(Peer { spki: ByteBuf::from(spki), name })
}
