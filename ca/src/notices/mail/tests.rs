use wire::body::ChannelKind;
use wire::{Hash32, UserId};

use super::*;
use crate::notices::Notice;

fn mailer() -> Mailer {
    Mailer::new(MailSettings {
        server: "localhost".into(),
        port: 25,
        tls: SmtpTls::None,
        ca: None,
        credentials: Some(("avouch".into(), "secret word".to_owned().into())),
        from: "Avouch <notices@example.org>".into(),
        help: None,
    })
    .unwrap()
}

fn notice(uid: &str) -> Notice {
    let mut notice = crate::notices::tests::notice("suspend");
    notice.uid = Some(UserId::parse(uid).unwrap());
    notice
}

fn mail(uid: &str) -> String {
    let notice = notice(uid);
    let parcel = Parcel {
        id: Hash32::of(b"id"),
        kind: ChannelKind::Mail,
        address: "alice@example.org",
        notice: &notice,
        now_ms: 0,
    };
    String::from_utf8(mailer().message(&parcel).unwrap().formatted()).unwrap()
}

#[test]
fn headers_are_ours_alone() {
    let mail = mail("alice");
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Message-ID: <{}@example.org>", Hash32::of(b"id"))), "{head}");
    assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
    assert!(head.contains("Content-Type: text/plain; charset=utf-8"), "{head}");
    assert!(head.contains("To: alice@example.org"), "{head}");
    let names: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{head}");
}

/// What a user calls herself is a word, whatever it looks like.
#[test]
fn a_user_id_adds_no_header() {
    for uid in ["x\u{2028}Bcc: mallory@example.org", "Bcc: mallory@example.org", "älice"] {
        let mail = mail(uid);
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.is_ascii(), "{head}");
    }
}

#[test]
fn the_password_is_in_no_debug() {
    assert!(!format!("{:?}", mailer()).contains("secret word"));
}

#[test]
fn a_sender_that_is_none_is_refused() {
    for from in ["", "avouch", "a@b\r\nBcc: m@x"] {
        let settings = MailSettings {
            server: "localhost".into(),
            port: 25,
            tls: SmtpTls::None,
            ca: None,
            credentials: None,
            from: from.into(),
            help: None,
        };
        assert!(matches!(Mailer::new(settings), Err(MailError::From { .. })), "{from:?}");
    }
}
