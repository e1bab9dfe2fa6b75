//! Everything that is signed or logged, and the trust file: what is taken is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Encoded;
use wire::address::{Address, SealedAddress};
use wire::bundle::{Bundle, MAX_BUNDLE};
use wire::event::{Certified, Event, Revoked, TransportWord};
use wire::frame;
use wire::genesis::Genesis;
use wire::head::Head;
use wire::intent::Intent;
use wire::leaf::Leaf;
use wire::rules::Rules;
use wire::statement::{SignedStatement, Statement};
use wire::trust::TrustFile;
use wire::waited::WaitProof;

fn check<T: Encoded>(data: &[u8]) {
    if let Ok(value) = T::from_canonical(data) {
        assert!(value.to_canonical() == data, "{}: two encodings", T::FORMAT);
    }
}

fuzz_target!(|data: &[u8]| {
    check::<Event>(data);
    check::<Genesis>(data);
    check::<Certified>(data);
    check::<Revoked>(data);
    check::<TransportWord>(data);
    check::<Rules>(data);
    check::<Intent>(data);
    check::<Statement>(data);
    check::<SignedStatement>(data);
    check::<Leaf>(data);
    check::<Head>(data);
    check::<SealedAddress>(data);
    check::<Address>(data);
    check::<WaitProof>(data);
    if let Ok(address) = Address::from_canonical(data) {
        let text = address.address();
        assert!(text.bytes().all(|b| b.is_ascii_graphic()), "more than an address: {text:?}");
    }
    if let Ok(bundle) = frame::decode::<Bundle>(data, MAX_BUNDLE) {
        let bytes = frame::encode(&bundle, MAX_BUNDLE).expect("read from as many bytes");
        assert!(frame::decode::<Bundle>(&bytes, MAX_BUNDLE).is_ok_and(|again| again == bundle));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(trust) = TrustFile::parse(text)
    {
        let again = TrustFile::parse(&trust.to_text()).expect("written by ourselves");
        assert_eq!(again.fingerprint(), trust.fingerprint());
    }
});
