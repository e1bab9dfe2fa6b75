//! Shares of a PIN as operators type them, and the file that says which they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkcs11::shares::{Share, ShareSet};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(share) = Share::parse(text) {
        let again = Share::parse(&share.lines()).expect("taken before");
        assert_eq!(again.text(), share.text());
        assert!(share.number() > 0);
    }
    if let Ok(set) = ShareSet::parse(text) {
        assert_eq!(set.to_text(), text);
        assert!(set.threshold() >= 2 && set.threshold() <= set.count());
    }
});
