//! Files that somebody hands to a person: requests to sign, keys to load, letters to open.
#![no_main]

use std::sync::LazyLock;

use client::keys::{KeyAlgorithm, PrivateKey};
use client::statement::Draft;
use client::statement::file::RequestFile;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(KeyAlgorithm::P256).expect("a key can be made"));

fuzz_target!(|data: &[u8]| {
    if let Ok(file) = RequestFile::parse(data) {
        let again = RequestFile::parse(file.to_text().as_bytes()).expect("written by ourselves");
        assert_eq!(again, file);
        let _ = (Draft::of_file(&file), file.signed());
        let _ = evidence::handed::Handed::parse(data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(receipt) = wire::receipt::Receipt::parse(text)
    {
        assert_eq!(receipt.to_text(), text);
    }
    let _ = wire::receipt::ReceiptFile::parse(data);
    let _ = PrivateKey::from_pem_or_der(data);
    // Nothing was ever sealed to this key.
    assert!(client::cms::open(data, &KEY, &[]).is_err());
});
