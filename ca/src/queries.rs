//! Answers to questions, from the store only.

use policy::Status;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wire::event::{Certified, Event, Revoked};
use wire::genesis::{CosignerKind, KeyPurpose};
use wire::problem::{Problem, ProblemCode};
use wire::rest::{
    Certificate, CertificateStatus, Health, HealthPart, HistoryEntry, Identity, IdentityKey,
    IdentityStatus, Installation, Issuer, Outcome, Page,
};
use wire::socket::PageRequest;
use wire::{Encoded, SerialNumber, UserId};

use crate::authority::Authority;
use crate::certificates::Desk;
use crate::store::rows::{CertificateRow, HistoryCursor, HistoryRow, IdentityRow, Refused};
use crate::store::{StoreError, Wanted};

pub(crate) type Result<T> = std::result::Result<T, Box<Problem>>;

/// Of so many unfinished records it is looked who is to sign them, at most.
const WAITING_COUNTED: u32 = 1000;

/// Greatest number of entries on a page.
const MAX_PAGE: u32 = 1000;

pub(crate) fn store_error(error: StoreError) -> Box<Problem> {
    tracing::error!(%error, "a question was not answered");
    let detail = "the database does not answer";
    Box::new(Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2))
}

fn unknown(code: ProblemCode, what: String, kind: &str, found: &str) -> Box<Problem> {
    Box::new(Problem::new(code, what).expected(kind, found))
}

/// There is no such identity.
pub(crate) fn no_identity(uid: &UserId) -> Box<Problem> {
    let (uid, what) = (uid.as_str(), format!("there is no identity {:?}", uid.as_str()));
    unknown(ProblemCode::UnknownIdentity, what, "an enrolled identity's id", uid)
}

/// The installation's step of the ladder (DESIGN section 1).
pub(crate) fn ladder(authority: &Authority) -> &'static str {
    let installation = authority.installation();
    let held = policy::hsm_held(authority.certificates().protection(), installation.rules());
    if held.is_err() {
        return "software-key";
    }
    let of_kind = |kind| installation.cosigners().iter().filter(|c| c.kind == kind).count();
    match (of_kind(CosignerKind::Auditor), of_kind(CosignerKind::Witness)) {
        (0, 0) => "hsm",
        (0, _) => "hsm-and-witnesses",
        // Some of them may be lost where there are three of a kind.
        (auditors, witnesses) if auditors >= 3 || witnesses >= 3 => "hsm-and-many",
        _ => "hsm-and-auditor",
    }
}

/// RFC 3339 in UTC of milliseconds since 1970.
pub(crate) fn rfc3339(ms: u64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms since 1970"))
}

/// An identity.
pub(crate) async fn identity(authority: &Authority, uid: &UserId) -> Result<Identity> {
    let row = authority.store().identity(uid).await.map_err(store_error)?;
    let row = row.ok_or_else(|| no_identity(uid))?;
    let Some(current) = row.identity.key else { return Ok(identity_of(row, None, None)) };
    let wanted = Wanted { keys: vec![current.spki], ..Wanted::default() };
    let books = authority.store().books(&wanted).await.map_err(store_error)?;
    let algorithm = books.keys.get(&current.spki).map(|key| key.algorithm.clone());
    let latest = authority.store().certificates_of(uid, None, 1).await.map_err(store_error)?;
    Ok(identity_of(row, algorithm, latest.first().map(|row| row.serial)))
}

/// An identity as the API shows it; algorithm and serial number belong to its current key.
pub(crate) fn identity_of(
    row: IdentityRow,
    algorithm: Option<String>,
    serial: Option<SerialNumber>,
) -> Identity {
    let identity = row.identity;
    let key = identity.key.map(|current| IdentityKey {
        spki_sha256: current.spki,
        number: current.number,
        algorithm: algorithm.unwrap_or_default(),
        possession_proven: current.possession_proven,
    });
    Identity {
        uid: identity.uid,
        status: match identity.status {
            Status::Active => IdentityStatus::Active,
            Status::Suspended => IdentityStatus::Suspended,
            Status::Retired => IdentityStatus::Retired,
        },
        sequence: identity.sequence,
        head: identity.head,
        serial: serial.filter(|_| key.is_some()).map(|serial| serial.to_string()),
        key,
        created: rfc3339(row.created_ms),
        updated: rfc3339(row.updated_ms),
    }
}

