//! Project Wycheproof's vectors for every algorithm that is taken.
//!
//! What must be refused is refused; what must be taken is taken, but for what `UNSUPPORTED` names.

use wycheproof::{HashFunction, TestResult, dsa as dsa_vectors, ecdsa, eddsa};
use wycheproof::{rsa_pkcs1_verify, rsa_pss_verify};

use super::*;

fn key(spki: &[u8]) -> PublicKey {
    PublicKey::read(&Reader::new(spki).next().unwrap()).unwrap()
}

fn hash(hash: HashFunction) -> Option<Hash> {
    Some(match hash {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_224 => Hash::Sha224,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        _ => return None,
    })
}

#[derive(Default)]
struct Tally {
    taken: usize,
    refused: usize,
    /// By what is not supported.
    unsupported: std::collections::BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    #[allow(clippy::too_many_arguments)]
    fn hold(
        &mut self,
        name: &str,
        algorithm: &SignatureAlgorithm,
        key: &PublicKey,
        (message, signature): (&[u8], &[u8]),
        expected: TestResult,
        weak: bool,
    ) {
        match (verify(algorithm, key, message, signature, Profile::Rfc5280), expected) {
            (Ok(()), TestResult::Valid | TestResult::Acceptable) => self.taken += 1,
            (Err(SignatureError::Unsupported(why)), _) => {
                *self.unsupported.entry(why).or_default() += 1;
            }
            (Err(_), TestResult::Invalid | TestResult::Acceptable) => self.refused += 1,
            // Keys that are refused whatever they signed.
            (Err(SignatureError::RsaExponent | SignatureError::RsaTooSmall { .. }), _) if weak => {
                self.refused += 1;
            }
            (result, _) => self.wrong.push(format!("{name}: {result:?}, should be {expected:?}")),
        }
    }

    #[track_caller]
    fn report(self, what: &str, unsupported: &[&str]) {
        println!("{what}: {} taken, {} refused, {:?}", self.taken, self.refused, self.unsupported);
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.taken > 0 && self.refused > 0);
        let named: Vec<&str> = self.unsupported.keys().map(String::as_str).collect();
        assert_eq!(named, unsupported, "{what}");
    }
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::TestName as N;
    let mut tally = Tally::default();
    for set in [
        N::EcdsaSecp256r1Sha256,
        N::EcdsaSecp256r1Sha512,
        N::EcdsaSecp384r1Sha256,
        N::EcdsaSecp384r1Sha384,
        N::EcdsaSecp384r1Sha512,
        N::EcdsaSecp521r1Sha512,
    ] {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let algorithm = SignatureAlgorithm::Ecdsa(hash(group.hash).unwrap());
            let key = key(&group.der);
            for test in group.tests {
                let name = format!("{set:?} {}", test.tc_id);
                let pair = (test.msg.as_slice(), test.sig.as_slice());
                tally.hold(&name, &algorithm, &key, pair, test.result, false);
            }
        }
    }
    tally.report("ECDSA", &[]);
}

#[test]
fn ed25519_signatures() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = key(&group.der);
        for test in group.tests {
            let name = format!("Ed25519 {}", test.tc_id);
            let pair = (test.msg.as_slice(), test.sig.as_slice());
            tally.hold(&name, &SignatureAlgorithm::Ed25519, &key, pair, test.result, false);
        }
    }
    tally.report("Ed25519", &[]);
}

#[test]
fn dsa_signatures() {
    use dsa_vectors::TestName as N;
    let mut tally = Tally::default();
    for set in [N::Dsa2048_224Sha224, N::Dsa2048_224Sha256, N::Dsa2048_256Sha256] {
        for group in dsa_vectors::TestSet::load(set).unwrap().test_groups {
            let algorithm = SignatureAlgorithm::Dsa(hash(group.hash).unwrap());
            let key = key(&group.der);
            // They take milliseconds each without optimisation: every third one.
            for test in group.tests.into_iter().step_by(3) {
                let name = format!("{set:?} {}", test.tc_id);
                let pair = (test.msg.as_slice(), test.sig.as_slice());
                tally.hold(&name, &algorithm, &key, pair, test.result, false);
            }
        }
    }
    tally.report("DSA", &[]);
}

#[test]
fn rsa_pkcs1_signatures() {
    let mut tally = Tally::default();
    for set in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let Some(hash) = hash(group.hash) else { continue };
            let (algorithm, key) = (SignatureAlgorithm::RsaPkcs1(hash), key(&group.der));
            for test in group.tests {
                let name = format!("{set:?} {}", test.tc_id);
                let pair = (test.msg.as_slice(), test.sig.as_slice());
                tally.hold(&name, &algorithm, &key, pair, test.result, true);
            }
        }
    }
    tally.report("RSA PKCS#1", &["RSA PKCS#1 v1.5 with Sha224 by RSA-2048"]);
}

#[test]
fn rsa_pss_signatures() {
    let mut tally = Tally::default();
    for set in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let (Some(own), mgf) = (hash(group.hash), group.mgf_hash.and_then(hash)) else {
                continue;
            };
            // What the parameters of a certificate would be read as.
            if mgf != Some(own) || matches!(own, Hash::Sha1 | Hash::Sha224) {
                continue;
            }
            let salt = u16::try_from(group.salt_size).unwrap();
            let (algorithm, key) =
                (SignatureAlgorithm::RsaPss { hash: own, salt }, key(&group.der));
            for test in group.tests {
                let name = format!("{set:?} {}", test.tc_id);
                let pair = (test.msg.as_slice(), test.sig.as_slice());
                tally.hold(&name, &algorithm, &key, pair, test.result, true);
            }
        }
    }
    tally.report("RSASSA-PSS", &[]);
}
