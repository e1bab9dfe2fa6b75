//! Input made to cost: it ends in a refusal that says so, after work that is counted, not timed.

mod support;

use avouch_path::{
    Certificate, Crl, Given, MAX_CERTIFICATES, OcspResponse, Options, Report, Revocation, verify,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use support::der::{Draft, Key, ListDraft, tlv};

/// 2026-06-01, within everybody's validity.
const AT: i64 = 1_780_272_000;

fn params(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    }
    params
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A certificate of `subject` and `key`, by `issuer` and its key.
fn signed(params: CertificateParams, key: &KeyPair, issuer: (&str, &KeyPair)) -> Certificate {
    let issuer_params = self::params(issuer.0, true);
    let issuer = Issuer::from_params(&issuer_params, issuer.1);
    Certificate::from_der(params.signed_by(key, &issuer).unwrap().der()).unwrap()
}

#[track_caller]
fn bounded(report: &Report, expected: &str) {
    let work = report.work();
    assert_eq!(report.failure().map_or("ok", |f| f.code()), expected, "{work:?}");
    assert!(work.signatures <= 200 && work.certificates <= 2_000, "{work:?}");
    assert!(work.comparisons <= 2_000_000, "{work:?}");
}

fn ask(leaf: &Certificate, untrusted: &[Certificate], roots: &[Certificate]) -> Report {
    verify(leaf, &Given { roots, untrusted, ..Given::default() }, &Options::at(AT))
}

#[test]
fn ways_that_multiply_at_every_level() {
    // Six levels of six keys under one name each; every key certifies every key below: 6^6 ways,
    // none of which ends at the root.
    let keys: Vec<Vec<KeyPair>> = (0..6).map(|_| (0..6).map(|_| key()).collect()).collect();
    let name = |level: usize| format!("level {level}");
    let mut untrusted = Vec::new();
    for level in 0..5 {
        for below in &keys[level] {
            for above in &keys[level + 1] {
                let params = params(&name(level), true);
                untrusted.push(signed(params, below, (&name(level + 1), above)));
            }
        }
    }
    let leaf = signed(params("leaf", false), &key(), (&name(0), &keys[0][0]));
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    bounded(&ask(&leaf, &untrusted, std::slice::from_ref(&root)), "too-much-work");
    // With one way that does, it may be found or given up, but never wrongly refused as forged.
    untrusted.push(signed(params(&name(0), true), &keys[0][0], ("root", &root_key)));
    let report = ask(&leaf, &untrusted, &[root]);
    bounded(&report, "ok");
}

#[test]
fn rings_of_cross_certificates() {
    let keys: Vec<KeyPair> = (0..30).map(|_| key()).collect();
    let name = |n: usize| format!("ring {n}");
    let mut untrusted = Vec::new();
    for n in 0..keys.len() {
        for step in [1, 2, 7] {
            let above = (n + step) % keys.len();
            untrusted.push(signed(params(&name(n), true), &keys[n], (&name(above), &keys[above])));
        }
    }
    let leaf = signed(params("leaf", false), &key(), (&name(0), &keys[0]));
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let options = Options::at(AT).max_depth(Options::MAX_DEPTH);
    let given = Given { roots: &[root], untrusted: &untrusted, ..Given::default() };
    bounded(&verify(&leaf, &given, &options), "too-much-work");
}

#[test]
fn many_namesakes_of_the_issuer() {
    let (root_key, leaf_key) = (key(), key());
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let namesake = signed(params("root", true), &leaf_key, ("elsewhere", &leaf_key));
    let untrusted: Vec<_> = (0..400)
        .map(|_| {
            let key = key();
            signed(params("root", true), &key, ("root", &key))
        })
        .chain([namesake])
        .collect();
    let leaf = signed(params("leaf", false), &leaf_key, ("root", &root_key));
    // The root is tried first, so the namesakes cost nothing.
    let report = ask(&leaf, &untrusted, &[root]);
    bounded(&report, "ok");
    assert!(report.work().signatures <= 2, "{:?}", report.work());
    bounded(&ask(&leaf, &untrusted, &[]), "too-much-work");
}

#[test]
fn names_times_subtrees() {
    let (root_key, ca_key) = (key(), key());
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let mut ca = params("ca", true);
    let subtrees = (0..2_000).map(|n| GeneralSubtree::DnsName(format!("n{n}.example"))).collect();
    ca.name_constraints =
        Some(NameConstraints { permitted_subtrees: subtrees, excluded_subtrees: Vec::new() });
    let ca = signed(ca, &ca_key, ("root", &root_key));
    let mut leaf = params("leaf", false);
    let name = |n| SanType::DnsName(format!("n{n}.example").try_into().unwrap());
    leaf.subject_alt_names = (0..2_000).map(name).collect();
    let leaf = signed(leaf, &key(), ("ca", &ca_key));
    bounded(&ask(&leaf, std::slice::from_ref(&ca), std::slice::from_ref(&root)), "too-much-work");
    // A tenth of it is fine.
    let mut small = params("small", false);
    small.subject_alt_names = (0..200).map(name).collect();
    bounded(&ask(&signed(small, &key(), ("ca", &ca_key)), &[ca], &[root]), "ok");
}

#[test]
fn names_times_subtrees_of_other_forms() {
    let (root, ca) = (Key::new(), Key::new());
    // Sixty thousand subtrees of one form, sixty thousand names of another: nothing to compare, but
    // looking costs.
    let subtrees = [0x30, 2, 0x82, 0].repeat(60_000);
    let above = Draft::ca("ca", &ca, "root", &root)
        .with(30, true, &tlv(0x30, &tlv(0xa0, &subtrees)))
        .sign(&root);
    let roots = [Draft::ca("root", &root, "root", &root).sign(&root)];
    let leaf = |names: usize| {
        let names = tlv(0x30, &[0x81, 0].repeat(names));
        Draft::leaf("leaf", &Key::new(), "ca", &ca).with(17, false, &names).sign(&ca)
    };
    bounded(&ask(&leaf(60_000), std::slice::from_ref(&above), &roots), "too-much-work");
    bounded(&ask(&leaf(500), &[above], &roots), "ok");
    // No list is longer than that.
    let long = [0x81, 0].repeat(65_537);
    let long = Draft::leaf("leaf", &ca, "ca", &ca).with(17, false, &tlv(0x30, &long)).der(&ca);
    assert!(Certificate::from_der(&long).is_err());
}

#[test]
fn namesakes_times_names_of_the_issuer() {
    let (root, other) = (Key::new(), Key::new());
    let roots = [Draft::ca("root", &root, "root", &root).sign(&root)];
    // An authority key identifier with fifty thousand names, held against every candidate.
    let names = tlv(0xa1, &[0xa4, 2, 0x30, 0].repeat(50_000));
    let identifier = tlv(0x30, &[names, vec![0x82, 1, 1]].concat());
    let leaf = Draft::leaf("leaf", &other, "root", &root).with(35, false, &identifier).sign(&root);
    let namesake = |n: u32| Draft {
        serial: n.to_be_bytes().to_vec(),
        ..Draft::ca("root", &other, "root", &other)
    };
    let some: Vec<_> = (0x100_0000..0x100_0400).map(|n| namesake(n).sign(&other)).collect();
    bounded(&ask(&leaf, &some, &roots), "too-much-work");
    bounded(&ask(&leaf, &some[..100], &roots), "ok");
    // The same in a CRL.
    let leaf = Draft::leaf("leaf", &other, "root", &root).sign(&root);
    let list = ListDraft::new("root", &root).with(35, false, &identifier).sign(&other);
    let options = Options::at(AT).revocation(Revocation::Leaf);
    let given = Given { roots: &roots, untrusted: &some, crls: &[list], ocsp: &[] };
    bounded(&verify(&leaf, &given, &options), "too-much-work");
}

fn policy(n: u32) -> Vec<u8> {
    tlv(0x06, &[0x2a, 0x81 + (n >> 14) as u8, 0x80 | (n >> 7 & 0x7f) as u8, (n & 0x7f) as u8])
}

#[test]
fn policies_mapped_to_one_another() {
    let policies: Vec<u8> = (0..600).flat_map(|n| tlv(0x30, &policy(n))).collect();
    let mappings: Vec<u8> = (0..20_u32)
        .flat_map(|a| (0..600_u32).map(move |b| (a, b)))
        .flat_map(|(a, b)| tlv(0x30, &[policy(a), policy(b)].concat()))
        .collect();
    let policies = CustomExtension::from_oid_content(&[2, 5, 29, 32], tlv(0x30, &policies));
    let mappings = CustomExtension::from_oid_content(&[2, 5, 29, 33], tlv(0x30, &mappings));
    let keys: Vec<KeyPair> = (0..8).map(|_| key()).collect();
    let name = |n: usize| format!("domain {n}");
    let mut untrusted = Vec::new();
    for n in 1..keys.len() - 1 {
        let mut params = params(&name(n), true);
        params.custom_extensions = vec![policies.clone(), mappings.clone()];
        untrusted.push(signed(params, &keys[n], (&name(n + 1), &keys[n + 1])));
    }
    let root = signed(params(&name(7), true), &keys[7], (&name(7), &keys[7]));
    let mut leaf = params("leaf", false);
    leaf.custom_extensions = vec![policies];
    let leaf = signed(leaf, &keys[0], (&name(1), &keys[1]));
    let options = Options::at(AT).require_explicit_policy(true);
    let given = Given { roots: &[root], untrusted: &untrusted, ..Given::default() };
    let report = verify(&leaf, &given, &options);
    // 12,000 mappings at each of six CAs; in the tree of RFC 5280 that were 20^6 × 600 nodes.
    bounded(&report, "ok");
    assert!(report.work().comparisons < 200_000, "{:?}", report.work());
}

fn crl(issuer: (&str, &KeyPair), listed: u32) -> Crl {
    let revoked = (0..listed)
        .map(|n| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&(n + 1_000_000).to_be_bytes()),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        })
        .collect();
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 5, 31),
        next_update: date_time_ymd(2026, 6, 30),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let issuer_params = self::params(issuer.0, true);
    let issuer = Issuer::from_params(&issuer_params, issuer.1);
    Crl::from_der(params.signed_by(&issuer).unwrap().der()).unwrap()
}

