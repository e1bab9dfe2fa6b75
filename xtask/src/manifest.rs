//! What `cargo metadata` says about the workspace, and the direction of the arrows between crates.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::run::{cargo, output};

/// Which of the workspace's crates each crate may use, whatever the kind of dependency.
const ARROWS: &[(&str, &[&str])] = &[
    ("avouch-wire", &[]),
    ("avouch-policy", &["avouch-wire"]),
    ("avouch-x509", &["avouch-wire"]),
    ("avouch-path", &["avouch-x509"]),
    ("avouch-tlog", &["avouch-wire"]),
    ("avouch-evidence", &["avouch-wire", "avouch-x509", "avouch-policy", "avouch-tlog"]),
    // A token that fails as it is told to; for tests alone.
    ("avouch-pkcs11-shim", &[]),
    ("avouch-pkcs11", &["avouch-pkcs11-shim"]),
    (
        "avouch-ca",
        &[
            "avouch-wire",
            "avouch-policy",
            "avouch-x509",
            "avouch-path",
            "avouch-evidence",
            "avouch-tlog",
            "avouch-pkcs11",
        ],
    ),
    ("avouch-api", &["avouch-wire", "avouch-tlog"]),
    (
        "avouch-client",
        &[
            "avouch-wire",
            "avouch-x509",
            "avouch-path",
            "avouch-policy",
            "avouch-evidence",
            "avouch-tlog",
        ],
    ),
    (
        "avouch-cosigner",
        &["avouch-wire", "avouch-x509", "avouch-policy", "avouch-evidence", "avouch-tlog"],
    ),
    (
        "avouch-cli",
        &[
            "avouch-wire",
            "avouch-policy",
            "avouch-x509",
            "avouch-path",
            "avouch-evidence",
            "avouch-tlog",
            "avouch-pkcs11",
            "avouch-ca",
            "avouch-api",
            "avouch-client",
            "avouch-cosigner",
        ],
    ),
    (
        "avouch-tests",
        &[
            "avouch-wire",
            "avouch-client",
            "avouch-tlog",
            // Whoever forges a log's books needs a pen.
            "avouch-evidence",
            "avouch-x509",
            "avouch-pkcs11-shim",
        ],
    ),
    ("avouch-bench", &[]),
    ("xtask", &[]),
];

/// Crates from outside that only some of ours may use, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("cryptoki", &["avouch-pkcs11"], "the worker alone loads a PKCS#11 module"),
    (
        "cryptoki-sys",
        &["avouch-pkcs11", "avouch-pkcs11-shim"],
        "the worker alone loads a PKCS#11 module; the shim is one, for tests",
    ),
    ("libloading", &["avouch-pkcs11"], "the worker alone loads a PKCS#11 module"),
    ("sqlx", &["avouch-ca"], "the authority alone has a database"),
    ("rusqlite", &["avouch-ca"], "the authority alone has a database"),
    ("lettre", &["avouch-ca"], "the authority alone sends mail"),
    (
        "axum",
        &["avouch-api", "avouch-cosigner"],
        "HTTP is served by the gateway, and by co-signers, who are somebody else",
    ),
];

/// Crates that decide or encode: no time, no randomness, no input or output may reach them.
const PURE: &[&str] =
    &["avouch-wire", "avouch-policy", "avouch-x509", "avouch-path", "avouch-evidence"];
const IMPURE: &[&str] = &[
    "tokio",
    "async-trait",
    "getrandom",
    "rand",
    "reqwest",
    "sqlx",
    "rusqlite",
    "rustix",
    "tracing",
    "futures",
];

/// One dependency of a crate of ours.
pub(crate) struct Dependency {
    /// Its package name.
    pub(crate) name: String,
    /// The name it has in the source, with underscores.
    pub(crate) ident: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Whether it is of the workspace.
    ours: bool,
}

