//! From text and environment to a table whose every key is known and every value fits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::keys::{Key, Missing, Raw, Section, sections};

/// Environment variables `AVOUCH_SECTION__KEY` go before the file.
const PREFIX: &str = "AVOUCH_";
const BETWEEN: &str = "__";

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file.
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line.
        line: usize,
    },
    /// Nowhere in particular in the file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {what}")]
pub(crate) struct Fault {
    /// Where.
    pub(crate) origin: Origin,
    /// What it is, and what would be right.
    pub(crate) what: String,
}

/// Where each key was given, by section and key.
pub(crate) type Origins = BTreeMap<(String, String), Origin>;

/// A file that was read: values with defaults, and where they were given.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) raw: Raw,
    pub(crate) file: PathBuf,
    pub(crate) origins: Origins,
}

/// Reads a text, puts the environment over it, and checks every key.
///
/// # Errors
/// All that is wrong, in order.
pub(crate) fn read(
    file: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Source, Vec<Fault>> {
    let (table, origins) = table(file, text, environment, &sections())?;
    match Raw::read(&table) {
        Ok(raw) => Ok(Source { raw, file: file.to_owned(), origins }),
        Err((section, missing)) => Err(vec![absent(file, section, missing)]),
    }
}

/// A key that must be given and is not.
pub(super) fn absent(file: &Path, section: &str, Missing(key): Missing) -> Fault {
    let what = format!("`{section}.{key}` is missing");
    Fault { origin: Origin::File(file.to_owned()), what }
}

/// As [`read`], for a file of any sections: its values, and where they were given.
///
/// # Errors
/// All that is wrong, in order.
pub(super) fn table(
    file: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    described: &[Section],
) -> Result<(Table, Origins), Vec<Fault>> {
    let line_of = |at: Range<usize>| text[..at.start.min(text.len())].matches('\n').count() + 1;
    let at = |span: Range<usize>| Origin::Line { file: file.to_owned(), line: line_of(span) };
    let syntax = |error: toml::de::Error| {
        let origin = error.span().map_or_else(|| Origin::File(file.to_owned()), at);
        vec![Fault { origin, what: format!("not TOML: {}", error.message()) }]
    };
    let mut table: Table = toml::from_str(text).map_err(syntax)?;
    let spans = DeTable::parse(text).map_err(syntax)?;

    let mut faults = Vec::new();
    let mut origins = Origins::new();
    for (name, value) in spans.get_ref() {
        let Some(section) = described.iter().find(|section| section.name == name.get_ref()) else {
            let what = unknown_section(name.get_ref(), described);
            faults.push(Fault { origin: at(name.span()), what });
            continue;
        };
        let DeValue::Table(values) = value.get_ref() else {
            let what = format!("`{0}` is a section; write [{0}] and its keys below", section.name);
            faults.push(Fault { origin: at(name.span()), what });
            continue;
        };
        for (key, value) in values {
            let origin = at(key.span());
            if section.named {
                let DeValue::Table(inner) = value.get_ref() else {
                    let (kind, name) = (section.name, key.get_ref());
                    let what = format!("give `{kind}.{name}` as a section: [{kind}.{name}]");
                    faults.push(Fault { origin, what });
                    continue;
                };
                let place = (section, &**key.get_ref(), origin);
                let lines = inner.keys().map(|key| (key.get_ref().to_string(), at(key.span())));
                named(place, &table, lines, described, &mut origins, &mut faults);
                continue;
            }
            check(section, key, &table, described, &origin, &mut faults);
            origins.insert((section.name.to_owned(), key.get_ref().to_string()), origin);
        }
    }
    overrides(environment, described, &mut table, &mut origins, &mut faults);
    faults.extend(missing(file, described, &table, &spans, at));
    if faults.is_empty() { Ok((table, origins)) } else { Err(faults) }
}

/// Whether a variable of the environment goes before a key of the file.
pub(super) fn overrides_a_key(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains(BETWEEN))
}

/// One of the sections that have names: each key known, with a value that fits, and none missing.
fn named(
    (section, name, origin): (&Section, &str, Origin),
    table: &Table,
    keys: impl Iterator<Item = (String, Origin)>,
    described: &[Section],
    origins: &mut Origins,
    faults: &mut Vec<Fault>,
) {
    let whole = format!("{}.{name}", section.name);
    let values = table.get(section.name).and_then(|all| all.get(name)).and_then(Value::as_table);
    for (key, origin) in keys {
        let fault = |what| Fault { origin: origin.clone(), what };
        match section.keys.iter().find(|known| known.name == key) {
            None => faults.push(fault(unknown_key(section, &key, described))),
            Some(known) => {
                if let Some(value) = values.and_then(|values| values.get(&key))
                    && !(known.fits)(value)
                {
                    faults.push(fault(wrong(&whole, known, &value.to_string())));
                }
            }
        }
        origins.insert((whole.clone(), key), origin);
    }
    for key in section.keys.iter().filter(|key| key.required) {
        if values.is_none_or(|values| !values.contains_key(key.name)) {
            let what = format!("`{whole}.{}` is missing; give {}", key.name, (key.expected)());
            faults.push(Fault { origin: origin.clone(), what });
        }
    }
}

/// One key of the file: known, and with a value that fits.
fn check(
    section: &Section,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    table: &Table,
    described: &[Section],
    origin: &Origin,
    faults: &mut Vec<Fault>,
) {
    let fault = |what| Fault { origin: origin.clone(), what };
    let name: &str = key.get_ref();
    match section.keys.iter().find(|known| known.name == name) {
        None => faults.push(fault(unknown_key(section, name, described))),
        Some(known) => {
            let value = table.get(section.name).and_then(|values| values.get(name));
            if let Some(value) = value
                && !(known.fits)(value)
            {
                faults.push(fault(wrong(section.name, known, &value.to_string())));
            }
        }
    }
}

