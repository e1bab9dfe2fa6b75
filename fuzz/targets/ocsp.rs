//! Anybody's OCSP answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use path::OcspResponse;

fuzz_target!(|data: &[u8]| {
    let Ok(all) = OcspResponse::from_pem_or_der(data) else { return };
    for response in all {
        let _ = (response.nonce_match(b"nonce"), response.produced_at());
    }
});
