//! Times in certificates and revocation lists (RFC 5280 section 4.1.2.5).

use std::time::Duration;

use der::DateTime;

use crate::asn1;

/// The last second that GeneralizedTime can hold: 9999-12-31T23:59:59Z (RFC 5280 section 4.1.2.5).
pub(crate) const LAST: u64 = 253_402_300_799;

/// Encodes seconds since 1970: UTCTime through 2049, GeneralizedTime from 2050 on. `None` after
/// [`LAST`].
pub(crate) fn encode(unix: u64) -> Option<Vec<u8>> {
    let t = DateTime::from_unix_duration(Duration::from_secs(unix)).ok()?;
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        t.month(),
        t.day(),
        t.hour(),
        t.minutes(),
        t.seconds()
    );
    Some(if t.year() < 2050 {
        asn1::tlv(asn1::UTC_TIME, &[format!("{:02}{rest}", t.year() % 100)])
    } else {
        asn1::tlv(asn1::GENERALIZED_TIME, &[format!("{:04}{rest}", t.year())])
    })
}
