//! Whether a certificate names the person asked for.

use crate::asn1::Reader;
use crate::cert::Certificate;
use crate::name::GeneralName;
use crate::oid;

/// The tag of UTF8String.
const UTF8_STRING: u8 = 0x0c;

impl GeneralName {
    /// The user principal name, if it is one (otherName with a UTF8String).
    #[must_use]
    pub fn upn(&self) -> Option<&str> {
        other_name_text(self, oid::UPN)
    }
}

/// The text of an otherName of this type, if it is one and a UTF8String.
pub(crate) fn other_name_text<'a>(name: &'a GeneralName, kind: &[u8]) -> Option<&'a str> {
    let GeneralName::Other(own, value) = name else { return None };
    if own.as_bytes() != kind {
        return None;
    }
    let mut reader = Reader::new(value);
    let text = reader.expect(UTF8_STRING, "otherName").ok()?;
    reader.finish().ok()?;
    std::str::from_utf8(text.value).ok()
}

/// A mailbox taken apart: the local part as it is, the host in lower-case A-labels, so that both
/// spellings of an international name compare as equal (RFC 9598 section 5).
fn mailbox(address: &str) -> Option<(&str, String)> {
    let (local, host) = address.rsplit_once('@')?;
    if local.is_empty() {
        return None;
    }
    Some((local, ascii_host(host)?))
}

/// What may stand before the `@` (RFC 5321 4.1.2): a quoted string, or characters that need no
/// quotes. Another `@` is none of these: readers would part over which one counts.
pub(crate) fn is_local_part(text: &str) -> bool {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(inside) => {
            let mut escaped = false;
            let closed = inside.chars().all(|c| {
                let bare_quote = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                !bare_quote && !c.is_control()
            });
            closed && !escaped
        }
        None => {
            let special =
                |c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c);
            !text.is_empty() && !text.contains(special)
        }
    }
}

/// A host in lower-case A-labels.
pub(crate) fn ascii_host(host: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(host).ok()?;
    (!ascii.is_empty()).then_some(ascii)
}

/// The certificate names this mailbox: as rfc822Name or, beyond ASCII, as SmtpUTF8Mailbox. Local
/// parts are compared exactly (RFC 5280 7.5).
///
/// `legacy` also takes the subject's emailAddress of a certificate without any such name
/// (RFC 5280 4.1.2.6).
pub(crate) fn has_email(certificate: &Certificate, wanted: &str, legacy: bool) -> bool {
    let Some(wanted) = mailbox(wanted) else { return false };
    let mut named = false;
    for name in certificate.alternative_names() {
        let address = match name {
            GeneralName::Email(address) => Some(address.as_str()),
            other => other_name_text(other, oid::SMTP_UTF8_MAILBOX),
        };
        if let Some(address) = address {
            named = true;
            if mailbox(address).as_ref() == Some(&wanted) {
                return true;
            }
        }
    }
    legacy
        && !named
        && certificate
            .subject()
            .attributes(oid::EMAIL_ADDRESS)
            .any(|address| mailbox(address).as_ref() == Some(&wanted))
}

/// The certificate names this user principal. Case counts neither in the user's part nor in the
/// realm's, as in the directories that these names come from.
pub(crate) fn has_upn(certificate: &Certificate, wanted: &str) -> bool {
    let fold = crate::name::fold;
    !wanted.is_empty()
        && certificate
            .alternative_names()
            .iter()
            .filter_map(|name| other_name_text(name, oid::UPN))
            .any(|name| fold(name) == fold(wanted))
}
