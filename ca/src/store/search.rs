//! Searches: each is one statement, in an order that an index has, so that a page costs what it
//! shows and not what there is.

use wire::{SerialNumber, UserId};

use super::StoreError;
use super::columns::{self, Columns, status_number};
use super::engine::{Engine, Given, Mode, Session, Value};
use super::rows::{
    CertificateCursor, CertificateRow, CertificateSearch, CertificateState, FoundIdentity,
    IdentitySearch, Order,
};

type Result<T> = std::result::Result<T, StoreError>;

/// A statement under construction: conditions, and the values of their parameters.
#[derive(Default)]
struct Statement<'a> {
    conditions: Vec<String>,
    values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    /// The next parameter's name, for a value.
    fn parameter(&mut self, value: Value<'a>) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// Adds a condition; `?` in it stands for the value.
    fn when(&mut self, condition: &str, value: Value<'a>) {
        let parameter = self.parameter(value);
        self.conditions.push(condition.replace('?', &parameter));
    }

    fn fixed(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Ids that begin with `prefix`, as a range that an index knows.
    fn prefix(&mut self, column: &str, prefix: &'a str) {
        self.when(&format!("{column} >= ?"), Value::text(prefix));
        // No id is longer than 64 bytes, so each with this prefix comes before this.
        let end = format!("{prefix}{}", "\u{10ffff}".repeat(UserId::MAX / 4 + 1));
        self.when(&format!("{column} < ?"), Value::Text(end.into()));
    }

    fn clause(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!("WHERE {}", self.conditions.join(" AND "))
    }
}

pub(super) async fn certificates<E: Engine>(
    engine: &E,
    search: &CertificateSearch,
    after: Option<&CertificateCursor>,
    limit: u32,
) -> Result<Vec<CertificateRow>> {
    let (sql, values) = certificates_sql(search, after, limit);
    let rows = fetch(engine, &sql, &values).await?;
    rows.iter().map(|row| columns::certificate(row)).collect()
}

pub(super) fn certificates_sql<'a>(
    search: &'a CertificateSearch,
    after: Option<&'a CertificateCursor>,
    limit: u32,
) -> (String, Vec<Value<'a>>) {
    let mut statement = Statement::default();
    if let Some(prefix) = &search.user {
        statement.prefix("uid", prefix);
    }
    if let Some(key) = &search.key {
        let hash = statement.parameter(Value::blob(key.as_bytes()));
        statement.conditions.push(format!(
            "uid = (SELECT k.uid FROM subject_key AS k WHERE k.hash = {hash}) \
             AND key_hash = {hash}"
        ));
    }
    if let Some(issuer) = &search.issuer {
        statement.when("issuer = ?", Value::blob(issuer.as_bytes()));
    }
    if let Some(serial) = &search.serial {
        statement.when("leaf_index = ?", Value::int(serial.leaf_index()));
        statement.when("serial = ?", Value::blob(serial.as_bytes()));
    }
    if let Some(after) = search.expires_after {
        statement.when("not_after >= ?", Value::int(after));
    }
    if let Some(before) = search.expires_before {
        statement.when("not_after < ?", Value::int(before));
    }
    match search.state {
        None => {}
        Some(CertificateState::Pending) => {
            statement.fixed("certificate IS NULL AND revoked_leaf IS NULL");
        }
        Some(CertificateState::Good) => {
            statement.fixed("certificate IS NOT NULL AND revoked_leaf IS NULL");
        }
        Some(CertificateState::Revoked) => statement.fixed("revoked_leaf IS NOT NULL"),
    }
    let order = match search.order() {
        Order::User => {
            if let Some(after) = after {
                let uid = statement.parameter(Value::text(after.uid.as_str()));
                let leaf = statement.parameter(Value::int(after.leaf_index));
                statement.conditions.push(format!("(uid, leaf_index) > ({uid}, {leaf})"));
            }
            "uid, leaf_index"
        }
        Order::Expiry => {
            if let Some(after) = after {
                let not_after = statement.parameter(Value::int(after.not_after));
                let leaf = statement.parameter(Value::int(after.leaf_index));
                let condition = format!("(not_after, leaf_index) > ({not_after}, {leaf})");
                statement.conditions.push(condition);
            }
            "not_after, leaf_index"
        }
        Order::Newest => {
            if let Some(after) = after {
                statement.when("leaf_index < ?", Value::int(after.leaf_index));
            }
            "leaf_index DESC"
        }
    };
    let limit = statement.parameter(Value::int(limit.into()));
    let clause = statement.clause();
    let sql = format!("SELECT * FROM certificate {clause} ORDER BY {order} LIMIT {limit}");
    (sql, statement.values)
}

pub(super) async fn identities<E: Engine>(
    engine: &E,
    search: &IdentitySearch,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<FoundIdentity>> {
    let (sql, values) = identities_sql(search, after, limit);
    let rows = fetch(engine, &sql, &values).await?;
    let read = |row| {
        let columns = Columns::of("identity", row);
        Ok(FoundIdentity {
            row: columns::identity(row)?,
            algorithm: columns.opt_text("algorithm")?,
            serial: columns.opt_bytes("serial")?.and_then(|bytes| SerialNumber::from_slice(&bytes)),
        })
    };
    rows.iter().map(|row| read(row)).collect()
}

pub(super) fn identities_sql<'a>(
    search: &'a IdentitySearch,
    after: Option<&'a UserId>,
    limit: u32,
) -> (String, Vec<Value<'a>>) {
    let mut statement = Statement::default();
    if let Some(prefix) = &search.user {
        statement.prefix("i.uid", prefix);
    }
    if let Some(key) = &search.key {
        let condition = "i.uid = (SELECT k.uid FROM subject_key AS k WHERE k.hash = ?)";
        statement.when(condition, Value::blob(key.as_bytes()));
    }
    if let Some(serial) = &search.serial {
        let leaf = statement.parameter(Value::int(serial.leaf_index()));
        let bytes = statement.parameter(Value::blob(serial.as_bytes()));
        statement.conditions.push(format!(
            "i.uid = (SELECT c.uid FROM certificate AS c WHERE c.leaf_index = {leaf} \
             AND c.serial = {bytes})"
        ));
    }
    if let Some(status) = search.status {
        let number = status_number(status);
        statement.when("i.status = ?", Value::int(number.into()));
        if number != 0 {
            // As the partial index has it.
            statement.fixed("i.status <> 0");
        }
    }
    if let Some(after) = after {
        statement.when("i.uid > ?", Value::text(after.as_str()));
    }
    let limit = statement.parameter(Value::int(limit.into()));
    // Algorithm and latest certificate come with the row: no question for each of them.
    let sql = format!(
        "SELECT i.*, k.algorithm AS algorithm, (SELECT c.serial FROM certificate AS c \
         WHERE c.uid = i.uid ORDER BY c.leaf_index DESC LIMIT 1) AS serial \
         FROM identity AS i LEFT JOIN subject_key AS k ON k.hash = i.key_hash {} \
         ORDER BY i.uid LIMIT {limit}",
        statement.clause()
    );
    (sql, statement.values)
}

async fn fetch<E: Engine>(
    engine: &E,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<<E::Session as Session>::Row>> {
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Values(values)).await?;
    session.commit().await?;
    Ok(rows)
}