#[test]
fn long_lists_and_many_lists() {
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let leaf = signed(params("leaf", false), &key(), ("root", &root_key));
    let options = Options::at(AT).revocation(Revocation::Chain);
    let long = crl(("root", &root_key), 200_000);
    assert_eq!(long.len(), 200_000);
    let roots = [root];
    let given = Given { roots: &roots, crls: std::slice::from_ref(&long), ..Given::default() };
    let report = verify(&leaf, &given, &options);
    bounded(&report, "ok");
    assert!(report.work().comparisons < 200, "{:?}", report.work());
    // Forged lists before the good one use up the signatures, and no more than these.
    let forger = key();
    let forged = crl(("root", &forger), 1);
    let crls: Vec<Crl> = std::iter::repeat_n(forged, 3_000).chain([long]).collect();
    let given = Given { roots: &roots, crls: &crls, ..Given::default() };
    let report = verify(&leaf, &given, &options);
    let work = report.work();
    assert!(work.signatures <= 200 && work.comparisons <= 2_000_000, "{work:?}");
}

#[test]
fn more_certificates_than_anybody_has() {
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let many = vec![root.clone(); MAX_CERTIFICATES];
    bounded(&ask(&root, &many, std::slice::from_ref(&root)), "too-many-certificates");
    bounded(&ask(&root, &many[1..], std::slice::from_ref(&root)), "ok");
}

