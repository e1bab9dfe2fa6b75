//! Certification requests as the gateway hands them on: DER or PEM, from anybody.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use wire::UserId;
use x509::{Blocklist, Csr, KeyRules};

static RULES: LazyLock<KeyRules> =
    LazyLock::new(|| KeyRules::identity(Arc::new(Blocklist::default())));

fuzz_target!(|data: &[u8]| {
    match Csr::parse(data, &RULES) {
        Ok(csr) => {
            // What was taken once is taken again from its DER, and is the same.
            let again = Csr::parse(csr.der(), &RULES).expect("taken before");
            assert_eq!(again.der(), csr.der());
            assert_eq!(again.spki_hash(), csr.spki_hash());
            let uid = UserId::parse("alice").expect("a plain id");
            let _ = csr.check_subject(&uid);
            let _ = (csr.subject_common_name(), csr.requested_names(), csr.hash());
        }
        Err(error) => {
            assert!(!error.code().is_empty() && !error.to_string().is_empty());
            if let Some(offset) = error.offset() {
                assert!(offset <= data.len() as u64, "offset {offset} of {} bytes", data.len());
            }
        }
    }
});
