//! The worker as a program of its own: what this crate's tests start. Installations run
//! `avouch hsm-worker`, which is the same function.

use std::process::ExitCode;

fn main() -> ExitCode {
    avouch_pkcs11::worker::run()
}
