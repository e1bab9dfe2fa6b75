use super::*;

#[test]
fn dns_subtrees() {
    let permitted = |host, base| dns(host, base, Side::Permitted);
    assert_eq!(permitted("example.com", "example.com"), Some(true));
    assert_eq!(permitted("Host.EXAMPLE.com", "example.com"), Some(true));
    assert_eq!(permitted("*.example.com", "example.com"), Some(true));
    assert_eq!(permitted("badexample.com", "example.com"), Some(false));
    assert_eq!(permitted("example.com", ".example.com"), Some(false));
    assert_eq!(permitted("a.example.com", ".example.com"), Some(true));
    assert_eq!(permitted("anything", ""), Some(true));
    assert_eq!(permitted("*.example.com", "a.example.com"), Some(false));
    assert_eq!(dns("*.example.com", "a.example.com", Side::Excluded), Some(true));
    for malformed in ["", ".", "a..b", "example.com.", "a b", "a.*.com", "exa\0mple.com"] {
        assert_eq!(permitted(malformed, "example.com"), None, "{malformed:?}");
    }
}

#[test]
fn email_subtrees() {
    assert_eq!(email("a@example.com", "example.com"), Some(true));
    assert_eq!(email("a@EXAMPLE.com", "example.com"), Some(true));
    assert_eq!(email("a@host.example.com", "example.com"), Some(false));
    assert_eq!(email("a@host.example.com", ".example.com"), Some(true));
    assert_eq!(email("a@example.com", ".example.com"), Some(false));
    assert_eq!(email("a@example.com", "a@example.com"), Some(true));
    assert_eq!(email("A@example.com", "a@example.com"), Some(false));
    assert_eq!(email("\"a@evil.org\"@example.com", "evil.org"), Some(false));
    // With quotes or without, it is one mailbox.
    assert_eq!(email("\"a\"@example.com", "a@example.com"), Some(true));
    assert_eq!(email("\"\\a\"@example.com", "a@example.com"), Some(true));
    assert_eq!(email("\"\\\\a\"@example.com", "a@example.com"), Some(false));
    assert_eq!(email("a@example.com", "\"a\"@example.com"), Some(true));
    assert_eq!(email("example.com", "example.com"), None);
    assert_eq!(email("@example.com", "example.com"), None);
}

#[test]
fn addresses_in_the_other_form_are_held_to_the_same() {
    assert_eq!(international("ä@example.com", "example.com"), Some(true));
    assert_eq!(international("ä@bücher.example", "xn--bcher-kva.example"), Some(true));
    assert_eq!(international("ä@example.com", "a@example.com"), Some(false));
    // This is a form for what ASCII cannot say, but nobody gets round a mailbox excluded by it.
    assert_eq!(international("root@example.com", "root@example.com"), Some(true));
    assert_eq!(international("root@EXAMPLE.com", "root@example.com"), Some(true));
    assert_eq!(international("ä@example.com", "@example.com"), Some(true));
}

#[test]
fn uri_hosts() {
    let host = |uri| uri_host(uri);
    assert_eq!(host("https://user:pw@Host.example:8443/path").as_deref(), Some("host.example"));
    assert_eq!(host("avouch://realm.example/alice").as_deref(), Some("realm.example"));
    assert_eq!(host("https://evil.org\\@good.org/").as_deref(), Some("evil.org"));
    assert_eq!(host("urn:isbn:1"), None);
    assert_eq!(host("https://192.0.2.1/"), None);
    assert_eq!(host("https://[2001:db8::1]/"), None);
    assert_eq!(host("https:///path"), None);
}

#[test]
fn address_ranges() {
    let range = GeneralName::Ip(vec![192, 0, 2, 0, 255, 255, 255, 0]);
    let inside = GeneralName::Ip(vec![192, 0, 2, 77]);
    let outside = GeneralName::Ip(vec![192, 0, 3, 77]);
    let other_family = GeneralName::Ip(vec![0; 16]);
    assert_eq!(matches(&inside, &range, Side::Permitted), Ok(true));
    assert_eq!(matches(&outside, &range, Side::Permitted), Ok(false));
    assert_eq!(matches(&other_family, &range, Side::Permitted), Ok(false));
    // The same range, mapped, excludes these; all of IPv6 does not.
    let wide = |base: &[u8], ones: usize| {
        let zeros = |n| std::iter::repeat_n(0, n);
        let octets = base.iter().copied().chain(zeros(16 - base.len()));
        let mask = std::iter::repeat_n(0xff, ones).chain(zeros(16 - ones));
        GeneralName::Ip(octets.chain(mask).collect())
    };
    let same = wide(&[&MAPPED[..], &[192, 0, 2, 0]].concat(), 15);
    assert_eq!(matches(&inside, &same, Side::Excluded), Ok(true));
    assert_eq!(matches(&inside, &same, Side::Permitted), Ok(false));
    assert_eq!(matches(&outside, &same, Side::Excluded), Ok(false));
    assert_eq!(matches(&inside, &wide(&MAPPED, 12), Side::Excluded), Ok(true));
    assert_eq!(matches(&inside, &wide(&[], 0), Side::Excluded), Ok(false));
    assert!(check_mask(&[0, 0, 0, 0, 255, 0, 255, 0]).is_err());
    assert!(check_mask(&[0; 8]).is_ok());
}

#[test]
fn a_form_without_constraints_is_free_and_the_budget_ends() {
    let only_dns = NameConstraints {
        permitted: vec![GeneralName::Dns("example.com".into())],
        excluded: vec![GeneralName::Dns("bad.example.com".into())],
        default_written: false,
    };
    let mut budget = 10;
    assert_eq!(only_dns.check(&GeneralName::Email("a@evil.org".into()), &mut budget), Ok(()));
    assert_eq!(budget, 10);
    let bad = GeneralName::Dns("x.bad.example.com".into());
    assert!(matches!(only_dns.check(&bad, &mut budget), Err(Breach::Excluded { .. })));
    // A name that costs more than it can be worth is not compared at all.
    let address = format!("{}@example.com", "a".repeat(MAX_MAILBOX));
    let only_mail = NameConstraints {
        permitted: vec![GeneralName::Email(String::new())],
        excluded: vec![],
        default_written: false,
    };
    let long = only_mail.check(&GeneralName::Email(address), &mut 1_000);
    assert!(matches!(long, Err(Breach::Unprocessable(_))), "{long:?}");
    let mut none = 0;
    assert_eq!(only_dns.check(&bad, &mut none), Err(Breach::TooMuchWork));
}
