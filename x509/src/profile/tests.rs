use super::*;

fn parameters() -> LeafParameters {
    LeafParameters {
        realm: Realm::parse("example.org").unwrap(),
        validity_seconds: 365 * DAY,
        backdate_seconds: 300,
        crl_url: "http://ca.example.org/{issuer}/{shard}.crl".into(),
        leaves_per_shard: NonZeroU64::new(100).unwrap(),
        ca_issuers_url: None,
        purposes: vec![Purpose::EmailProtection],
    }
}

fn serial(index: u64, random: u8) -> SerialNumber {
    SerialNumber::new(0x0100, index, [random; 8]).unwrap()
}

#[test]
fn parameters_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut LeafParameters)| {
        let mut parameters = parameters();
        change(&mut parameters);
        LeafProfile::new(parameters).unwrap_err().to_string()
    };
    assert!(refused(|p| p.validity_seconds = 60).contains("is 60 s; 3600 to"));
    assert!(refused(|p| p.backdate_seconds = 2 * DAY).contains("is 172800 s; 0 to 86400 s"));
    assert!(refused(|p| p.crl_url = "ldap://x/".into()).contains("must start with http://"));
    assert!(refused(|p| p.crl_url = "http:///x".into()).contains("no host"));
    assert!(refused(|p| p.crl_url = "http://x/{serial}".into()).contains("unknown {placeholder}"));
    assert!(refused(|p| p.crl_url = "http://x/ü".into()).contains("outside of ASCII"));
    assert!(refused(|p| p.ca_issuers_url = Some("http://x/{shard}".into())).contains("unknown"));
    assert!(refused(|p| p.purposes.clear()).contains("one or more purposes"));
    assert!(refused(|p| p.purposes.push(Purpose::EmailProtection)).contains("each once"));
}

#[test]
fn the_shard_follows_from_the_leaf_index_alone() {
    let profile = LeafProfile::new(parameters()).unwrap();
    assert_eq!(profile.shard(serial(0, 1)), Some(0));
    assert_eq!(profile.shard(serial(99, 2)), Some(0));
    assert_eq!(profile.shard(serial(100, 3)), Some(1));
    assert_eq!(profile.shard(serial((1 << 48) - 1, 4)), Some(2_814_749_767_106));
    let one_list = LeafParameters { crl_url: "http://x/all.crl".into(), ..parameters() };
    assert_eq!(LeafProfile::new(one_list).unwrap().shard(serial(100, 3)), None);
}
