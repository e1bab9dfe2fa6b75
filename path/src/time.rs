//! Times of certificates and CRLs as whole seconds since 1970-01-01T00:00:00Z, before it negative.

use crate::asn1::{GENERALIZED_TIME, ParseError, Tlv, UTC_TIME};

/// Reads a Time (RFC 5280 4.1.2.5): both forms in UTC, with seconds and without fractions.
pub(crate) fn read(tlv: &Tlv<'_>) -> Result<i64, ParseError> {
    let bad = || tlv.error("a time that is not of the form RFC 5280 4.1.2.5 prescribes");
    let (year, rest) = match (tlv.tag, tlv.value.len()) {
        (UTC_TIME, 13) => {
            let short = number(&tlv.value[..2]).ok_or_else(bad)?;
            (if short < 50 { 2000 + short } else { 1900 + short }, &tlv.value[2..])
        }
        (GENERALIZED_TIME, 15) => (number(&tlv.value[..4]).ok_or_else(bad)?, &tlv.value[4..]),
        _ => return Err(bad()),
    };
    let mut fields = [0; 5];
    for (field, digits) in fields.iter_mut().zip(rest.chunks(2)) {
        *field = number(digits).ok_or_else(bad)?;
    }
    let [month, day, hour, minute, second] = fields;
    let valid = rest[10] == b'Z'
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return Err(bad());
    }
    Ok(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, d| d.is_ascii_digit().then(|| sum * 10 + i64::from(d - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March so that the leap day is
/// their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2026-01-31T23:59:59Z`.
pub fn rfc3339(seconds: i64) -> String {
    let (day, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::Reader;

    fn parse(tag: u8, text: &str) -> Result<i64, ParseError> {
        let mut der = vec![tag, text.len() as u8];
        der.extend_from_slice(text.as_bytes());
        read(&Reader::new(&der).next().unwrap())
    }

    #[test]
    fn known_instants() {
        for (tag, text, shown) in [
            (UTC_TIME, "700101000000Z", "1970-01-01T00:00:00Z"),
            (UTC_TIME, "500101000000Z", "1950-01-01T00:00:00Z"),
            (UTC_TIME, "491231235959Z", "2049-12-31T23:59:59Z"),
            (UTC_TIME, "000229120000Z", "2000-02-29T12:00:00Z"),
            (GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00Z"),
            (GENERALIZED_TIME, "99991231235959Z", "9999-12-31T23:59:59Z"),
            (GENERALIZED_TIME, "00010101000000Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(parse(tag, text).unwrap()), shown);
        }
        assert_eq!(parse(UTC_TIME, "700101000001Z"), Ok(1));
        assert_eq!(parse(UTC_TIME, "260101000000Z"), Ok(1_767_225_600));
    }

    #[test]
    fn other_forms_are_refused() {
        for (tag, text) in [
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "700101000000+0000"),
            (UTC_TIME, "700230000000Z"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "700101240000Z"),
            (GENERALIZED_TIME, "20260101000000.5Z"),
            (GENERALIZED_TIME, "20260101000000"),
        ] {
            assert!(parse(tag, text).is_err(), "{text}");
        }
    }
}
