//! Lists and certificates made of millions of tiny parts: refused, or read into a few times what
//! they are. Each case has a process of its own, whose peak the kernel tells.

mod support;

use std::process::Command;

use avouch_path::{Certificate, Crl};
use support::der::{
    AKI, Draft, IDP, Key, ListDraft, NAMES, POINTS, PURPOSES, SAN, ce, name, seq, tlv, utc,
};

const CASE: &str = "AVOUCH_MEMORY_CASE";
/// Of each list.
const SIZE: usize = 50 << 20;
/// Of those of which every octet is worked on, so that the test stays short.
const LESS: usize = 16 << 20;
/// What reading may take beside the bytes that are read, in MiB.
const LIMIT: usize = 160;
/// And of a certificate, which has at most 256 KiB.
const SMALL: usize = 12;

/// An attribute of nine octets: type 0.0, value NULL.
const TINY: &[u8] = &[0x31, 7, 0x30, 5, 0x06, 1, 0, 0x05, 0];

fn many(part: &[u8], size: usize) -> Vec<u8> {
    part.repeat(size / part.len())
}

/// An extension of seven octets.
fn extension(n: u8) -> Vec<u8> {
    seq(&[&[0x06, 1, n & 0x7f], &[0x04, 0]])
}

fn entry(extensions: &[u8]) -> Vec<u8> {
    let own = if extensions.is_empty() { Vec::new() } else { tlv(0x30, extensions) };
    seq(&[&[0x02, 1, 7], &utc("260201000000Z"), &own])
}

fn about(names: &[u8]) -> Vec<u8> {
    let value = tlv(0x04, &tlv(0x30, names));
    entry(&seq(&[&tlv(0x06, &ce(29)), &[1, 1, 0xff], &value]))
}

struct Case {
    name: &'static str,
    /// What a refusal says; nothing where it is read.
    refused: Option<&'static str>,
    limit: usize,
    der: fn(&Key) -> Vec<u8>,
}

fn list(key: &Key) -> ListDraft {
    ListDraft::new("ca", key)
}

fn leaf(key: &Key) -> Draft {
    Draft::leaf("leaf", key, "ca", key)
}

