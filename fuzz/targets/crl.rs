//! Anybody's revocation lists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use path::Crl;

fuzz_target!(|data: &[u8]| {
    let Ok(all) = Crl::from_pem_or_der(data) else { return };
    for crl in all {
        let _ = (crl.issuer(), crl.this_update(), crl.next_update(), crl.number());
        assert_eq!(crl.is_empty(), crl.len() == 0);
    }
});
