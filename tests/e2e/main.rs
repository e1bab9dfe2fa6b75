//! The product as its users meet it: `avouch dev`, `openssl`, `curl`.

mod auditor;
mod chain;
mod commands;
mod config;
mod cosign;
mod crash;
mod crl;
mod curl;
mod custody;
mod database;
mod description;
mod door;
mod fresh;
mod hsm;
mod identity;
mod issue;
mod lint;
mod log;
mod moves;
mod observe;
mod people;
mod postgres;
mod refill;
mod refuse;
mod reload;
mod revoke;
mod search;
mod socket;
mod switch_issuer;
mod tamper;
mod token;
mod told;
mod users;
mod witness;

use avouch_tests::Installation;
use avouch_tests::openssl::Key;
use std::path::PathBuf;
use wire::rest::{Certificate, HistoryEntry, Outcome, Page};

/// Enrols with a request and expects a new certificate.
fn enrolled(installation: &Installation, uid: &str, csr: &[u8]) -> Certificate {
    installation.agent().enrol(uid, csr).json(201)
}

/// The certificate's PEM in a file beside the key's.
fn leaf_file(key: &Key, certificate: &Certificate) -> PathBuf {
    let pem = certificate.certificate.as_ref().expect("a finished certificate");
    key.file("leaf.pem", pem.as_bytes())
}

fn history(installation: &Installation, uid: &str) -> Vec<HistoryEntry> {
    let path = format!("/api/v1/identities/{uid}/history");
    installation.agent().get(&path).json::<Page<HistoryEntry>>(200).items
}

/// The refusals in a history, by problem code.
fn refusals(installation: &Installation, uid: &str) -> Vec<String> {
    let refused = history(installation, uid).into_iter().filter(|e| e.outcome == Outcome::Refused);
    refused.map(|entry| entry.problem.expect("a refusal has a code")).collect()
}