/// A certificate by its serial number.
pub(crate) async fn certificate_row(authority: &Authority, serial: &str) -> Result<CertificateRow> {
    let none = || {
        let what = format!("no certificate {serial:?}");
        unknown(ProblemCode::UnknownCertificate, what, "an issued certificate's number", serial)
    };
    let number = SerialNumber::from_hex(serial).map_err(|_| none())?;
    let row = authority.store().certificate(number.leaf_index()).await.map_err(store_error)?;
    row.filter(|row| row.serial == number).ok_or_else(none)
}

/// A certificate as the API shows it.
pub(crate) fn certificate(authority: &Authority, row: &CertificateRow) -> Certificate {
    let status = match (&row.certificate, row.revoked) {
        (_, Some(_)) => CertificateStatus::Revoked,
        (None, None) => CertificateStatus::Pending,
        (Some(_), None) => CertificateStatus::Good,
    };
    let certificates = authority.certificates();
    let by = certificates.desk_of(row.issuer);
    let desk = by.unwrap_or_else(|| certificates.desk(KeyPurpose::Issuing));
    Certificate {
        serial: row.serial.to_string(),
        uid: row.uid.clone(),
        event: row.kind.name().to_owned(),
        sequence: row.sequence,
        leaf_index: row.leaf_index,
        status,
        revocation_reason: row.revoked.map(|(_, reason)| reason.name().to_owned()),
        revoked_at: row.revoked.map(|(ms, _)| rfc3339(ms)),
        spki_sha256: row.key,
        not_before: rfc3339(row.not_before * 1000),
        not_after: rfc3339(row.not_after * 1000),
        issuer: desk.id(),
        certificate: row.certificate.as_deref().map(|der| x509::pem::encode(PEM_LABEL, der)),
        chain: vec![desk.pem().to_owned()],
        evidence: row.vouched.split_whitespace().map(str::to_owned).collect(),
    }
}

const PEM_LABEL: &str = "CERTIFICATE";

pub(crate) fn limit(page: &PageRequest) -> Result<u32> {
    if (1..=MAX_PAGE).contains(&page.limit) {
        return Ok(page.limit);
    }
    let detail = format!("limit is {}; 1 to {MAX_PAGE} are allowed", page.limit);
    let problem = Problem::new(ProblemCode::MalformedRequest, detail);
    Err(Box::new(problem.expected(format!("1 to {MAX_PAGE}"), page.limit.to_string())))
}

pub(crate) fn bad_cursor(cursor: &str) -> Box<Problem> {
    let detail = format!("{cursor:?} is not a cursor of this list");
    Box::new(
        Problem::new(ProblemCode::MalformedRequest, detail)
            .expected("`next` of the page before", cursor)
            .remedy("begin without a cursor, then take `next` from each page"),
    )
}

/// Certificates of an identity, newest first.
pub(crate) async fn certificates(
    authority: &Authority,
    uid: &UserId,
    page: &PageRequest,
) -> Result<Page<Certificate>> {
    let limit = limit(page)?;
    let before = match &page.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse::<u64>().map_err(|_| bad_cursor(cursor))?),
    };
    known(authority, uid).await?;
    let rows =
        authority.store().certificates_of(uid, before, limit + 1).await.map_err(store_error)?;
    Ok(paged(rows, limit, |row| row.leaf_index.to_string(), |row| certificate(authority, &row)))
}

async fn known(authority: &Authority, uid: &UserId) -> Result<()> {
    let row = authority.store().identity(uid).await.map_err(store_error)?;
    row.map(|_| ()).ok_or_else(|| no_identity(uid))
}

/// A page of at most `limit` of the rows, of which one more than that was read.
pub(crate) fn paged<R, T>(
    mut rows: Vec<R>,
    limit: u32,
    cursor: impl Fn(&R) -> String,
    shown: impl Fn(R) -> T,
) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(cursor);
    Page { items: rows.into_iter().map(shown).collect(), next }
}

/// Accepted events and refusals of an identity, newest first.
pub(crate) async fn history(
    authority: &Authority,
    uid: &UserId,
    page: &PageRequest,
) -> Result<Page<HistoryEntry>> {
    let limit = limit(page)?;
    let before = match &page.cursor {
        None => None,
        Some(cursor) => Some(parse_cursor(cursor).ok_or_else(|| bad_cursor(cursor))?),
    };
    known(authority, uid).await?;
    let rows = authority.store().history(uid, before, limit + 1).await.map_err(store_error)?;
    let shown = |(cursor, _): &(HistoryCursor, HistoryRow)| {
        format!("{}.{}.{}", cursor.at_ms, cursor.source, cursor.number)
    };
    Ok(paged(rows, limit, shown, |(_, line)| match line {
        HistoryRow::Accepted { leaf_index, event } => accepted(leaf_index, &event),
        HistoryRow::Refused(refused) => refusal(refused),
    }))
}

