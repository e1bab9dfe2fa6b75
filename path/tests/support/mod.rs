//! Certificates and CRLs made by openssl in a directory of their own, and openssl's opinion of
//! them.

#![allow(dead_code)] // Each test crate uses its own part.

pub(crate) mod der;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use avouch_path::{self as path, Certificate, Crl, Given, Options, Report};
use tempfile::TempDir;

pub(crate) const DAY: i64 = 86_400;

/// Extensions that openssl's strict mode is content with.
pub(crate) const CA: &str = "basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
";
pub(crate) const LEAF: &str = "basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyAgreement
extendedKeyUsage=emailProtection
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=URI:avouch://realm.example/alice
";

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

pub(crate) struct Pki {
    dir: TempDir,
    serial: std::cell::Cell<u32>,
}

/// Verifies with certificates and CRLs.
pub(crate) fn verify(
    leaf: &Certificate,
    untrusted: &[Certificate],
    roots: &[Certificate],
    crls: &[Crl],
    options: &Options,
) -> Report {
    path::verify(leaf, &Given { roots, untrusted, crls, ocsp: &[] }, options)
}

/// What openssl says to the same question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    Ok,
    Refused(String),
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), serial: std::cell::Cell::new(0x1000) }
    }

    /// Root, issuing CA and leaf, P-256 each.
    pub(crate) fn three() -> Self {
        let pki = Self::new();
        pki.root("root", CA);
        pki.cert("ca", "/O=Example/CN=Issuing CA", "root", CA);
        pki.cert("leaf", "/CN=alice", "ca", LEAF);
        pki
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn openssl(&self, args: &[&str]) -> Output {
        Command::new("openssl").args(args).current_dir(self.dir.path()).output().unwrap()
    }

    fn run(&self, args: &[&str]) {
        let output = self.openssl(args);
        assert!(
            output.status.success(),
            "openssl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Makes NAME.key unless it is there.
    pub(crate) fn key(&self, name: &str, algorithm: &[&str]) {
        let file = format!("{name}.key");
        if !self.file(&file).exists() {
            let mut args = vec!["genpkey", "-out", &file];
            args.extend(algorithm);
            self.run(&args);
        }
    }

    fn default_key(&self, name: &str) {
        self.key(name, &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    }

    /// A self-signed NAME.pem with the subject `/O=Example/CN=NAME`.
    pub(crate) fn root(&self, name: &str, extensions: &str) {
        self.cert(name, &format!("/O=Example/CN={name}"), name, extensions);
    }

    /// NAME.pem over NAME.key, signed by ISSUER.key.
    pub(crate) fn cert(&self, name: &str, subject: &str, issuer: &str, extensions: &str) {
        self.cert_with(name, subject, issuer, extensions, &[]);
    }

    pub(crate) fn cert_with(
        &self,
        name: &str,
        subject: &str,
        issuer: &str,
        extensions: &str,
        extra: &[&str],
    ) {
        self.default_key(name);
        let (key, csr, ext, out) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.ext"),
            format!("{name}.pem"),
        );
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let serial = format!("0x{serial:x}");
        fs::write(self.file(&ext), extensions).unwrap();
        self.run(&["req", "-new", "-key", &key, "-subj", subject, "-utf8", "-out", &csr]);
        let mut args =
            vec!["x509", "-req", "-in", &csr, "-days", "30", "-set_serial", &serial, "-out", &out];
        let (issuer_cert, issuer_key) = (format!("{issuer}.pem"), format!("{issuer}.key"));
        if issuer == name {
            args.extend(["-signkey", &key]);
        } else {
            args.extend(["-CA", &issuer_cert, "-CAkey", &issuer_key]);
        }
        if !extensions.is_empty() {
            args.extend(["-extfile", &ext]);
        }
        args.extend(extra);
        self.run(&args);
    }

    /// NAME.crl by ISSUER listing these certificates with reasons; from and until in seconds from
    /// now.
    pub(crate) fn crl(
        &self,
        name: &str,
        issuer: &str,
        revoked: &[(&str, &str)],
        extensions: &str,
        (from, until): (i64, i64),
    ) {
        let mut index = String::new();
        for (certificate, reason) in revoked {
            let serial = hex::encode(self.certificate(certificate).serial());
            let reason = if reason.is_empty() { String::new() } else { format!(",{reason}") };
            index += &format!(
                "R\t350101000000Z\t{}{reason}\t{}\tunknown\t/CN=x\n",
                utc(now() - DAY),
                serial.to_uppercase()
            );
        }
        fs::write(self.file("index.txt"), index).unwrap();
        fs::write(self.file("index.txt.attr"), "unique_subject = no\n").unwrap();
        fs::write(self.file("crlnumber"), "1001\n").unwrap();
        fs::write(
            self.file("crl.cnf"),
            format!(
                "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=crlnumber\n\
                 default_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n\
                 {extensions}\n"
            ),
        )
        .unwrap();
        let (certificate, key, out) =
            (format!("{issuer}.pem"), format!("{issuer}.key"), format!("{name}.crl"));
        self.run(&[
            "ca",
            "-gencrl",
            "-config",
            "crl.cnf",
            "-cert",
            &certificate,
            "-keyfile",
            &key,
            "-crl_lastupdate",
            &utc(now() + from),
            "-crl_nextupdate",
            &utc(now() + until),
            "-out",
            &out,
        ]);
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        let pem = fs::read(self.file(&format!("{name}.pem"))).unwrap();
        Certificate::from_pem_or_der(&pem).unwrap().remove(0)
    }

    pub(crate) fn certificates(&self, names: &[&str]) -> Vec<Certificate> {
        names.iter().map(|name| self.certificate(name)).collect()
    }

    pub(crate) fn crls(&self, names: &[&str]) -> Vec<Crl> {
        let read = |name: &&str| {
            let pem = fs::read(self.file(&format!("{name}.crl"))).unwrap();
            Crl::from_pem_or_der(&pem).unwrap().remove(0)
        };
        names.iter().map(read).collect()
    }

    pub(crate) fn verify(
        &self,
        leaf: &str,
        untrusted: &[&str],
        roots: &[&str],
        crls: &[&str],
        options: &Options,
    ) -> Report {
        verify(
            &self.certificate(leaf),
            &self.certificates(untrusted),
            &self.certificates(roots),
            &self.crls(crls),
            options,
        )
    }

    /// `openssl verify -x509_strict` with these files and arguments.
    pub(crate) fn opinion(
        &self,
        leaf: &str,
        untrusted: &[&str],
        roots: &[&str],
        crls: &[&str],
        extra: &[&str],
    ) -> Opinion {
        let join = |names: &[&str], suffix: &str, out: &str| {
            let all: Vec<u8> = names
                .iter()
                .flat_map(|name| fs::read(self.file(&format!("{name}.{suffix}"))).unwrap())
                .collect();
            fs::write(self.file(out), all).unwrap();
        };
        join(untrusted, "pem", "all-untrusted");
        join(roots, "pem", "all-roots");
        join(crls, "crl", "all-crls");
        let leaf = format!("{leaf}.pem");
        let mut args = vec!["verify", "-x509_strict", "-no-CApath", "-CAfile", "all-roots"];
        if !untrusted.is_empty() {
            args.extend(["-untrusted", "all-untrusted"]);
        }
        if !crls.is_empty() {
            args.extend(["-CRLfile", "all-crls"]);
        }
        args.extend(extra);
        args.push(&leaf);
        let output = self.openssl(&args);
        if output.status.success() {
            Opinion::Ok
        } else {
            Opinion::Refused(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn utc(seconds: i64) -> String {
    let text = path::rfc3339(seconds);
    text[2..].chars().filter(|c| c.is_ascii_digit() || *c == 'Z').collect()
}

/// The code of the failure, `ok` without one.
pub(crate) fn code(report: &Report) -> &'static str {
    report.failure().map_or("ok", path::Failure::code)
}
