//! A sheet as one array a column, which `UNNEST` makes rows of again.

use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use super::super::StoreError;
use super::super::engine::{Given, Statement, Value, renumbered};
use super::super::sheet::{Column, Kind, Sheet};

/// A statement's text and parameters.
pub(super) fn statement(sql: &str, given: Given<'_>) -> Result<(String, PgArguments), StoreError> {
    let mut arguments = PgArguments::default();
    let sql = appended(sql, given, &mut arguments)?;
    Ok((sql, arguments))
}

/// A transaction's statements as one, which the server carries out in one exchange: all but the
/// first are named queries beside it. What is changed in them is changed whether or not anybody
/// asks for their rows, and no part of a statement sees what another part changed (PostgreSQL 15,
/// section 7.8.4).
pub(super) fn one(statements: &[Statement<'_>]) -> Result<(String, PgArguments), StoreError> {
    let mut arguments = PgArguments::default();
    let mut text = String::new();
    let Some(((first, given), beside)) = statements.split_first() else {
        return Ok((text, arguments));
    };
    for (n, (sql, given)) in beside.iter().enumerate() {
        let sql = appended(sql, *given, &mut arguments)?;
        text.push_str(&format!("{} s{n} AS ({sql})", if n == 0 { "WITH" } else { "," }));
    }
    text.push(' ');
    text.push_str(&appended(first, *given, &mut arguments)?);
    Ok((text, arguments))
}

/// A statement whose parameters are added to others before them.
fn appended(
    sql: &str,
    given: Given<'_>,
    arguments: &mut PgArguments,
) -> Result<String, StoreError> {
    let before = arguments.len();
    match given {
        Given::Values(values) => {
            for value in values {
                match value {
                    Value::Null => arguments.add(None::<i64>),
                    Value::Int(n) => arguments.add(*n),
                    Value::Text(text) => arguments.add(&**text),
                    Value::Blob(bytes) => arguments.add(&**bytes),
                }
                .map_err(sqlx::Error::Encode)?;
            }
            Ok(renumbered(sql, before).into_owned())
        }
        Given::Rows(sheet) => {
            for (n, (_, kind)) in sheet.columns().iter().enumerate() {
                add(arguments, sheet, n, *kind)?;
            }
            let relation = relation(sheet.columns());
            let relation = renumbered(&relation, before);
            let names: Vec<&str> = sheet.columns().iter().map(|(name, _)| *name).collect();
            // Without a condition, ON CONFLICT would be read as one of a join.
            let all = || format!("SELECT {} FROM {relation} WHERE true", names.join(", "));
            Ok(if sql.contains("{all}") {
                sql.replace("{all}", &all())
            } else {
                sql.replace("{rows}", &relation)
            })
        }
    }
}

fn relation(columns: &[Column]) -> String {
    let typed = columns.iter().enumerate().map(|(n, (_, kind))| {
        let kind = match kind {
            Kind::Int => "int8",
            Kind::Text => "text",
            Kind::Blob => "bytea",
        };
        format!("${}::{kind}[]", n + 1)
    });
    let typed: Vec<String> = typed.collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    format!("UNNEST({}) AS r({})", typed.join(", "), names.join(", "))
}

fn add(
    arguments: &mut PgArguments,
    sheet: &Sheet<'_>,
    n: usize,
    kind: Kind,
) -> Result<(), StoreError> {
    let values = sheet.column(n);
    let added = match kind {
        Kind::Int => arguments.add(
            values.map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect::<Vec<_>>(),
        ),
        Kind::Text => arguments.add(
            values
                .map(|v| if let Value::Text(text) = v { Some(&**text) } else { None })
                .collect::<Vec<_>>(),
        ),
        Kind::Blob => arguments.add(
            values
                .map(|v| if let Value::Blob(bytes) = v { Some(&**bytes) } else { None })
                .collect::<Vec<Option<&[u8]>>>(),
        ),
    };
    Ok(added.map_err(sqlx::Error::Encode)?)
}
