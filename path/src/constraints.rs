//! Name constraints (RFC 5280 4.2.1.10).

use std::borrow::Cow;

use crate::asn1::{ParseError, SEQUENCE, Tlv, context, context_primitive};
use crate::holder::{ascii_host, is_local_part, other_name_text};
use crate::name::{GeneralName, Name, fold};
use crate::oid;

/// The subtrees a CA's certificate permits and excludes.
#[derive(Clone, Debug)]
pub(crate) struct NameConstraints {
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
    /// A minimum of 0 in so many words, which DER leaves out (X.690 11.5).
    default_written: bool,
}

/// Why a name is not allowed; both names in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// None of the permitted subtrees of its form holds it.
    NotPermitted(String),
    Excluded {
        name: String,
        subtree: String,
    },
    /// Constraints on this form exist, but it cannot be compared.
    Unprocessable(String),
    /// The comparisons allowed for one path are used up.
    TooMuchWork,
}

impl NameConstraints {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "name constraints")?.reader();
        let mut default_written = false;
        let permitted = subtrees(fields.optional(context(0))?, &mut default_written)?;
        let excluded = subtrees(fields.optional(context(1))?, &mut default_written)?;
        fields.finish()?;
        if permitted.is_empty() && excluded.is_empty() {
            // RFC 5280 4.2.1.10: one of the two must be there.
            return Err(tlv.error("name constraints without any subtree"));
        }
        Ok(Self { permitted, excluded, default_written })
    }

    /// A subtree is not of the form that RFC 5280 gives it, though it can be made sense of.
    pub(crate) fn has_malformed(&self) -> bool {
        let mut all = self.permitted.iter().chain(&self.excluded);
        self.default_written
            || all.any(|subtree| match subtree {
                GeneralName::Dns(base) => !base.is_empty() && host_name(base, false).is_none(),
                GeneralName::Email(base) | GeneralName::Uri(base) if base.is_empty() => false,
                GeneralName::Email(base) => match base.rsplit_once('@') {
                    Some((local, host)) => {
                        !is_local_part(local) || host_name(host, false).is_none()
                    }
                    None => host_name(base.strip_prefix('.').unwrap_or(base), false).is_none(),
                },
                GeneralName::Uri(base) => {
                    host_name(base.strip_prefix('.').unwrap_or(base), false).is_none()
                }
                _ => false,
            })
    }

    /// Holds one name against all subtrees of its form. `budget` counts comparisons down.
    pub(crate) fn check(&self, name: &GeneralName, budget: &mut usize) -> Result<(), Breach> {
        // Looking for the subtrees of its form costs as well, however few they are.
        let all = self.permitted.len() + self.excluded.len();
        *budget = budget.checked_sub(all / 32).ok_or(Breach::TooMuchWork)?;
        let mut of_form = 0;
        let mut inside = false;
        for subtree in self.permitted.iter().filter(|s| same_form(s, name)) {
            spend(budget, name, subtree)?;
            of_form += 1;
            inside = inside || matches(name, subtree, Side::Permitted)?;
        }
        if of_form > 0 && !inside {
            return Err(Breach::NotPermitted(name.to_string()));
        }
        for subtree in self.excluded.iter().filter(|s| same_form(s, name)) {
            spend(budget, name, subtree)?;
            if matches(name, subtree, Side::Excluded)? {
                return Err(Breach::Excluded {
                    name: name.to_string(),
                    subtree: subtree.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Holds all names of a certificate against the subtrees.
    pub(crate) fn check_all(
        &self,
        subject: &Name,
        alternative_names: &[GeneralName],
        budget: &mut usize,
    ) -> Result<(), Breach> {
        if !subject.is_empty() {
            let copied = 1 + subject.len() / 64;
            *budget = budget.checked_sub(copied).ok_or(Breach::TooMuchWork)?;
            self.check(&GeneralName::Directory(subject.clone()), budget)?;
        }
        for name in alternative_names {
            self.check(name, budget)?;
        }
        // Old certificates carry the address in the subject (RFC 5280 4.2.1.10). It is checked
        // also where there are alternative names: software that reads it there would believe it.
        for address in subject.attributes(oid::EMAIL_ADDRESS) {
            self.check(&GeneralName::Email(address.to_owned()), budget)?;
        }
        Ok(())
    }
}

/// The longest mailbox or principal that is compared; RFC 5321 4.5.3.1 has them end far below.
const MAX_MAILBOX: usize = 1024;

/// By the length of both; of directory names by that of the subtree, since a comparison ends there.
fn spend(budget: &mut usize, name: &GeneralName, subtree: &GeneralName) -> Result<(), Breach> {
    let length = match name {
        GeneralName::Directory(_) => 0,
        other => other.len(),
    };
    if matches!(name, GeneralName::Email(_) | GeneralName::Other(..)) && length > MAX_MAILBOX {
        return Err(Breach::Unprocessable(format!("{} of {length} octets", name.form())));
    }
    let units = 1 + (length + subtree.len()) / 64;
    *budget = budget.checked_sub(units).ok_or(Breach::TooMuchWork)?;
    Ok(())
}

fn subtrees(
    list: Option<Tlv<'_>>,
    default_written: &mut bool,
) -> Result<Vec<GeneralName>, ParseError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let mut reader = list.reader();
    let mut out = Vec::new();
    while !reader.is_empty() {
        let subtree = reader.expect(SEQUENCE, "general subtree")?;
        let mut fields = subtree.reader();
        let base = GeneralName::read(&fields.next()?)?;
        // RFC 5280 4.2.1.10: minimum must be zero and maximum absent.
        if let Some(minimum) = fields.optional(context_primitive(0))? {
            if minimum.unsigned()? != 0 {
                return Err(subtree.error("a subtree with a minimum other than 0"));
            }
            *default_written = true;
        }
        if fields.optional(context_primitive(1))?.is_some() {
            return Err(subtree.error("a subtree with a maximum"));
        }
        fields.finish()?;
        if let GeneralName::Ip(octets) = &base {
            check_mask(octets).map_err(|what| subtree.error(what))?;
        }
        out.push(base);
    }
    if out.is_empty() {
        return Err(list.error("an empty list of subtrees"));
    }
    Ok(out)
}

fn check_mask(octets: &[u8]) -> Result<(), &'static str> {
    let mask = match octets.len() {
        8 => u128::from(u32::from_be_bytes([octets[4], octets[5], octets[6], octets[7]])) << 96,
        32 => octets[16..].iter().fold(0, |sum, octet| (sum << 8) | u128::from(*octet)),
        _ => return Err("an address range that is neither 8 nor 32 octets"),
    };
    if mask.leading_ones() == mask.count_ones() {
        Ok(())
    } else {
        Err("an address range whose mask has gaps")
    }
}

fn same_form(subtree: &GeneralName, name: &GeneralName) -> bool {
    match (subtree, name) {
        // Constraints on addresses hold for those beyond ASCII too (RFC 9598 6).
        (GeneralName::Email(_), GeneralName::Other(kind, _)) => {
            kind.as_bytes() == oid::SMTP_UTF8_MAILBOX
        }
        (GeneralName::Other(a, _), GeneralName::Other(b, _)) => a == b,
        (GeneralName::Unsupported(a, _), GeneralName::Unsupported(b, _)) => a == b,
        _ => std::mem::discriminant(subtree) == std::mem::discriminant(name),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Permitted,
    Excluded,
}

fn matches(name: &GeneralName, subtree: &GeneralName, side: Side) -> Result<bool, Breach> {
    let unprocessable = || Breach::Unprocessable(name.to_string());
    match (name, subtree) {
        (GeneralName::Directory(name), GeneralName::Directory(base)) => Ok(name.is_within(base)),
        (GeneralName::Dns(host), GeneralName::Dns(base)) => {
            dns(host, base, side).ok_or_else(unprocessable)
        }
        (GeneralName::Email(address), GeneralName::Email(base)) => {
            email(address, base).ok_or_else(unprocessable)
        }
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => {
            uri_host(uri).and_then(|host| host_in(&host, base)).ok_or_else(unprocessable)
        }
        (GeneralName::Ip(address), GeneralName::Ip(range)) => match address.len() {
            4 | 16 => Ok(in_range(address, range)
                || (side == Side::Excluded && in_range_mapped(address, range))),
            _ => Err(unprocessable()),
        },
        (GeneralName::Other(kind, _), GeneralName::Email(base))
            if kind.as_bytes() == oid::SMTP_UTF8_MAILBOX =>
        {
            let address = other_name_text(name, oid::SMTP_UTF8_MAILBOX);
            address.and_then(|address| international(address, base)).ok_or_else(unprocessable)
        }
        (GeneralName::Other(kind, _), GeneralName::Other(..)) if kind.as_bytes() == oid::UPN => {
            let texts = (other_name_text(name, oid::UPN), other_name_text(subtree, oid::UPN));
            match texts {
                (Some(name), Some(base)) => principal(name, base).ok_or_else(unprocessable),
                _ => Err(unprocessable()),
            }
        }
        _ => Err(unprocessable()),
    }
}

/// An address beyond ASCII: constraints on whole mailboxes are in ASCII and never it, the others
/// are about its host (RFC 9598 6). One in ASCII should be an rfc822Name (its section 3), and is
/// held to the same as if it were.
fn international(address: &str, base: &str) -> Option<bool> {
    let (local, host) = address.rsplit_once('@')?;
    if !is_local_part(local) {
        return None;
    }
    email(&format!("{local}@{}", ascii_host(host)?), base)
}

/// A user principal name, by the rules for addresses; a realm may also be written `@realm`, as
/// Microsoft's documentation does. Case does not count.
fn principal(name: &str, base: &str) -> Option<bool> {
    let (name, base) = (fold(name), fold(base));
    let (user, realm) = name.rsplit_once('@')?;
    if user.is_empty() || user.contains('@') {
        return None;
    }
    let realm = ascii_host(realm)?;
    match base.rsplit_once('@') {
        Some(("", base)) => host_in(&realm, base),
        Some((base_user, base)) => Some(user == base_user && realm == ascii_host(base)?),
        None => host_in(&realm, &base),
    }
}

fn in_range(address: &[u8], range: &[u8]) -> bool {
    let (base, mask) = range.split_at(range.len() / 2);
    base.len() == address.len()
        && address.iter().zip(base).zip(mask).all(|((a, b), m)| a & m == b & m)
}

/// What stands before the IPv4 address in an IPv4-mapped one (RFC 4291 2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The same with one of the two IPv4-mapped: whoever excludes the one means the other, too; who
/// permits it need not. A range of more than the mapped addresses is none of IPv4.
fn in_range_mapped(address: &[u8], range: &[u8]) -> bool {
    if let Some(v4) = address.strip_prefix(&MAPPED) {
        return in_range(v4, range);
    }
    let (base, mask) = range.split_at(range.len() / 2);
    match (base.strip_prefix(&MAPPED), mask.strip_prefix(&[0xff; 12])) {
        (Some(base), Some(mask)) => in_range(address, &[base, mask].concat()),
        _ => false,
    }
}

/// A host name of letters, digits, hyphens and underscores; lower case. A wildcard only as its
/// whole first label.
pub(crate) fn host_name(text: &str, wildcard: bool) -> Option<String> {
    let rest = if wildcard { text.strip_prefix("*.").unwrap_or(text) } else { text };
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (text.len() <= 253 && rest.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

fn below(host: &str, domain: &str) -> bool {
    host.len() > domain.len()
        && host.ends_with(domain)
        && host.as_bytes()[host.len() - domain.len() - 1] == b'.'
}

/// Zero or more labels added to the left match (RFC 5280 4.2.1.10); with a leading dot, which the
/// RFC does not define here but issuers write, one or more.
fn dns(host: &str, base: &str, side: Side) -> Option<bool> {
    let host = host_name(host, true)?;
    if base.is_empty() {
        return Some(true);
    }
    if let Some(domain) = base.strip_prefix('.') {
        return Some(below(&host, &host_name(domain, false)?));
    }
    let base = host_name(base, false)?;
    // A wildcard stands for every name one label longer, so it touches an excluded one of those.
    let touches = match host.strip_prefix("*.") {
        Some(parent) if side == Side::Excluded => below(&base, parent),
        _ => false,
    };
    Some(host == base || below(&host, &base) || touches)
}

/// A constraint with `@` is one mailbox, with a leading dot every host below, else one host.
fn email(address: &str, base: &str) -> Option<bool> {
    // The local part may hold a quoted @: the last one separates.
    let (local, host) = address.rsplit_once('@')?;
    if !is_local_part(local) {
        return None;
    }
    match base.rsplit_once('@') {
        // Not of the RFC's forms, but written, and read by openssl, for a host.
        Some(("", base_host)) => Some(host_name(host, false)? == host_name(base_host, false)?),
        Some((base_local, _)) if !is_local_part(base_local) => None,
        Some((base_local, base_host)) => {
            let same = unquoted(local) == unquoted(base_local);
            Some(same && host_name(host, false)? == host_name(base_host, false)?)
        }
        None => host_in(&host_name(host, false)?, base),
    }
}

/// A local part without the quotes that it may be written with: it is the same mailbox
/// (RFC 5321 4.1.2).
fn unquoted(local: &str) -> Cow<'_, str> {
    let Some(inside) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(local);
    };
    let mut escaped = false;
    let shown = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    Cow::Owned(inside.chars().filter(shown).collect())
}

/// One host, or with a leading dot every host below it.
fn host_in(host: &str, base: &str) -> Option<bool> {
    if base.is_empty() {
        return Some(true);
    }
    match base.strip_prefix('.') {
        Some(domain) => Some(below(host, &host_name(domain, false)?)),
        None => Some(host == host_name(base, false)?),
    }
}

/// The host of a URI; one without an authority, or with an address for a host, has none
/// (RFC 5280 4.2.1.10: such a certificate is to be rejected).
fn uri_host(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !scheme_ok {
        return None;
    }
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return None;
    }
    host_name(host, false)
}

#[cfg(test)]
mod tests;
