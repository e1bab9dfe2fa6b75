//! Anybody's certificates, as `avouch verify chain` reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use path::Certificate;

fuzz_target!(|data: &[u8]| {
    let Ok(all) = Certificate::from_pem_or_der(data) else { return };
    for certificate in all {
        let again = Certificate::from_der(certificate.der()).expect("taken before");
        assert_eq!(again.fingerprint(), certificate.fingerprint());
        let _ = (certificate.alternative_names(), certificate.key_usage(), certificate.subject());
        let _ = certificate.crl_uris().count();
        let _ = certificate.public_key().describe();
    }
});
