//! Which representation to send (RFC 9110 section 12.5.1), and whether to send one at all
//! (section 13.1.2).

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName, IF_MATCH, IF_NONE_MATCH};
use wire::problem::{Problem, ProblemCode};

use crate::problem::Refusal;

pub(crate) const JSON: &str = "application/json";
/// RFC 8555 section 9.1.
pub(crate) const PEM_CHAIN: &str = "application/pem-certificate-chain";
/// RFC 2585 section 4.1.
pub(crate) const PKIX_CERT: &str = "application/pkix-cert";
/// RFC 2585 section 4.2.
pub(crate) const PKIX_CRL: &str = "application/pkix-crl";
pub(crate) const PEM_FILE: &str = "application/x-pem-file";
pub(crate) const HTML: &str = "text/html";
pub(crate) const OCTETS: &str = "application/octet-stream";
pub(crate) const TEXT: &str = "text/plain";
/// A bundle in the compact form.
pub(crate) const BUNDLE: &str = "application/vnd.avouch.bundle";

/// The offer the caller likes best; among equals the one that stands first.
///
/// # Errors
/// `not-acceptable`, when none has a quality above zero.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    offers: &[&'static str],
) -> Result<&'static str, Refusal> {
    let ranges: Vec<Range<'_>> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    // No header, or none that can be read: anything will do.
    let quality = |offer: &str| if ranges.is_empty() { 1000 } else { Range::best(&ranges, offer) };
    let mut chosen = None;
    for offer in offers {
        let quality = quality(offer);
        if quality > chosen.map_or(0, |(_, best)| best) {
            chosen = Some((*offer, quality));
        }
    }
    chosen.map(|(offer, _)| offer).ok_or_else(|| {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let offers = offers.join(", ");
        Problem::new(
            ProblemCode::NotAcceptable,
            format!("this address offers {offers}; the Accept header takes none of these"),
        )
        .expected(offers, accept)
        .into()
    })
}

/// One media range of an Accept header. Parameters but `q` are ignored.
#[derive(Debug, PartialEq, Eq)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(Some(1000), |(_, value)| quality(value.trim()))?;
        Some(Self { kind, subtype, quality })
    }

    /// The quality of `offer` by the most specific range that covers it.
    fn best(ranges: &[Self], offer: &str) -> u16 {
        let (kind, subtype) = offer.split_once('/').unwrap_or((offer, ""));
        let specificity = |range: &Self| match (range.kind, range.subtype) {
            ("*", "*") => Some(0),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(1),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        };
        ranges
            .iter()
            .filter_map(|range| Some((specificity(range)?, range.quality)))
            .max()
            .map_or(0, |(_, quality)| quality)
    }
}

/// A qvalue in thousandths (RFC 9110 section 12.4.2): `0` or `1` and up to three decimals.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Whether If-None-Match says that the caller has this entity tag (with its quotes) already.
/// Compared weakly, as section 13.1.2 demands.
pub(crate) fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    tags(headers, IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether the caller makes its request dependent on a state that it saw.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH)
}

/// Whether If-Match names this entity tag (with its quotes), or any where there is one. Compared
/// strongly, as section 13.1.1 demands.
pub(crate) fn matches(headers: &HeaderMap, etag: Option<&str>) -> bool {
    tags(headers, IF_MATCH).any(|tag| etag.is_some_and(|etag| tag == "*" || tag == etag))
}

fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests;