const CASES: &[Case] = &[
    Case {
        name: "list-issuer",
        refused: Some("a part of a CRL"),
        limit: 8,
        der: |key| ListDraft { issuer: tlv(0x30, &many(TINY, SIZE)), ..list(key) }.der(key),
    },
    Case {
        name: "list-issuer-of-one-attribute",
        refused: Some("a part of a CRL"),
        limit: 8,
        der: |key| {
            let text = "x".repeat(SIZE);
            ListDraft { issuer: name(&text), ..list(key) }.der(key)
        },
    },
    Case {
        name: "list-extensions",
        refused: Some("a part of a CRL"),
        limit: 8,
        der: |key| {
            let mut list = list(key);
            list.extensions.push((ce(99), false, vec![0; SIZE]));
            list.der(key)
        },
    },
    Case {
        name: "names-in-the-point",
        refused: Some("a part of a CRL"),
        limit: 8,
        der: |key| {
            let names = many(&tlv(0xa4, &tlv(0x30, TINY)), SIZE);
            list(key).with(IDP, true, &seq(&[&tlv(0xa0, &tlv(0xa0, &names))])).der(key)
        },
    },
    Case {
        name: "one-entry",
        refused: Some("a part of a CRL"),
        limit: 8,
        der: |key| {
            let extensions: Vec<u8> = many(&extension(1), SIZE);
            ListDraft { entries: vec![entry(&extensions)], ..list(key) }.der(key)
        },
    },
    Case {
        name: "empty-entries",
        refused: Some("serial number is missing"),
        limit: LIMIT,
        der: |key| ListDraft { entries: vec![many(&[0x30, 0], SIZE)], ..list(key) }.der(key),
    },
    Case {
        name: "shortest-entries",
        refused: None,
        limit: LIMIT,
        der: |key| ListDraft { entries: vec![many(&entry(&[]), SIZE)], ..list(key) }.der(key),
    },
    Case {
        name: "tiny-extensions-of-entries",
        refused: None,
        limit: LIMIT,
        der: |key| {
            let all: Vec<u8> = (0..100).flat_map(extension).collect();
            ListDraft { entries: vec![many(&entry(&all), LESS)], ..list(key) }.der(key)
        },
    },
    Case {
        name: "issuers-of-tiny-attributes",
        refused: None,
        limit: LIMIT,
        der: |key| {
            let one = about(&tlv(0xa4, &tlv(0x30, &TINY.repeat(256))));
            let two = about(&tlv(0xa4, &tlv(0x30, &TINY.repeat(255))));
            ListDraft { entries: vec![many(&[one, two].concat(), LESS)], ..list(key) }.der(key)
        },
    },
    Case {
        name: "issuers-without-attributes",
        refused: None,
        limit: LIMIT,
        der: |key| {
            let both = [about(&tlv(0xa4, &tlv(0x30, TINY))), about(&tlv(0xa4, &tlv(0x30, &[])))];
            ListDraft { entries: vec![many(&both.concat(), LESS)], ..list(key) }.der(key)
        },
    },
    Case {
        name: "an-issuer-of-many-names",
        refused: None,
        limit: LIMIT,
        der: |key| {
            let names = [many(&[0x82, 0], 200 << 10), tlv(0xa4, &name("x"))].concat();
            ListDraft { entries: vec![many(&about(&names), LESS)], ..list(key) }.der(key)
        },
    },
    Case {
        name: "subject",
        refused: Some("a name of more than 256 attributes"),
        limit: SMALL,
        der: |key| Draft { subject: tlv(0x30, &many(TINY, 250 << 10)), ..leaf(key) }.der(key),
    },
    Case {
        name: "subject-of-one-set",
        refused: Some("a name of more than 256 attributes"),
        limit: SMALL,
        der: |key| {
            let set = tlv(0x31, &many(&TINY[2..], 250 << 10));
            Draft { subject: tlv(0x30, &set), ..leaf(key) }.der(key)
        },
    },
    Case {
        name: "alternative-names",
        refused: Some("more than 65536 general names"),
        limit: SMALL,
        der: |key| leaf(key).with(SAN, false, &tlv(0x30, &[0x82, 0].repeat(70_000))).der(key),
    },
    Case {
        name: "directory-names",
        refused: None,
        limit: SMALL,
        der: |key| {
            let one = tlv(0xa4, &tlv(0x30, TINY));
            leaf(key).with(SAN, false, &tlv(0x30, &many(&one, 250 << 10))).der(key)
        },
    },
    Case {
        name: "subtrees",
        refused: None,
        limit: SMALL,
        der: |key| {
            let all = many(&seq(&[&[0x82, 0]]), 250 << 10);
            leaf(key).with(NAMES, true, &seq(&[&tlv(0xa0, &all)])).der(key)
        },
    },
    Case {
        name: "purposes",
        refused: None,
        limit: SMALL,
        der: |key| {
            leaf(key).with(PURPOSES, false, &tlv(0x30, &many(&[0x06, 1, 1], 250 << 10))).der(key)
        },
    },
    Case {
        name: "distribution-points",
        refused: Some("more than 1024 distribution points"),
        limit: SMALL,
        der: |key| {
            let point = seq(&[&tlv(0xa2, &[0x82, 0])]);
            leaf(key).with(POINTS, false, &tlv(0x30, &many(&point, 250 << 10))).der(key)
        },
    },
    Case {
        name: "issuers-of-the-key",
        refused: None,
        limit: SMALL,
        der: |key| {
            let names = many(&tlv(0xa4, &tlv(0x30, TINY)), 250 << 10);
            leaf(key).with(AKI, false, &seq(&[&tlv(0xa1, &names)])).der(key)
        },
    },
];

fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() >> 10
}

/// Runs as a process of its own, for one case.
#[test]
fn child() {
    let Ok(wanted) = std::env::var(CASE) else { return };
    let case = CASES.iter().find(|case| case.name == wanted).unwrap();
    let der = (case.der)(&Key::new());
    // From here on the kernel counts the peak anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmHWM");
    let result = if der.len() > 1 << 20 {
        Crl::from_der(&der).map(|list| list.len())
    } else {
        Certificate::from_der(&der).map(|_| 0)
    };
    let told = match result {
        Ok(entries) => format!("read, {entries} entries"),
        Err(error) => format!("refused: {error}"),
    };
    println!("\npeak {} {told}", status("VmHWM") - before);
}

#[test]
fn millions_of_tiny_parts() {
    for case in CASES {
        let start = std::time::Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CASE, case.name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}: {text}", case.name);
        let line = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
        println!("{}: {line} MiB, {:?}", case.name, start.elapsed());
        let (peak, told) = line.split_once(' ').unwrap();
        assert!(peak.parse::<usize>().unwrap() <= case.limit, "{}: {line} MiB", case.name);
        match case.refused {
            Some(why) => assert!(told.contains(why), "{}: {told}", case.name),
            None => assert!(told.starts_with("read"), "{}: {told}", case.name),
        }
    }
}