fn wrong(section: &str, key: &Key, found: &str) -> String {
    // Long values, and those that may be secrets put in the wrong place, are not repeated whole.
    let short: String = found.chars().take(60).collect();
    format!("`{section}.{}` is {short}; give {}", key.name, (key.expected)())
}

/// Puts `AVOUCH_SECTION__KEY` over the file. A key with a name of its own below it (`hsm.env`)
/// takes `AVOUCH_SECTION__KEY__NAME`.
fn overrides(
    environment: impl Iterator<Item = (String, String)>,
    described: &[Section],
    table: &mut Table,
    origins: &mut Origins,
    faults: &mut Vec<Fault>,
) {
    let mut given: Vec<_> = environment.filter(|(name, _)| overrides_a_key(name)).collect();
    given.sort();
    for (variable, text) in given {
        let origin = Origin::Variable(variable.clone());
        let mut fault = |what| faults.push(Fault { origin: origin.clone(), what });
        let mut parts = variable[PREFIX.len()..].splitn(3, BETWEEN);
        let section_name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let key_name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let below = parts.next();
        let Some(section) = described.iter().find(|section| section.name == section_name) else {
            fault(unknown_section(&section_name, described));
            continue;
        };
        if section.named {
            let name = format!("{}.{key_name}", section.name);
            let inner = below.map(str::to_ascii_lowercase).unwrap_or_default();
            let Some(key) = section.keys.iter().find(|key| key.name == inner) else {
                fault(unknown_key(section, &inner, described));
                continue;
            };
            let Some(value) = fitting(key, &text) else {
                fault(wrong(&name, key, &format!("{text:?}")));
                continue;
            };
            let empty = || Value::Table(Table::new());
            let all = table.entry(section.name).or_insert_with(empty).as_table_mut();
            let one = all.and_then(|all| all.entry(key_name).or_insert_with(empty).as_table_mut());
            if let Some(one) = one {
                one.insert(key.name.to_owned(), value);
                origins.insert((name, key.name.to_owned()), origin);
            }
            continue;
        }
        let Some(key) = section.keys.iter().find(|key| key.name == key_name) else {
            fault(unknown_key(section, &key_name, described));
            continue;
        };
        let values =
            table.entry(section.name).or_insert_with(|| Value::Table(Table::new())).as_table_mut();
        let Some(values) = values else { continue };
        let value = match below {
            Some(below) => {
                let mut inner =
                    values.get(key.name).and_then(Value::as_table).cloned().unwrap_or_default();
                inner.insert(below.to_owned(), Value::String(text.clone()));
                Some(Value::Table(inner)).filter(|value| (key.fits)(value))
            }
            None => fitting(key, &text),
        };
        match value {
            Some(value) => {
                values.insert(key.name.to_owned(), value);
                origins.insert((section.name.to_owned(), key.name.to_owned()), origin);
            }
            None => fault(wrong(section.name, key, &format!("{text:?}"))),
        }
    }
}

/// A variable's text as the value that the key takes: as it is, or as TOML (numbers, `true`).
fn fitting(key: &Key, text: &str) -> Option<Value> {
    let bare = [text.parse().ok().map(Value::Integer), text.parse().ok().map(Value::Boolean)];
    let as_text = Value::String(text.to_owned());
    std::iter::once(as_text).chain(bare.into_iter().flatten()).find(|value| (key.fits)(value))
}

fn missing(
    file: &Path,
    described: &[Section],
    table: &Table,
    spans: &Spanned<DeTable<'_>>,
    at: impl Fn(Range<usize>) -> Origin,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for section in described {
        let values = table.get(section.name).and_then(Value::as_table);
        if section.named || (values.is_none() && !section.required) {
            continue;
        }
        let header = spans.get_ref().keys().find(|name| name.get_ref() == section.name);
        let origin = header.map_or_else(|| Origin::File(file.to_owned()), |name| at(name.span()));
        let absent = section
            .keys
            .iter()
            .filter(|key| key.required && values.is_none_or(|v| !v.contains_key(key.name)));
        for key in absent {
            let what =
                format!("`{}.{}` is missing; give {}", section.name, key.name, (key.expected)());
            faults.push(Fault { origin: origin.clone(), what });
        }
    }
    faults
}

fn unknown_section(name: &str, described: &[Section]) -> String {
    // A key without its section is a common slip.
    if let Some(home) = described.iter().find(|s| s.keys.iter().any(|key| key.name == name)) {
        return format!("unknown section `{name}`; `{name}` is a key of [{}]", home.name);
    }
    let names = described.iter().map(|section| section.name);
    match nearest(name, names) {
        Some(near) => format!("unknown section `{name}`; did you mean `{near}`?"),
        None => {
            let all: Vec<_> = described.iter().map(|section| section.name).collect();
            format!("unknown section `{name}`; there are {}", all.join(", "))
        }
    }
}

fn unknown_key(section: &Section, name: &str, described: &[Section]) -> String {
    let unknown = format!("unknown key `{}.{name}`", section.name);
    if let Some(near) = nearest(name, section.keys.iter().map(|key| key.name)) {
        return format!("{unknown}; did you mean `{near}`?");
    }
    if let Some(home) = described.iter().find(|s| s.keys.iter().any(|key| key.name == name)) {
        return format!("{unknown}; there is `{}.{name}`", home.name);
    }
    let all: Vec<_> = section.keys.iter().map(|key| key.name).collect();
    format!("{unknown}; [{}] has {}", section.name, all.join(", "))
}

/// The name that a slip of the fingers could have made this of.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).max(2);
    let distance =
        |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    known
        .map(|known| (distance(known), known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