fn parse_cursor(text: &str) -> Option<HistoryCursor> {
    let mut parts = text.split('.');
    let cursor = HistoryCursor {
        at_ms: parts.next()?.parse().ok()?,
        source: parts.next()?.parse().ok()?,
        number: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(cursor)
}

fn accepted(leaf_index: u64, event: &Event) -> HistoryEntry {
    let body = event.body.as_bytes();
    let certified = Certified::from_canonical(body).ok();
    let revoked = Revoked::from_canonical(body).ok();
    let serial = certified.as_ref().map(|c| &c.serial).or(revoked.as_ref().map(|r| &r.serial));
    HistoryEntry {
        at: rfc3339(event.time_ms),
        outcome: Outcome::Accepted,
        event: event.kind.name().to_owned(),
        sequence: Some(event.sequence),
        leaf_index: Some(leaf_index),
        serial: serial.map(|serial| hex::encode(serial.as_bytes())),
        spki_sha256: certified.map(|certified| certified.spki),
        evidence: event.evidence.iter().map(|e| e.kind.name().to_owned()).collect(),
        problem: None,
        detail: revoked.map(|revoked| revoked.reason.name().to_owned()),
    }
}

fn refusal(refused: Refused) -> HistoryEntry {
    HistoryEntry {
        at: rfc3339(refused.at_ms),
        outcome: Outcome::Refused,
        event: refused.verb,
        sequence: None,
        leaf_index: None,
        serial: None,
        spki_sha256: refused.key,
        evidence: refused.vouched.split_whitespace().map(str::to_owned).collect(),
        problem: Some(refused.code),
        detail: Some(refused.detail),
    }
}

/// What the installation is.
pub(crate) fn installation(authority: &Authority) -> Installation {
    let installation = authority.installation();
    let rules = installation.rules();
    let certificates = authority.certificates();
    let protection = certificates.protection();
    let held = policy::hsm_held(protection, rules);
    let mut warnings = Vec::new();
    if protection.software_token {
        warnings.push(format!(
            "the issuing key is in a software token ({} {}): whoever copies its files has the key",
            protection.manufacturer, protection.model
        ));
    }
    if rules.allow_software_token {
        warnings.push("allow_software_token is on: a software token counts as an HSM".to_owned());
    }
    if rules.allow_transport_evidence {
        warnings.push(
            "allow_transport_evidence is on: an agent's TLS certificate alone may enrol".to_owned(),
        );
    }
    warnings.extend(authority.notices().warnings());
    warnings.extend(authority.cosigning().warnings());
    if let Some(file) = authority.clock().test_file() {
        warnings.push(format!(
            "test_clock is on: waits are over when {} says so, and mean nothing",
            file.display()
        ));
    }
    if let Err(reason) = &held {
        warnings.push(format!("no identity can move to a new key: {reason}"));
    }
    if let Some(token) = authority.switch_token() {
        let desk = certificates.desk(KeyPurpose::SwitchIssuing);
        if let Err(reason) = policy::hsm_held(&desk.key().protection, rules) {
            warnings.push(format!("no identity can be switched: {reason}"));
        }
        if token.is_locked() && token.crls_behind() {
            warnings.push(format!(
                "certificates of {} are revoked that its CRL does not have before operators open \
                 {:?}",
                desk.subject(),
                token.name()
            ));
        }
    }
    Installation {
        realm: installation.realm().clone(),
        genesis: installation.genesis(),
        policy: installation.rules_hash(),
        ladder: ladder(authority).to_owned(),
        warnings,
        max_status_age: rules.max_status_age,
        root: installation
            .keys(KeyPurpose::Root)
            .map(|key| x509::pem::encode(PEM_LABEL, key.certificate.as_bytes()))
            .collect(),
        issuers: certificates.desks().map(|desk| issuer(authority, desk)).collect(),
    }
}

/// An issuing authority as the API shows it.
fn issuer(authority: &Authority, desk: &Desk) -> Issuer {
    let (installation, protection) = (authority.installation(), &desk.key().protection);
    let held = match policy::hsm_held(protection, installation.rules()) {
        Ok(()) if protection.software_token => {
            "counts as HSM-held only because allow_software_token is on".to_owned()
        }
        Ok(()) => "HSM-held".to_owned(),
        Err(reason) => format!("not HSM-held: {reason}"),
    };
    Issuer {
        id: desk.id(),
        subject: desk.subject().to_owned(),
        algorithm: desk.algorithm(),
        certificate: desk.pem().to_owned(),
        crl_shards: authority.certificates().shards(authority.log_size()),
        protection: match desk.purpose() {
            KeyPurpose::SwitchIssuing => format!("signs switches and nothing else; {held}"),
            _ if authority.switch_token().is_some() => {
                format!("signs everything but switches; {held}")
            }
            _ => held,
        },
    }
}

/// A CRL with its nextUpdate.
pub(crate) async fn crl(authority: &Authority, issuer: &str, shard: u32) -> Result<(Vec<u8>, u64)> {
    let certificates = authority.certificates();
    let desk = certificates.desk_with(issuer).ok_or_else(|| {
        let what = format!("there is no issuer {issuer:?}");
        unknown(ProblemCode::UnknownIssuer, what, "an issuer's id", issuer)
    })?;
    let (own, shards) = (desk.hash(), certificates.shards(authority.log_size()));
    if shard >= shards {
        let detail = format!("issuer {issuer} has no CRL shard {shard}");
        let (kind, found) = (format!("a number below {shards}"), shard.to_string());
        return Err(unknown(ProblemCode::UnknownCrl, detail, &kind, &found));
    }
    let row = authority.store().crl(own, shard).await.map_err(store_error)?;
    let row = row.ok_or_else(|| {
        let locked = authority.is_locked(desk.purpose());
        let detail = if locked {
            "the first CRL is signed when operators open the issuer's token, before its first \
             certificate is there"
        } else {
            "the first CRL is not signed yet"
        };
        Box::new(Problem::new(ProblemCode::HsmUnavailable, detail).retry_after(2))
    })?;
    Ok((row.crl, row.next_update))
}

/// Name of the part that signs switches.
const SWITCHES: &str = "switch-issuer";

/// How what signs switches is, where they have an issuer of their own. That it is locked is no fault.
async fn switch_issuer(authority: &Authority) -> Option<HealthPart> {
    let token = authority.switch_token()?;
    let (state, since, detail) = token.status();
    let since = since.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut text = format!("{state} since {}", rfc3339(since.saturating_mul(1000)));
    let waiting = switches_waiting(authority).await.unwrap_or_default();
    if waiting > 0 {
        text.push_str(&format!("; completed switches that wait for its signature: {waiting}"));
    }
    if token.crls_behind() {
        text.push_str("; its CRL lacks revocations");
    }
    text.extend(detail.into_iter().flat_map(|detail| ["; ".to_owned(), detail]));
    let ok = matches!(state, "locked" | "ready");
    Some(HealthPart { name: SWITCHES.to_owned(), ok, detail: text })
}

/// How many switches are recorded whose certificates are not there.
pub(crate) async fn switches_waiting(
    authority: &Authority,
) -> std::result::Result<u64, StoreError> {
    let certificates = authority.certificates();
    let Some(own) = certificates.desks().find(|d| d.purpose() == KeyPurpose::SwitchIssuing) else {
        return Ok(0);
    };
    let found = authority.store().unfinished(None, WAITING_COUNTED).await?;
    Ok(found.iter().filter(|entry| entry.issuer == own.hash()).count() as u64)
}

/// How the parts are.
pub(crate) async fn health(authority: &Authority) -> Health {
    let store = authority.store().ping().await;
    let hsm = authority.hsm_state();
    let alarms = authority.alarms();
    let part = |name: &str, fault: Option<String>| HealthPart {
        name: name.to_owned(),
        ok: fault.is_none(),
        detail: fault.unwrap_or_else(|| "ok".to_owned()),
    };
    let mut parts = vec![
        part("store", store.err().map(|error| error.to_string())),
        HealthPart {
            name: "hsm".to_owned(),
            ok: hsm.is_ok(),
            detail: hsm.err().unwrap_or_else(|| authority.tokens_in_words()),
        },
        part("notices", authority.notices().trouble()),
        part("record", (!alarms.is_empty()).then(|| alarms.join("; "))),
    ];
    parts.extend(authority.cosigning().health());
    parts.extend(switch_issuer(authority).await);
    if authority.clock().test_file().is_some() {
        // Nothing fails by it, and nobody should overlook it.
        parts.push(HealthPart {
            name: "clock".to_owned(),
            ok: true,
            detail: "a test clock: waits mean nothing".to_owned(),
        });
    }
    Health {
        ready: parts.iter().all(|part| {
            part.ok || ["notices", "record", "cosigners", SWITCHES].contains(&part.name.as_str())
        }),
        parts,
    }
}
