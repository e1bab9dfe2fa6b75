//! What a compromised gateway may say to the authority.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::{self, MAX_REQUEST};
use wire::socket::{Hello, Request};

fuzz_target!(|data: &[u8]| {
    let _ = frame::decode::<Hello>(data, MAX_REQUEST);
    let Ok(message) = frame::decode::<Request>(data, MAX_REQUEST) else { return };
    let bytes = frame::encode(&message, MAX_REQUEST).expect("read from as many bytes");
    let again = frame::decode::<Request>(&bytes, MAX_REQUEST).expect("written by ourselves");
    assert_eq!(again, message);
});
