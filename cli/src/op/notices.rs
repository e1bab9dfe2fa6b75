//! `avouch notices`, and what sends notices, as the configuration has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::notices::{
    Caller, MailSettings, Mailer, Notice, NoticeSettings, Parcel, Postman, SmtpTls, WebhookSettings,
};
use clap::{Args, Subcommand};
use wire::Hash32;
use wire::address::{Address, SALT};
use wire::body::ChannelKind;

use super::db::password;
use crate::config::{self, RawNotices};
use crate::exit::{Exit, Failure};
use crate::{files, output};

/// Looks after what people are told.
#[derive(Debug, Args)]
pub(crate) struct NoticesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends a test message as the authority would, once, and says what came of it.
    Test {
        /// A mail address, or an https:// address of a webhook.
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
        config: PathBuf,
    },
}

pub(crate) fn run(args: &NoticesArgs) -> Result<(), Failure> {
    let Command::Test { address, config } = &args.command;
    let config = config::load(config).map_err(|e| Failure::local(e.to_string()))?;
    let is_webhook = address.starts_with("https://");
    let kind = if is_webhook { ChannelKind::Webhook } else { ChannelKind::Mail };
    Address::new(kind, [0; SALT], address).map_err(|e| Failure::local(e.to_string()))?;
    let now_ms = config.clock().now_ms();
    let notice = Notice::test(now_ms);
    // Nobody takes it for one that was sent before.
    let id = Hash32::of(format!("test {now_ms} {address}").as_bytes());
    let parcel = Parcel { id, kind, address, notice: &notice, now_ms };
    let sent = crate::runtime()?.block_on(async {
        let settings = settings(&config.notices)?;
        Ok::<_, Failure>(settings.post.deliver(&parcel).await)
    })?;
    sent.map_err(|error| Failure::new(Exit::Remote, format!("it was not taken: {error}")))?;
    output::talk("It was taken.");
    Ok(())
}

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
