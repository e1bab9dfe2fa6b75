//! Input from enemies: no panic, no acceptance, and a figure of what honest input costs.

mod support;

use std::time::Instant;

use avouch_path::{Certificate, Crl, Options, Revocation};
use proptest::prelude::*;
use support::{CA, DAY, LEAF, Pki, now, verify};

fn specimens() -> Vec<Vec<u8>> {
    let pki = Pki::new();
    pki.root("root", CA);
    let constrained = "nameConstraints=critical,permitted;DNS:a.example,excluded;email:b.example\n";
    pki.cert("ca", "/O=Example/CN=CA", "root", &format!("{CA}{constrained}"));
    pki.cert("leaf", "/CN=a", "ca", &format!("{LEAF}crlDistributionPoints=URI:http://c.example\n"));
    pki.crl("list", "ca", &[("leaf", "superseded")], "", (0, DAY));
    let decode = |file: &str| {
        let text = std::fs::read_to_string(pki.file(file)).unwrap();
        let body: String = text
            .lines()
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .filter(|line| !line.starts_with("-----"))
            .collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
    };
    ["ca.pem", "leaf.pem", "list.crl"].map(decode).to_vec()
}

fn read(bytes: &[u8]) {
    let certificate = Certificate::from_pem_or_der(bytes);
    let list = Crl::from_pem_or_der(bytes);
    if let Ok(certificates) = &certificate {
        for certificate in certificates {
            let crls = list.as_deref().unwrap_or(&[]);
            let options = Options::at(0).revocation(Revocation::Chain);
            let _ = verify(certificate, certificates, certificates, crls, &options).to_string();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }
}

#[test]
fn truncated_and_altered_input_does_no_harm() {
    for specimen in specimens() {
        for length in 0..specimen.len() {
            assert!(Certificate::from_der(&specimen[..length]).is_err());
            assert!(Crl::from_der(&specimen[..length]).is_err());
        }
        for index in 0..specimen.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0x84, 0xff] {
                let mut altered = specimen.clone();
                altered[index] = value;
                read(&altered);
            }
        }
        let mut longer = specimen.clone();
        longer.push(0);
        assert!(Certificate::from_der(&longer).is_err());
        assert!(Crl::from_der(&longer).is_err());
    }
}

#[test]
fn errors_name_the_byte() {
    let specimen = specimens().remove(1);
    let mut altered = specimen.clone();
    let uri = specimen.windows(9).position(|w| w == b"avouch://").unwrap();
    altered[uri] = 0xff;
    let error = Certificate::from_der(&altered).unwrap_err();
    // The tag and the length stand before the text.
    assert_eq!(error.offset(), uri - 2, "{error}");
}

/// `cargo test -p avouch-path --test hostile -- --ignored --nocapture`
#[test]
#[ignore = "prints a figure"]
fn what_a_chain_of_three_costs() {
    let pki = Pki::three();
    pki.crl("list", "ca", &[], "", (0, DAY));
    let (leaf, untrusted) = (pki.certificate("leaf"), pki.certificates(&["ca"]));
    let (roots, crls) = (pki.certificates(&["root"]), pki.crls(&["list"]));
    for revocation in [Revocation::Ignored, Revocation::Leaf] {
        let options = Options::at(now() + 1).revocation(revocation);
        let rounds: u32 = 2000;
        let start = Instant::now();
        for _ in 0..rounds {
            let report = verify(&leaf, &untrusted, &roots, &crls, &options);
            assert!(report.is_valid(), "{report}");
        }
        println!("{revocation:?}: {} µs a chain", (start.elapsed() / rounds).as_micros());
    }
}
