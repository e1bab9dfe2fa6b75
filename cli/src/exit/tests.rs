use super::*;

/// The codes of `docs/exit-codes.md`, by the problems that lead to them.
#[test]
fn problems_have_the_documented_exit_codes() {
    let table = [
        (ProblemCode::HsmUnavailable, 3),
        (ProblemCode::Pending, 21),
        (ProblemCode::UnknownIdentity, 10),
        (ProblemCode::IdentitySuspended, 12),
        (ProblemCode::IdentityChangeRequired, 20),
        (ProblemCode::BadEncoding, 20),
        (ProblemCode::WeakKey, 20),
        (ProblemCode::AuthorityUnavailable, 2),
        (ProblemCode::Internal, 2),
    ];
    for (code, expected) in table {
        assert_eq!(of_problem(code) as u8, expected, "{}", code.slug());
    }
}

#[test]
fn every_code_is_found_by_its_number() {
    for n in [1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 20, 21] {
        assert_eq!(Exit::from_number(n) as u8, n);
    }
    assert_eq!(Exit::from_number(99), Exit::Local, "an unknown number is a local matter");
}
