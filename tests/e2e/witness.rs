//! `avouch witness`: what it co-signs, what it does not, and that nothing makes it forget.

mod foreign;
mod killed;
mod served;

use avouch_tests::{TestLog, Witness};

const ORIGIN: &str = "log.example/e2e";

/// A running witness of one log.
fn witness(log: &TestLog) -> Witness {
    witness_of(ORIGIN, log)
}

fn witness_of(origin: &str, log: &TestLog) -> Witness {
    let mut witness = Witness::new("w.example/one", "");
    witness.configure("", &[(origin, log.vkey())]);
    witness.start().unwrap();
    witness
}