/// One crate of ours.
pub(crate) struct Member {
    /// Its package name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// The workspace.
pub(crate) struct Workspace {
    /// Its crates.
    pub(crate) members: Vec<Member>,
    /// Name, version and licence of every crate in the dependency graph.
    pub(crate) licences: Vec<(String, Option<String>)>,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

/// Asks cargo.
pub(crate) fn workspace() -> Result<Workspace, String> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    read(&json).ok_or_else(|| "cargo metadata: not the expected shape".to_owned())
}

fn read(json: &Value) -> Option<Workspace> {
    let ids: BTreeSet<&str> =
        json["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
    let mut members = Vec::new();
    let mut licences = Vec::new();
    for package in json["packages"].as_array()? {
        let name = package["name"].as_str()?.to_owned();
        let version = package["version"].as_str()?;
        let licence = package["license"].as_str().map(str::to_owned);
        licences.push((format!("{name} {version}"), licence));
        if !ids.contains(package["id"].as_str()?) {
            continue;
        }
        let folder = PathBuf::from(package["manifest_path"].as_str()?).parent()?.to_owned();
        let dependencies: Option<Vec<_>> =
            package["dependencies"].as_array()?.iter().map(dependency).collect();
        members.push(Member { name, folder, dependencies: dependencies? });
    }
    let target = PathBuf::from(json["target_directory"].as_str()?);
    Some(Workspace { members, licences, target })
}

fn dependency(json: &Value) -> Option<Dependency> {
    let name = json["name"].as_str()?.to_owned();
    let ident = json["rename"].as_str().unwrap_or(&name).replace('-', "_");
    let kind = json["kind"].as_str().map(str::to_owned);
    Some(Dependency { ident, kind, ours: json["source"].is_null(), name })
}

impl Workspace {
    /// Every arrow that points the wrong way, every reserved crate in the wrong place.
    pub(crate) fn wrong_arrows(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for member in &self.members {
            let name = member.name.as_str();
            let Some((_, allowed)) = ARROWS.iter().find(|(crate_, _)| *crate_ == name) else {
                wrong.push(format!("{name} is not in xtask's table of arrows"));
                continue;
            };
            for dependency in &member.dependencies {
                let to = dependency.name.as_str();
                if dependency.ours && !allowed.contains(&to) {
                    wrong.push(format!("{name} must not use {to}"));
                }
                if let Some((_, users, why)) = RESERVED.iter().find(|(outside, ..)| *outside == to)
                    && !users.contains(&name)
                {
                    wrong.push(format!("{name} must not use {to}: {why}"));
                }
                if PURE.contains(&name) && IMPURE.contains(&to) && dependency.kind.is_none() {
                    wrong.push(format!("{name} must not use {to}: it is pure"));
                }
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace_of(name: &str, to: &str, ours: bool) -> Workspace {
        let dependency =
            Dependency { name: to.into(), ident: to.replace('-', "_"), kind: None, ours };
        let folder = PathBuf::new();
        let member = Member { name: name.into(), folder, dependencies: vec![dependency] };
        Workspace { members: vec![member], licences: vec![], target: PathBuf::new() }
    }

    #[test]
    fn the_gateway_reaches_neither_authority_nor_module_nor_database() {
        for (to, ours) in
            [("avouch-ca", true), ("avouch-pkcs11", true), ("cryptoki", false), ("sqlx", false)]
        {
            assert_eq!(workspace_of("avouch-api", to, ours).wrong_arrows().len(), 1, "{to}");
        }
        assert!(workspace_of("avouch-api", "avouch-wire", true).wrong_arrows().is_empty());
    }

    #[test]
    fn policy_stays_pure() {
        assert_eq!(workspace_of("avouch-policy", "tokio", false).wrong_arrows().len(), 1);
        assert_eq!(workspace_of("avouch-policy", "getrandom", false).wrong_arrows().len(), 1);
        assert!(workspace_of("avouch-policy", "thiserror", false).wrong_arrows().is_empty());
    }

    #[test]
    fn a_crate_without_a_row_is_noticed() {
        assert_eq!(workspace_of("avouch-new", "serde", false).wrong_arrows().len(), 1);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Each row names only rows above it, but for the tests at the end.
        for (at, (name, uses)) in ARROWS.iter().enumerate() {
            for used in *uses {
                let where_ = ARROWS.iter().position(|(n, _)| n == used);
                assert!(where_.is_some_and(|w| w < at), "{name} → {used}");
            }
        }
    }
}
