//! pkilint: every kind of certificate and CRL is held against RFC 5280 by people who know it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::openssl::text;

/// Findings that are the linter's limits and not ours: its code, and what its text must contain.
const DIVERGENCES: &[(&str, &str, &str)] = &[(
    "pkix.invalid_uri_syntax",
    "\"avouch://",
    "its URI check knows a closed list of schemes; RFC 3986 section 3.1 does not",
)];

/// Lints a certificate (PEM or DER) at severity WARNING and above.
pub fn certificate(path: &Path) {
    lint("lint_pkix_cert", &[], path);
}

/// Lints a CRL of end-entity certificates.
pub fn crl(path: &Path) {
    lint("lint_crl", &["--type", "CRL", "--profile", "PKIX"], path);
}

/// Lints a CRL of CA certificates.
pub fn arl(path: &Path) {
    lint("lint_crl", &["--type", "ARL", "--profile", "PKIX"], path);
}

fn program(name: &str) -> PathBuf {
    match std::env::var_os("AVOUCH_PKILINT_BIN") {
        Some(folder) => Path::new(&folder).join(name),
        None => PathBuf::from(name),
    }
}

fn lint(name: &str, arguments: &[&str], path: &Path) {
    let program = program(name);
    let output = Command::new(&program)
        .arg("lint")
        .args(arguments)
        .args(["--severity", "WARNING", "--format", "JSON", text(path)])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!(
                "{}: {e} (`make setup` installs it; AVOUCH_PKILINT_BIN names its folder)",
                program.display()
            )
        });
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name}: {e}: {said}"));
    let results = report["results"].as_array().unwrap_or_else(|| panic!("{name}: {report}"));
    let findings: Vec<String> = results
        .iter()
        .flat_map(|result| result["finding_descriptions"].as_array().into_iter().flatten())
        .filter(|finding| !diverges(finding))
        .map(Value::to_string)
        .collect();
    assert!(findings.is_empty(), "{name} {}:\n{}", path.display(), findings.join("\n"));
}

fn diverges(finding: &Value) -> bool {
    DIVERGENCES.iter().any(|(code, part, _)| {
        finding["code"] == *code && finding["message"].as_str().is_some_and(|m| m.contains(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name)
    }

    #[test]
    fn a_sound_crl_passes() {
        crl(&seed("crl/two.der"));
    }

    #[test]
    #[should_panic(expected = "pkix.key_usage_value_prohibited_for_rsa")]
    fn an_rsa_key_that_shall_agree_on_keys_is_found() {
        certificate(&seed("certificate/leaf-rsa.der"));
    }
}
