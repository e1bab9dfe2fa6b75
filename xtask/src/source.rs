//! Rules about the source that no compiler lint holds.

use std::path::{Path, PathBuf};

use crate::manifest::{Member, Workspace};
use crate::run::root;

/// All findings, by rule.
pub(crate) fn findings(workspace: &Workspace) -> Result<Vec<(&'static str, Vec<String>)>, String> {
    let mut unsafe_code = Vec::new();
    let mut minting = Vec::new();
    let mut stubs = Vec::new();
    let mut unused = Vec::new();
    for member in &workspace.members {
        let files = rust_files(&member.folder)?;
        lints_are_inherited(member, &mut unsafe_code)?;
        for (path, text) in &files {
            let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
            let may_lift = ["avouch-pkcs11", "avouch-pkcs11-shim", "xtask"];
            if !may_lift.contains(&member.name.as_str()) {
                unsafe_code.extend(lifts_unsafe(text).map(|n| format!("{shown}:{n}")));
            }
            if !["avouch-policy", "avouch-evidence", "xtask"].contains(&member.name.as_str()) {
                minting.extend(mints(text).map(|n| format!("{shown}:{n}")));
            }
            if is_stub(text) {
                stubs.push(shown);
            }
        }
        unused.extend(unused_dependencies(member, &files));
    }
    Ok(vec![
        ("unsafe code only in pkcs11", unsafe_code),
        ("facts are made by evidence alone", minting),
        ("no crate is a stub", stubs),
        ("every dependency is used", unused),
    ])
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| told(&folder, e))? {
            let path = entry.map_err(|e| told(&folder, e))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).map_err(|e| told(&path, e))?;
                files.push((path, text));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The workspace denies `unsafe_code`; a crate that does not inherit its lints escapes that.
fn lints_are_inherited(member: &Member, found: &mut Vec<String>) -> Result<(), String> {
    let path = member.folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    if member.name != "avouch-pkcs11" && !text.contains("[lints]\nworkspace = true") {
        found.push(format!("{}: does not inherit the workspace's lints", path.display()));
    }
    Ok(())
}

/// Line numbers (from 1) of lines that satisfy `rule`, comments left out.
fn lines<'a>(text: &'a str, rule: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = usize> + 'a {
    text.lines()
        .enumerate()
        .filter(move |(_, line)| !line.trim_start().starts_with("//") && rule(line))
        .map(|(n, _)| n + 1)
}

fn lifts_unsafe(text: &str) -> impl Iterator<Item = usize> + '_ {
    lines(text, |line| {
        line.contains("unsafe_code") && (line.contains("allow(") || line.contains("expect("))
    })
}

fn mints(text: &str) -> impl Iterator<Item = usize> + '_ {
    lines(text, |line| line.contains("fact::mint") || line.contains("mint::"))
}

/// A file that only says it is to be written.
fn is_stub(text: &str) -> bool {
    text.starts_with("//! stub")
}

/// Dependencies whose name stands nowhere in the crate's source.
fn unused_dependencies(member: &Member, files: &[(PathBuf, String)]) -> Vec<String> {
    let word = |text: &str, ident: &str| {
        text.match_indices(ident).any(|(at, _)| {
            let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            boundary(text[..at].chars().next_back())
                && boundary(text[at + ident.len()..].chars().next())
        })
    };
    member
        .dependencies
        .iter()
        .filter(|d| !files.iter().any(|(_, text)| word(text, &d.ident)))
        .map(|d| format!("{} does not use {}", member.name, d.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifting_the_lint_is_found_and_talking_about_it_is_not() {
        let text = "fn f() {}\n#[allow(unsafe_code)]\n// allow(unsafe_code) would be wrong\n";
        assert_eq!(lifts_unsafe(text).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn minting_is_found_by_path_and_by_import() {
        let text = "use policy::fact::mint;\nlet f = mint::transport(a, b);\n//! `mint::signed`\n";
        assert_eq!(mints(text).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn stubs_are_found() {
        assert!(is_stub("//! stub\nfn main() {}\n"));
        assert!(!is_stub("//! Certificates.\n"));
    }
}
