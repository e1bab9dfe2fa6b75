//! The words: a notice as a mail, and as the body of a webhook.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::notice::Notice;

/// A mail's subject and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line without control characters.
    pub subject: String,
    /// Plain text, lines ended by LF.
    pub text: String,
}

/// The mail that tells of it. `help` is where the organisation's people turn to.
#[must_use]
pub fn letter(notice: &Notice, help: Option<&str>) -> Letter {
    let whose = notice.uid.as_ref().map_or(notice.realm.as_str(), |uid| uid.as_str());
    let Words { headline, then, against } = words(notice);
    let mut text = format!("{headline}.\n\n");
    let mut line = |label: &str, value: String| text.push_str(&format!("{label:<13}{value}\n"));
    match &notice.uid {
        Some(uid) => line("Identity", format!("{uid} in {}", notice.realm)),
        None => line("Installation", notice.realm.clone()),
    }
    line("When", time_text(notice.at_ms));
    line(
        "Event",
        format!("{}, number {}, leaf {}", notice.event, notice.sequence, notice.leaf_index),
    );
    if let Some(by) = &notice.by {
        line("By", by.clone());
    }
    if let Some(switch) = notice.switch {
        line("Switch", switch.to_string());
    }
    if let Some(key) = notice.key {
        line("New key", format!("SHA-256 {key}"));
    }
    if let Some(at) = notice.not_before_ms {
        line("Takes effect", format!("not before {}", time_text(at)));
    }
    if let Some(at) = notice.until_ms {
        line("Until", time_text(at));
    }
    if let Some(detail) = &notice.detail {
        line("Detail", detail.clone());
    }
    text.push_str(&format!("\n{then}\n"));
    if !against.is_empty() {
        text.push_str("\nIf this was not you, act now:\n\n");
        against.iter().for_each(|command| text.push_str(&format!("    {command}\n")));
    }
    if let Some(help) = help {
        text.push_str(&format!("\nQuestions, or no key at hand: {help}\n"));
    }
    text.push_str(
        "\nThis was sent by the authority itself. It asks for no password and needs no answer.\n",
    );
    let subject: String = format!("[Avouch] {headline}: {whose}");
    // User ids hold no control characters, and neither does anything else here; a header is still
    // no place to rely on that.
    let subject = subject.chars().filter(|c| !c.is_control()).collect();
    Letter { subject, text }
}

/// The body of a webhook: `type`, `timestamp` and `data`, as Standard Webhooks has it.
#[must_use]
pub fn payload(notice: &Notice) -> Value {
    let time = |ms: Option<u64>| ms.map(time_text);
    json!({
        "type": format!("identity.{}", notice.event),
        "timestamp": time_text(notice.at_ms),
        "data": {
            "realm": notice.realm,
            "uid": notice.uid,
            "event": notice.event,
            "sequence": notice.sequence,
            "leaf_index": notice.leaf_index,
            "switch": notice.switch,
            "key": notice.key,
            "not_before": time(notice.not_before_ms),
            "until": time(notice.until_ms),
            "by": notice.by,
            "detail": notice.detail,
            "announced": notice.announced,
        },
    })
}

struct Words {
    headline: String,
    then: &'static str,
    against: Vec<String>,
}

/// Headline, what follows, and what to do if it was somebody else.
fn words(notice: &Notice) -> Words {
    let uid = notice.uid.as_ref().map(|uid| quoted(uid.as_str())).unwrap_or_default();
    let suspend = format!("avouch suspend {uid} --key KEY");
    let recover =
        format!("avouch recover {uid} --recovery-key KEY --new-key FILE --new-recovery-key FILE");
    let switch = notice.switch.map(|id| format!("avouch switch status {uid} --id {id}"));
    let veto = notice.switch.map(|id| format!("avouch veto {uid} --id {id} --key KEY"));
    let commands = |list: Vec<Option<String>>| list.into_iter().flatten().collect::<Vec<_>>();
    let (headline, then, against) = match (notice.event.as_str(), notice.announced) {
        ("enrol" | "adopt", _) => (
            "Your identity was enrolled",
            "From now on you are told here of what happens to it.",
            Vec::new(),
        ),
        ("switch-request", _) => (
            "A switch to another key was asked for",
            "It takes effect by itself once officers have approved it and the wait is over. Whoever \
             holds the current key or the recovery key can stop it until then.",
            commands(vec![veto, switch]),
        ),
        ("switch-approve", _) => (
            "An officer approved the switch to another key",
            "It takes effect by itself once enough officers have approved it and the wait is over.",
            commands(vec![veto, switch]),
        ),
        ("switch-complete", _) => (
            "The switch to another key took effect",
            "The former key is not used any more. People who share with you are told, and stop once.",
            vec![recover, suspend],
        ),
        ("veto", true) => (
            "The current key objected to the switch",
            "An officer's suspension stands, so the switch is slowed and not dropped: its wait is \
             twice as long, and it needs one more approval.",
            Vec::new(),
        ),
        ("veto", false) => (
            "A pending change was vetoed",
            "It is dropped. Nothing changes.",
            commands(vec![switch]),
        ),
        ("rekey", _) => (
            "The key was changed by the key before it",
            "The new key holds from now on. The recovery key can take the identity back.",
            vec![recover, suspend],
        ),
        ("recover", _) => (
            "The identity was taken back with the recovery key",
            "A new key holds from now on. A switch that was pending is dropped.",
            vec![suspend],
        ),
        ("suspend", _) => (
            "The identity was suspended",
            "Nobody shares anything new with it until it is resumed.",
            Vec::new(),
        ),
        ("resume", _) => {
            ("The identity was resumed", "It can be shared with again.", vec![suspend])
        }
        ("revoke", _) => (
            "The certificate was revoked",
            "The identity has no key any more. A new one comes by the recovery key or by a switch.",
            vec![recover],
        ),
        ("void", _) => (
            "The enrolment was declared false",
            "People who shared with this identity are told.",
            Vec::new(),
        ),
        ("retire", true) => (
            "The end of the identity was announced",
            "It ends when the wait is over, and its id is never used again.",
            commands(vec![veto]),
        ),
        ("retire", false) => ("The identity has ended", "Its id is never used again.", Vec::new()),
        ("channel-change", _) => (
            "The addresses for notices were changed",
            "The ones before are told for one more wait.",
            vec![suspend],
        ),
        ("recovery-commitment-change", _) => (
            "The recovery key was changed",
            "If the current key did this, the recovery key before it wins until the time above.",
            vec![recover, suspend],
        ),
        ("rename", _) => {
            ("The names in the certificate were changed", "The key is the same.", vec![suspend])
        }
        ("reissue", _) => ("The certificate was issued anew", "The key is the same.", Vec::new()),
        ("test", _) => (
            "This is a test of notices",
            "Nothing has happened. Whoever looks after the installation tried whether notices arrive.",
            Vec::new(),
        ),
        (_, true) => (
            "A change of the installation was announced",
            "It takes effect when the wait is over.",
            Vec::new(),
        ),
        (_, false) => ("The installation was changed", "It holds from now on.", Vec::new()),
    };
    Words { headline: headline.to_owned(), then, against }
}

/// A word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._-+".contains(c);
    if !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn time_text(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms since 1970"))
}

#[cfg(test)]
mod tests;
