//! Notices by mail (RFC 5321, RFC 5322).

use std::fmt;
use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::compose::letter;
use super::post::{Parcel, PostError};

/// How long each command to the mail server may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Whether and how the way to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// STARTTLS (RFC 3207); without it nothing is sent.
    StartTls,
    /// From the first byte (RFC 8314).
    Implicit,
    /// Not at all: for a relay on this machine.
    None,
}

/// How to reach the mail server.
#[derive(Debug)]
pub struct MailSettings {
    /// Its host name, which its certificate names too.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Encryption.
    pub tls: SmtpTls,
    /// The only CAs that it may have its certificate from, PEM; the system's where there are none.
    pub ca: Option<Vec<u8>>,
    /// User and password.
    pub credentials: Option<(String, SecretString)>,
    /// The sender.
    pub from: String,
    /// Where people turn to; stands in every mail.
    pub help: Option<String>,
}

/// Why mails cannot be sent like this.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Not a mail address.
    #[error("{address:?} is not a sender: {why}")]
    From {
        /// As given.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// Certificates that cannot be used.
    #[error("TLS for mails: {0}")]
    Tls(String),
}

/// Sends mails.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    help: Option<String>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from).finish_non_exhaustive()
    }
}

/// RFC 3834 section 5: no vacation notice answers a mail that says this.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// Prepares to send; connects only when there is something to send.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(settings: MailSettings) -> Result<Self, MailError> {
        let from: Mailbox = settings
            .from
            .parse()
            .map_err(|e| MailError::From { address: settings.from.clone(), why: format!("{e}") })?;
        let tls = match settings.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(parameters(&settings)?),
            SmtpTls::Implicit => Tls::Wrapper(parameters(&settings)?),
        };
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.server.clone())
                .port(settings.port)
                .hello_name(ClientId::Domain(from.email.domain().to_owned()))
                .timeout(Some(TIMEOUT))
                .tls(tls);
        if let Some((user, password)) = settings.credentials {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: builder.build(), from, help: settings.help })
    }

    /// Sends one mail.
    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Result<(), PostError> {
        let message = self.message(parcel)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(PostError::Failed(said(&error))),
        }
    }

    fn message(&self, parcel: &Parcel<'_>) -> Result<Message, PostError> {
        let wrong = |error: &dyn fmt::Display| PostError::Failed(format!("no mail: {error}"));
        let to: lettre::Address = parcel.address.parse().map_err(|_| wrong(&"not an address"))?;
        let letter = letter(parcel.notice, self.help.as_deref());
        let at = std::time::UNIX_EPOCH + Duration::from_millis(parcel.notice.at_ms);
        MessageBuilder::new()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .date(at)
            .message_id(Some(format!("<{}@{}>", parcel.id, self.from.email.domain())))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.replace('\n', "\r\n"))
            .map_err(|error| wrong(&error))
    }
}

fn parameters(settings: &MailSettings) -> Result<TlsParameters, MailError> {
    let tls = |error: lettre::transport::smtp::Error| MailError::Tls(error.to_string());
    let mut builder = TlsParameters::builder(settings.server.clone());
    if let Some(pem) = &settings.ca {
        let ca = Certificate::from_pem(pem).map_err(tls)?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(ca);
    }
    builder.build().map_err(tls)
}

/// What went wrong, without what the server said: it may repeat the address.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let kind = if error.is_permanent() {
        "the mail server refuses it"
    } else if error.is_transient() {
        "the mail server does not take it now"
    } else if error.is_timeout() {
        "the mail server does not answer in time"
    } else if error.is_tls() {
        "no TLS with the mail server"
    } else {
        "no connection to the mail server"
    };
    error.status().map_or_else(|| kind.to_owned(), |code| format!("{kind} ({code})"))
}

#[cfg(test)]
mod tests;
