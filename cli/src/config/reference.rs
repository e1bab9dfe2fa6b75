//! docs/configuration.md, written from the descriptions of the keys.

use std::fmt::Write;

use super::keys::{Key, Section, auditor_sections, sections, witness_sections};

const HEAD: &str = "\
# Configuration

<!-- Written by `avouch config reference` from cli/src/config/keys.rs; a test compares. -->

One file, `avouch.toml`, for all processes of an installation; each reads what concerns it.
Relative paths count from the folder of the file. An unknown key, a value that does not fit and a
missing key are refused at the start, with file, line and what would be right; `avouch config check`
shows all of it at once, and also opens what the file names. `avouch config dump` shows what is in
force, defaults included, and where each value was given.

Any key can be given in the environment instead, which goes before the file:
`AVOUCH_SECTION__KEY`, for example `AVOUCH_GATEWAY__LISTEN=127.0.0.1:8443`. A variable in a table of
its own (`hsm.env`) has its name behind another `__`: `AVOUCH_HSM__ENV__SOFTHSM2_CONF`. The same
checks apply, to names and values.

No key holds a secret: PINs are in a file, a systemd credential, a variable of another name, or
asked for.

What the policy decides is not here: it is in the genesis event and in every bundle.
";

const WITNESS: &str = "
# The files of witnesses and auditors

`witness.toml`, for `avouch witness` ([more](witness.md)), and `auditor.toml`, for `avouch auditor`
([more](auditor.md)). The same rules hold for them, those of the environment's variables too.
`[development]` and `[log]` are those of above.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for section in sections() {
        let _ = section_of(&mut page, &section);
    }
    page.push_str(WITNESS);
    let own = |section: &Section| ["cosigner", "witness"].contains(&section.name);
    for section in witness_sections().into_iter().filter(own) {
        let _ = section_of(&mut page, &section);
    }
    for section in auditor_sections().into_iter().filter(|section| section.name == "auditor") {
        let _ = section_of(&mut page, &section);
    }
    page
}

fn section_of(page: &mut String, section: &Section) -> std::fmt::Result {
    let note = if section.required { "" } else { " May be left out." };
    let name = if section.named { ".NAME" } else { "" };
    writeln!(page, "\n## `[{}{name}]`\n\n{}{note}", section.name, text(section.doc))?;
    if section.name.ends_with("_hsm") {
        return Ok(());
    }
    writeln!(page, "\n| key | value | default | |\n|---|---|---|---|")?;
    section.keys.iter().try_for_each(|key| row(page, key))
}

fn row(page: &mut String, key: &Key) -> std::fmt::Result {
    let default = match (&key.default, key.required) {
        (_, true) => "must be given".to_owned(),
        (Some(value), false) => format!("`{value}`"),
        (None, false) => "none".to_owned(),
    };
    let expected = (key.expected)();
    writeln!(page, "| `{}` | {expected} | {default} | {} |", key.name, text(key.doc))
}

/// The lines of a comment as one paragraph.
fn text(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    /// Write it anew: `cargo run -p avouch-cli -- config reference > docs/configuration.md`.
    #[test]
    fn the_page_in_the_docs_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == super::page(), "docs/configuration.md is stale");
    }
}
