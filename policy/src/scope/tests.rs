use super::*;
use crate::testing::uid;

fn scope(text: &str) -> Result<Scope, ScopeError> {
    Scope::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

fn named(kind: NameKind, value: &str) -> Name {
    Name { kind, value: value.to_owned() }
}

#[test]
fn an_empty_scope_is_everything_but_names() {
    let all = scope("").unwrap();
    assert!(all.enrols() && all.is_directory() && all.covers(&uid("anybody")));
    assert!(!all.lets_assert(&named(NameKind::Rfc822, "a@example.org")));
    // A restriction takes neither of the two away; naming one of them takes the other.
    let some = scope("uid-suffix=@example.org").unwrap();
    assert!(some.enrols() && some.is_directory());
    assert!(scope("enrol").unwrap().enrols() && !scope("enrol").unwrap().is_directory());
    assert!(!scope("directory").unwrap().enrols());
}

#[test]
fn ids_are_covered_by_any_prefix_or_suffix() {
    let scope = scope("uid-prefix=staff- uid-suffix=@example.org uid-suffix=@example.com").unwrap();
    for (name, covered) in [
        ("staff-1", true),
        ("x@example.org", true),
        ("x@example.com", true),
        ("x@example.org.evil", false),
        ("Staff-1", false),
        ("student-1", false),
    ] {
        assert_eq!(scope.covers(&uid(name)), covered, "{name}");
    }
}

#[test]
fn names_are_asserted_by_kind_and_whole_domain() {
    let scope = scope("email=example.org upn=*").unwrap();
    for (kind, value, lets) in [
        (NameKind::Rfc822, "a@example.org", true),
        (NameKind::Rfc822, "a@mail.example.org", false),
        (NameKind::Rfc822, "a@notexample.org", false),
        (NameKind::Upn, "a@anything", true),
        (NameKind::UserId, "a@example.org", false),
    ] {
        assert_eq!(scope.lets_assert(&named(kind, value)), lets, "{kind} {value}");
    }
}

#[test]
fn what_is_not_understood_is_no_scope() {
    for text in [
        "enroll",
        "enrol=yes",
        "uid-prefix",
        "uid-prefix=",
        "email",
        // Nobody counts an agent's enrolments: who asks for that is told, not calmed.
        "enrol-per-day=12",
    ] {
        assert!(scope(text).is_err(), "{text}");
    }
}
