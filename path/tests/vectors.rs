//! The test vectors of the Python package «cryptography»: every certificate, CRL and OCSP answer of
//! it is read or refused as openssl does it, but for the files that `divergences/vectors.txt` lists
//! with the reason. `make setup` fetches them; see pkits.rs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use avouch_path::{Certificate, Crl, OcspResponse};

fn openssl(args: &[&str], file: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(args).arg(file).stdin(Stdio::null());
    command.output().unwrap().status.success()
}

/// Whether openssl reads it and can show it all.
fn by_openssl(kind: Kind, file: &Path) -> bool {
    match kind {
        Kind::Certificate => openssl(&["x509", "-noout", "-text", "-in"], file),
        Kind::Crl => openssl(&["crl", "-noout", "-text", "-in"], file),
        Kind::Ocsp => openssl(&["ocsp", "-noverify", "-resp_text", "-respin"], file),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Certificate,
    Crl,
    Ocsp,
}

impl Kind {
    fn of(folder: &str, name: &str) -> Self {
        match name {
            _ if folder == "x509/ocsp" => Self::Ocsp,
            _ if name.starts_with("crl_") || name.contains("_crl.") => Self::Crl,
            _ => Self::Certificate,
        }
    }

    fn by_us(self, bytes: &[u8]) -> Result<usize, String> {
        let told = |e: avouch_path::ParseError| e.to_string();
        match self {
            Self::Certificate => Certificate::from_any(bytes).map(|l| l.len()).map_err(told),
            Self::Crl => Crl::from_pem_or_der(bytes).map(|l| l.len()).map_err(told),
            Self::Ocsp => OcspResponse::from_pem_or_der(bytes).map(|l| l.len()).map_err(told),
        }
    }
}

/// `name: what we do: why`.
fn divergences() -> BTreeMap<String, String> {
    include_str!("divergences/vectors.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, rest) = line.split_once(": ").expect("NAME: taken|refused: WHY");
            assert!(rest.split_once(": ").is_some(), "{line}");
            (name.to_owned(), rest.split(": ").next().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn the_vectors_of_cryptography() {
    let Some(package) = std::env::var_os("AVOUCH_CRYPTOGRAPHY_VECTORS") else {
        eprintln!("AVOUCH_CRYPTOGRAPHY_VECTORS is not set: its vectors are not read");
        return;
    };
    let mut known = divergences();
    let (mut agree, mut wrong) = (0, Vec::new());
    for folder in ["x509", "x509/custom", "x509/ocsp", "x509/ed25519"] {
        let mut files: Vec<PathBuf> = fs::read_dir(Path::new(&package).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let ours = ["pem", "der"].iter().any(|e| file.extension().is_some_and(|x| x == *e));
            if !ours || name.contains("-req.") || name.starts_with("req-") || name.contains("-tbs-")
            {
                continue;
            }
            let kind = Kind::of(folder, &name);
            let us = kind.by_us(&fs::read(&file).unwrap());
            let them = by_openssl(kind, &file);
            let what = if us.is_ok() { "taken" } else { "refused" };
            match known.remove(&name) {
                _ if us.is_ok() == them => agree += 1,
                Some(expected) if expected == what => {}
                _ => wrong.push(format!("{name}: {what}: {us:?}")),
            }
        }
    }
    println!("{agree} files read or refused as openssl does");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(agree > 100, "{agree}");
    assert!(known.is_empty(), "no longer a divergence, or no such file: {:?}", known.keys());
}