#[test]
fn nesting_goes_nowhere() {
    for tag in [0x30, 0x31, 0xa0, 0xa3, 0x24, 0x04] {
        let mut nested = Vec::new();
        for _ in 0..30_000 {
            let length = nested.len() as u32;
            let header = [&[tag, 0x84][..], &length.to_be_bytes()].concat();
            // Outermost last; built by prepending once every level would be quadratic.
            nested.extend(header.iter().rev());
        }
        nested.reverse();
        assert!(Certificate::from_any(&nested).is_err());
        assert!(Crl::from_der(&nested).is_err());
        assert!(OcspResponse::from_der(&nested).is_err());
    }
}

#[test]
fn keys_too_large_to_be_used() {
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let leaf = signed(params("leaf", false), &key(), ("root", &root_key));
    // An RSA key of 64,000 bits in place of the root's.
    let mut modulus = vec![0xff; 8_000];
    modulus.insert(0, 0);
    let numbers = [tlv(0x02, &modulus), tlv(0x02, &[1, 0, 1])].concat();
    let algorithm = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = tlv(0x03, &[&[0][..], &tlv(0x30, &numbers)].concat());
    let spki = tlv(0x30, &[tlv(0x30, &algorithm), bits].concat());
    let der = root.der();
    let at = der.windows(root.spki_der().len()).position(|w| w == root.spki_der()).unwrap();
    let tbs_start = der.windows(5).position(|w| w == [0xa0, 3, 2, 1, 2]).unwrap();
    let tbs_end = match der[5] {
        0x82 => 8 + usize::from(u16::from_be_bytes([der[6], der[7]])),
        _ => 7 + usize::from(der[6]),
    };
    let tbs = tlv(
        0x30,
        &[&der[tbs_start..at], &spki, &der[at + root.spki_der().len()..tbs_end]].concat(),
    );
    let huge = Certificate::from_der(&tlv(0x30, &[&tbs, &der[tbs_end..]].concat())).unwrap();
    bounded(&ask(&leaf, &[], &[huge]), "weak-key");
}

