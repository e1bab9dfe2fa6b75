use http::HeaderValue;

use super::*;

fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn chosen(accept: &[&str]) -> Option<&'static str> {
    negotiate(&headers(ACCEPT, accept), &[JSON, PEM_CHAIN, PKIX_CERT]).ok()
}

#[test]
fn no_wish_is_granted_the_first_offer() {
    assert_eq!(chosen(&[]), Some(JSON));
    assert_eq!(chosen(&[""]), Some(JSON));
    assert_eq!(chosen(&["nonsense"]), Some(JSON));
}

#[test]
fn the_most_specific_range_decides() {
    assert_eq!(chosen(&["application/json;q=0, */*"]), Some(PEM_CHAIN));
    assert_eq!(chosen(&["application/*;q=0.1, application/pkix-cert;q=0.2"]), Some(PKIX_CERT));
    assert_eq!(chosen(&["application/*;q=0, application/pkix-cert;q=0.001"]), Some(PKIX_CERT));
    assert_eq!(chosen(&["*/*;q=0"]), None);
    assert_eq!(chosen(&["application/json;q=0.0"]), None);
}

#[test]
fn several_headers_are_one_list() {
    assert_eq!(chosen(&["text/html", "application/pkix-cert"]), Some(PKIX_CERT));
}

#[test]
fn qualities_are_as_rfc_9110_writes_them() {
    for (text, thousandths) in
        [("1", 1000), ("1.", 1000), ("1.000", 1000), ("0", 0), ("0.5", 500), ("0.125", 125)]
    {
        assert_eq!(quality(text), Some(thousandths), "{text}");
    }
    for text in ["", "2", "1.1", "-1", "0.1234", "0,5", ".5", "x", "1.001", "0.+1"] {
        assert_eq!(quality(text), None, "{text}");
    }
    // A range whose quality cannot be read is not a wish.
    assert_eq!(chosen(&["application/pkix-cert;q=x, application/json;q=0.1"]), Some(JSON));
    assert_eq!(chosen(&["application/json ; charset=utf-8 ; Q=0.1, */*;q=0.2"]), Some(PEM_CHAIN));
}

#[test]
fn entity_tags_are_compared_weakly() {
    let has = |values: &[&str]| not_modified(&headers(IF_NONE_MATCH, values), "\"3-aa\"");
    assert!(has(&["\"3-aa\""]));
    assert!(has(&["W/\"3-aa\""]));
    assert!(has(&["\"1\", \"3-aa\""]));
    assert!(has(&["\"1\"", "*"]));
    assert!(!has(&["\"3\"", "3-aa"]));
    assert!(!has(&[]));
}

#[test]
fn preconditions_are_compared_strongly() {
    let has = |values: &[&str]| matches(&headers(http::header::IF_MATCH, values), Some("\"3-aa\""));
    assert!(has(&["\"3-aa\""]));
    assert!(has(&["\"1\", \"3-aa\""]));
    assert!(has(&["*"]));
    assert!(!has(&["W/\"3-aa\""]));
    assert!(!has(&["\"3\"", "3-aa"]));
    assert!(!matches(&headers(http::header::IF_MATCH, &["*"]), None));
}
