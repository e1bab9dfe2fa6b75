//! What a verification costs: ours, openssl's in the same process, and the bare signature checks.
//! `cargo run --release --features cost --bin chain-cost` in `fuzz/`; medians of rounds that take turns.

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext};
use path::{Certificate, Given, Options};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, date_time_ymd,
};

const AT: i64 = 1_780_272_000;
const ROUNDS: usize = 300;
const EACH: u32 = 20;

fn params(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.use_authority_key_identifier_extension = true;
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    }
    params
}

/// The signed part and the signature of a certificate.
fn parts(der: &[u8]) -> (&[u8], &[u8]) {
    let header = |at: usize| match der[at + 1] {
        0x82 => (4, usize::from(u16::from_be_bytes([der[at + 2], der[at + 3]]))),
        0x81 => (3, usize::from(der[at + 2])),
        short => (2, usize::from(short)),
    };
    let start = header(0).0;
    let (size, length) = header(start);
    let algorithm = start + size + length;
    let bits = algorithm + header(algorithm).0 + header(algorithm).1;
    (&der[start..algorithm], &der[bits + header(bits).0 + 1..])
}

fn main() {
    let keys: Vec<KeyPair> = (0..3).map(|_| KeyPair::generate().expect("a key")).collect();
    let (root, ca) = (params("root", true), params("ca", true));
    let root_der = root.self_signed(&keys[0]).expect("a root").der().to_vec();
    let by_root = Issuer::from_params(&root, &keys[0]);
    let ca_der = ca.signed_by(&keys[1], &by_root).expect("a CA").der().to_vec();
    let by_ca = Issuer::from_params(&ca, &keys[1]);
    let leaf_der =
        params("leaf", false).signed_by(&keys[2], &by_ca).expect("a leaf").der().to_vec();

    let read = |der: &[u8]| Certificate::from_der(der).expect("a certificate");
    let (leaf, untrusted, roots) = (read(&leaf_der), [read(&ca_der)], [read(&root_der)]);
    let given = Given { roots: &roots, untrusted: &untrusted, ..Given::default() };
    let ours = || {
        let options = Options::at(AT);
        assert!(path::verify(&leaf, &given, &options).is_valid());
    };

    let x509 = |der: &[u8]| X509::from_der(der).expect("a certificate");
    let mut store = X509StoreBuilder::new().expect("a store");
    store.add_cert(x509(&root_der)).expect("added");
    let mut param = X509VerifyParam::new().expect("parameters");
    param.set_time(AT);
    store.set_param(&param).expect("set");
    let store = store.build();
    let mut chain = Stack::new().expect("a stack");
    chain.push(x509(&ca_der)).expect("pushed");
    let their_leaf = x509(&leaf_der);
    let theirs = || {
        let mut context = X509StoreContext::new().expect("a context");
        let valid = context.init(&store, &their_leaf, &chain, |c| c.verify_cert());
        assert!(valid.expect("verified"));
    };

    let bare_of = [(&ca_der, &keys[0]), (&leaf_der, &keys[1])];
    let bare = || {
        for (der, key) in bare_of {
            let (signed, signature) = parts(der);
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der_bytes());
            key.verify(signed, signature).expect("a good signature");
        }
    };

    let cold = || {
        let (leaf, untrusted, roots) = (read(&leaf_der), [read(&ca_der)], [read(&root_der)]);
        let given = Given { roots: &roots, untrusted: &untrusted, ..Given::default() };
        assert!(path::verify(&leaf, &given, &Options::at(AT)).is_valid());
    };

    let leaf_tbs = parts(&leaf_der).0;
    let examined = || {
        let options = Options::at(AT).profile(path::Profile::Strict);
        path::examine(leaf_tbs, &untrusted[0], &options).expect("fit to be signed");
    };

    let tasks: [(&str, &dyn Fn()); 5] = [
        ("bare signatures", &bare),
        ("avouch", &ours),
        ("avouch, with parsing", &cold),
        ("openssl", &theirs),
        ("what an issuer examines before it signs", &examined),
    ];
    let mut times = vec![Vec::new(); tasks.len()];
    for _ in 0..ROUNDS {
        for ((_, task), times) in tasks.iter().zip(&mut times) {
            let start = Instant::now();
            (0..EACH).for_each(|_| task());
            times.push(start.elapsed() / EACH);
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / 1000.0
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    for ((name, _), time) in tasks.iter().zip(&medians) {
        println!("{name}: {time:.1} µs, {:.2} × bare", time / medians[0]);
    }
}