#[test]
fn an_answer_that_names_one_number_again_and_again() {
    let root_key = key();
    let root = signed(params("root", true), &root_key, ("root", &root_key));
    let leaf = signed(params("leaf", false), &key(), ("root", &root_key));
    // Ten thousand times the leaf's number, with hashes of another issuer.
    let id = [
        tlv(0x30, &[0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0]),
        tlv(0x04, &[1; 20]),
        tlv(0x04, &[2; 20]),
        tlv(0x02, leaf.serial()),
    ]
    .concat();
    let time = tlv(0x18, b"20260531000000Z");
    let single = tlv(0x30, &[tlv(0x30, &id), vec![0x80, 0], time.clone()].concat());
    let key_hash = tlv(0xa2, &tlv(0x04, &[3; 20]));
    let data = tlv(0x30, &[key_hash, time, tlv(0x30, &single.repeat(9_000))].concat());
    let algorithm = tlv(0x30, &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let basic = tlv(0x30, &[data, algorithm, tlv(0x03, &[0; 65])].concat());
    let kind = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let bytes = tlv(0x30, &[&kind[..], &tlv(0x04, &basic)].concat());
    let answer = tlv(0x30, &[&[0x0a, 1, 0][..], &tlv(0xa0, &bytes)].concat());
    let answers = vec![OcspResponse::from_der(&answer).unwrap(); 300];
    let options = Options::at(AT).revocation(Revocation::Leaf);
    let given = Given { roots: &[root], ocsp: &answers[..20], ..Given::default() };
    let report = verify(&leaf, &given, &options);
    bounded(&report, "status-missing");
    assert_eq!(report.work().signatures, 1, "{:?}", report.work());
    bounded(&verify(&leaf, &Given { ocsp: &answers, ..given }, &options), "too-much-work");
}

/// Prints what large lists cost; `--release -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn what_lists_of_a_million_entries_cost() {
    use std::time::Instant;
    use support::der::{GOOD, IDP, Responder, answer, entry_issuer, seq, single};
    let rss = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    };
    let root = Key::new();
    let anchor = Draft::ca("root", &root, "root", &root).sign(&root);
    let leaf = Draft::leaf("leaf", &Key::new(), "root", &root).sign(&root);
    let serial = |n: u32| [&[0x55][..], &[7; 11], &n.to_be_bytes()].concat();
    let mut plain = ListDraft::new("root", &root);
    for n in 0..1_000_000 {
        plain = plain.revoke(&serial(n), &[]);
    }
    let mut indirect = ListDraft::new("root", &root).with(IDP, true, &seq(&[&[0x84, 1, 0xff]]));
    for n in 0..700_000 {
        indirect = indirect.revoke(&serial(n), &[entry_issuer(&format!("{n}"))]);
    }
    for (what, draft) in [("plain", plain), ("indirect", indirect)] {
        let der = draft.der(&root);
        drop(draft);
        let before = rss();
        let start = Instant::now();
        let list = Crl::from_der(&der).unwrap();
        let read = start.elapsed();
        let used = rss().saturating_sub(before);
        let crls = [list];
        let roots = [anchor.clone()];
        let given = Given { roots: &roots, crls: &crls, ..Given::default() };
        let start = Instant::now();
        let report = verify(&leaf, &given, &Options::at(AT).revocation(Revocation::Chain));
        let verified = start.elapsed();
        println!(
            "{what}: {} entries, {} MiB, read in {read:?} with {used} MiB, verified in {verified:?}: {:?} {:?}",
            crls[0].len(),
            der.len() >> 20,
            report.failure(),
            report.work()
        );
    }
    let times = ("20260531000000Z", "20260630000000Z");
    let singles: Vec<_> =
        (0..8_000).map(|n| single(&serial(n), ("root", &root), GOOD, times)).collect();
    let start = Instant::now();
    let one = answer(&Responder::Name("root"), &singles, &root, &[]).unwrap();
    let read = start.elapsed();
    let many = vec![one; 200];
    let roots = [anchor];
    let given = Given { roots: &roots, ocsp: &many, ..Given::default() };
    let start = Instant::now();
    let report = verify(&leaf, &given, &Options::at(AT).revocation(Revocation::Chain));
    println!(
        "OCSP: read and signed in {read:?}, 200 of them asked in {:?}: {:?}",
        start.elapsed(),
        report.failure()
    );
}
