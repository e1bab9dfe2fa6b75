use wire::problem::ProblemCode;

/// Codes that `x509` gives to refused certification requests, as its documentation lists them.
const CODES: [&str; 13] = [
    "oversize",
    "wrong-pem-label",
    "bad-encoding",
    "trailing-bytes",
    "unsupported-key",
    "off-curve",
    "weak-key",
    "compromised-key",
    "sha1",
    "weak-digest",
    "unsupported-signature",
    "bad-signature",
    "wrong-subject",
];

#[test]
fn every_reason_to_refuse_a_request_has_its_own_problem() {
    for code in CODES {
        assert!(ProblemCode::from_slug(code).is_some(), "{code}");
    }
}
