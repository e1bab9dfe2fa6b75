use super::*;

#[test]
fn explanations_have_their_backticks_in_pairs() {
    for code in ProblemCode::ALL {
        assert_eq!(code.explanation().matches('`').count() % 2, 0, "{code:?}");
    }
}
