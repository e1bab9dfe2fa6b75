//! The least HTTP/1.1 client that keeps a connection over TLS.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, Options};

/// Trust in the server's CA, and the agent's credentials.
pub(crate) fn tls(options: &Options) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&options.ca)? {
        roots.add(certificate?)?;
    }
    let (certificate, key) = &options.agent;
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(config.with_client_auth_cert(chain, key)?))
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(
        options: &Options,
        config: Arc<ClientConfig>,
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(options.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(options.address.ip().into());
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads the whole answer; returns its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<u16, Error> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.received.clear();
        let head = loop {
            self.more().await?;
            if let Some(at) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let (status, length) = parse(&self.received[..head])?;
        while self.received.len() < head + length {
            self.more().await?;
        }
        let whole = self.received.len() == head + length;
        let certified = self.received[head..].starts_with(b"-----BEGIN CERTIFICATE-----");
        if !whole || (status == 201) != certified {
            return Err(format!("an odd answer with status {status}").into());
        }
        Ok(status)
    }

    async fn more(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the server closed a connection".into()),
            _ => Ok(()),
        }
    }
}

/// Status and Content-Length of a header.
fn parse(head: &[u8]) -> Result<(u16, usize), Error> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim())
        .ok_or("an answer without Content-Length")?;
    Ok((status.parse()?, length.parse()?))
}
