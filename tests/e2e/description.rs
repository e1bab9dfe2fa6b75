//! The API does what its description says.

use avouch_tests::{Installation, schemathesis};
use serde_json::Value;

use crate::enrolled;

#[test]
fn the_api_keeps_to_its_description() {
    let installation = Installation::start();
    // Whom the examples speak of is there; so the example of an enrolment is a renewal.
    let description: Value = installation.stranger().get("/openapi.json").json(200);
    let issue = &description["paths"]["/api/v1/identities/{uid}/certificates"]["post"];
    let csr = &issue["requestBody"]["content"]["application/pkcs10"]["example"];
    enrolled(&installation, "alice", csr.as_str().expect("an example").as_bytes());
    // The same requests each time, so that a failure is about the change at hand; the long run
    // looks for new ones.
    let long = std::env::var_os("AVOUCH_LONG").is_some();
    let (examples, seed) = if long { (1000, None) } else { (30, Some(17)) };
    schemathesis::run(&installation, examples, seed);
}
