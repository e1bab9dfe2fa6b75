//! Searches over all identities and certificates: for the local administrator and enrolment
//! agents. Whoever else could ask would learn who is there.

use policy::Status;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wire::problem::{Problem, ProblemCode};
use wire::rest::{
    Certificate, CertificateQuery, CertificateStatus, Identity, IdentityQuery, IdentityStatus, Page,
};
use wire::socket::PageRequest;
use wire::{SerialNumber, UserId};

use crate::authority::Authority;
use crate::certificates::Desk;
use crate::queries::{self, Result, bad_cursor, limit, paged, store_error};
use crate::store::rows::{
    CertificateCursor, CertificateRow, CertificateSearch, CertificateState, FoundIdentity,
    IdentitySearch,
};

fn malformed(name: &str, expected: &str, found: &str) -> Box<Problem> {
    let problem = Problem::new(ProblemCode::MalformedRequest, format!("the value of {name}"));
    Box::new(problem.expected(expected, found))
}

/// Certificates that fit a query.
pub(crate) async fn certificates(
    authority: &Authority,
    query: &CertificateQuery,
    page: &PageRequest,
) -> Result<Page<Certificate>> {
    let limit = limit(page)?;
    let Some(search) = certificate_search(authority, query)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let after = page.cursor.as_deref().map(certificate_place).transpose()?;
    let found = authority.store().search_certificates(&search, after.as_ref(), limit + 1).await;
    let rows = found.map_err(store_error)?;
    let shown = |row: CertificateRow| queries::certificate(authority, &row);
    Ok(paged(rows, limit, certificate_cursor, shown))
}

/// What the store is asked; none if nothing can fit.
fn certificate_search(
    authority: &Authority,
    query: &CertificateQuery,
) -> Result<Option<CertificateSearch>> {
    let certificates = authority.certificates();
    let issuer = query.issuer.as_ref().map(|id| certificates.desk_with(id));
    // All of it is read: what is malformed is so whatever else is asked for.
    let search = CertificateSearch {
        user: query.user.as_deref().map(prefix).transpose()?,
        key: query.key,
        state: query.status.map(|status| match status {
            CertificateStatus::Pending => CertificateState::Pending,
            CertificateStatus::Good => CertificateState::Good,
            CertificateStatus::Revoked => CertificateState::Revoked,
        }),
        expires_after: moment("expires_after", query.expires_after.as_deref())?,
        expires_before: moment("expires_before", query.expires_before.as_deref())?,
        issuer: issuer.flatten().map(Desk::hash),
        serial: query.serial.as_deref().map(serial).transpose()?,
    };
    Ok(issuer.is_none_or(|issuer| issuer.is_some()).then_some(search))
}

/// Identities that fit a query.
pub(crate) async fn identities(
    authority: &Authority,
    query: &IdentityQuery,
    page: &PageRequest,
) -> Result<Page<Identity>> {
    let limit = limit(page)?;
    let search = IdentitySearch {
        user: query.user.as_deref().map(prefix).transpose()?,
        key: query.key,
        status: query.status.map(|status| match status {
            IdentityStatus::Active => Status::Active,
            IdentityStatus::Suspended => Status::Suspended,
            IdentityStatus::Retired => Status::Retired,
        }),
        serial: query.serial.as_deref().map(serial).transpose()?,
    };
    let after = page.cursor.as_deref().map(uid_of).transpose()?;
    let found = authority.store().search_identities(&search, after.as_ref(), limit + 1).await;
    let rows = found.map_err(store_error)?;
    let cursor = |found: &FoundIdentity| hex_of(&found.row.identity.uid);
    Ok(paged(rows, limit, cursor, |FoundIdentity { row, algorithm, serial }| {
        queries::identity_of(row, algorithm, serial)
    }))
}

/// What ids begin with: the beginning of an id, so no longer than one.
fn prefix(text: &str) -> Result<String> {
    match UserId::parse(text) {
        Ok(uid) => Ok(uid.as_str().to_owned()),
        Err(error) => Err(malformed(
            "user",
            "1 to 64 bytes that a user id can begin with",
            &error.to_string(),
        )),
    }
}

fn serial(text: &str) -> Result<SerialNumber> {
    SerialNumber::from_hex(text)
        .map_err(|_| malformed("serial", "a serial number of 32 hexadecimal digits", text))
}

/// Seconds since 1970 of a moment, rounded up: certificates end on whole seconds.
fn moment(name: &str, text: Option<&str>) -> Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || malformed(name, "a time as in RFC 3339, such as 2027-01-31T08:00:00Z", text);
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    let whole = time.unix_timestamp() + i64::from(time.nanosecond() > 0);
    // Nothing expired before 1970.
    Ok(Some(u64::try_from(whole).unwrap_or(0)))
}

fn hex_of(uid: &UserId) -> String {
    hex::encode(uid.as_str())
}

fn uid_of(hex: &str) -> Result<UserId> {
    let bytes = hex::decode(hex).map_err(|_| bad_cursor(hex))?;
    let text = String::from_utf8(bytes).map_err(|_| bad_cursor(hex))?;
    UserId::parse(&text).map_err(|_| bad_cursor(hex))
}

fn certificate_cursor(row: &CertificateRow) -> String {
    format!("{}.{}.{}", row.leaf_index, row.not_after, hex_of(&row.uid))
}

fn certificate_place(cursor: &str) -> Result<CertificateCursor> {
    let mut parts = cursor.split('.');
    let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
    let (Some(leaf_index), Some(not_after)) = (number(), number()) else {
        return Err(bad_cursor(cursor));
    };
    let (Some(uid), None) = (parts.next(), parts.next()) else { return Err(bad_cursor(cursor)) };
    Ok(CertificateCursor { leaf_index, not_after, uid: uid_of(uid)? })
}
