//! Chains made up by the fuzzer, put to avouch-path, openssl and webpki. Where they part, there has
//! to be a reason that `differ/explain.rs` knows (and `differ/README.md` tells).
#![no_main]

#[path = "../differ/explain.rs"]
mod explain;
#[path = "../differ/spec.rs"]
mod spec;
#[path = "../differ/verifiers.rs"]
mod verifiers;

use libfuzzer_sys::fuzz_target;
use spec::Chain;

fuzz_target!(|chain: Chain| {
    let Some(made) = chain.make() else { return };
    let opinion = |profile| verifiers::ours(&chain, &made, profile);
    let (ours, strictly) = (opinion(path::Profile::Rfc5280), opinion(path::Profile::Strict));
    let openssl = |strict| verifiers::openssls(&chain, &made, strict);
    for (who, ours, theirs, reason) in [
        ("openssl", &ours, openssl(false), explain::openssl as explain::Explain),
        ("openssl, strict,", &strictly, openssl(true), explain::strict),
        ("webpki", &ours, verifiers::webpkis(&chain, &made), explain::webpki),
    ] {
        if ours.is_ok() != theirs.is_ok() && reason(&chain, ours, &theirs).is_none() {
            let told = format!("{who} says {theirs:?}, we say {ours:?}");
            // For working on the list of reasons.
            if std::env::var_os("AVOUCH_DIFFER_TELL").is_some() {
                println!("{told} || {chain:?}");
                continue;
            }
            panic!("{told}, of {chain:#?}");
        }
    }
    assert!(ours.is_ok() || strictly.is_err(), "strict takes {chain:#?}, which {ours:?}");
});
