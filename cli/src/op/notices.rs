//! What sends notices, as the configuration has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::notices::{
    Caller, MailSettings, Mailer, NoticeSettings, Postman, SmtpTls, WebhookSettings,
};
use wire::body::ChannelKind;

use super::db::password;
use crate::config::{self, RawNotices};
use crate::exit::Failure;
use crate::files;

/// Prepares to send; nothing is connected to yet.
pub(super) fn settings(raw: &RawNotices) -> Result<NoticeSettings, Failure> {
    let told = |e: &dyn std::fmt::Display| Failure::local(format!("`notices`: {e}"));
    let mail = match (&raw.smtp_server, &raw.from) {
        (Some(server), Some(from)) => Some(mail(raw, server, from)?),
        _ => None,
    };
    let mail = mail.map(Mailer::new).transpose().map_err(|e| told(&e))?;
    let webhook = raw.webhook_secret_file.as_deref().map(|file| webhook(raw, file)).transpose()?;
    let webhook = webhook.map(Caller::new).transpose().map_err(|e| told(&e))?;
    let ways = [(mail.is_some(), ChannelKind::Mail), (webhook.is_some(), ChannelKind::Webhook)];
    Ok(NoticeSettings {
        ways: ways.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect(),
        post: Arc::new(Postman { mail, webhook }),
        officers: raw.officers.clone(),
        first_retry: raw.first_retry.0,
        give_up: raw.give_up.0,
    })
}

fn mail(raw: &RawNotices, server: &str, from: &str) -> Result<MailSettings, Failure> {
    let credentials = match (&raw.smtp_user, &raw.smtp_password_file) {
        (Some(user), Some(file)) => Some((user.clone(), password(file)?)),
        _ => None,
    };
    Ok(MailSettings {
        server: server.to_owned(),
        // Within bounds, as its type holds.
        port: u16::try_from(raw.smtp_port.0).unwrap_or(587),
        tls: match raw.smtp_tls {
            config::SmtpTls::StartTls => SmtpTls::StartTls,
            config::SmtpTls::Tls => SmtpTls::Implicit,
            config::SmtpTls::None => SmtpTls::None,
        },
        ca: pem(raw.smtp_ca.as_ref())?,
        credentials,
        from: from.to_owned(),
        help: raw.help.clone(),
    })
}

fn webhook(raw: &RawNotices, file: &Path) -> Result<WebhookSettings, Failure> {
    Ok(WebhookSettings {
        secret: password(file)?,
        hosts: raw.webhook_hosts.clone(),
        ca: pem(raw.webhook_ca.as_ref())?,
        private: raw.webhook_private,
    })
}

fn pem(path: Option<&PathBuf>) -> Result<Option<Vec<u8>>, Failure> {
    path.map(|path| files::read(path)).transpose()
}
