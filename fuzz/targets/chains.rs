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
    let ours = verifiers::ours(&chain, &made, path::Profile::Rfc5280);
    for (who, theirs, reason) in [
        (
            "openssl",
            verifiers::openssls(&chain, &made, false),
            explain::openssl as explain::Explain,
        ),
        ("webpki", verifiers::webpkis(&chain, &made), explain::webpki),
    ] {
        if ours.is_ok() != theirs.is_ok() && reason(&chain, &ours, &theirs).is_none() {
            let told = format!("{who} says {theirs:?}, we say {ours:?}");
            // For working on the list of reasons.
            if std::env::var_os("AVOUCH_DIFFER_TELL").is_some() {
                println!("{told} || {chain:?}");
                continue;
            }
            panic!("{told}, of {chain:#?}");
        }
    }
});
