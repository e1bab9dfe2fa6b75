//! What the gateway reads from the socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::{self, MAX_RESPONSE};
use wire::socket::{Response, Welcome};

fuzz_target!(|data: &[u8]| {
    let _ = frame::decode::<Welcome>(data, MAX_RESPONSE);
    let Ok(message) = frame::decode::<Response>(data, MAX_RESPONSE) else { return };
    let bytes = frame::encode(&message, MAX_RESPONSE).expect("read from as many bytes");
    let again = frame::decode::<Response>(&bytes, MAX_RESPONSE).expect("written by ourselves");
    assert_eq!(again, message);
});
