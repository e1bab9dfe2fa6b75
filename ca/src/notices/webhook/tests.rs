use super::*;

fn caller(hosts: &[&str], private: bool) -> Caller {
    Caller::new(WebhookSettings {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ca: None,
        private,
    })
    .unwrap()
}

/// The example of Standard Webhooks' specification and of its libraries' tests.
#[test]
fn signatures_are_those_of_standard_webhooks() {
    let body = r#"{"test": 2432232314}"#;
    let signed = caller(&[], false).signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn only_hosts_that_were_named_are_called() {
    let caller = caller(&["Hooks.example.org"], true);
    assert!(caller.allowed("https://hooks.example.org/x").is_ok());
    assert!(caller.allowed("https://HOOKS.example.org:8443/x").is_ok());
    for other in [
        "https://example.org/",
        "https://hooks.example.org.evil.example/",
        "https://evil.example/?hooks.example.org",
        "https://hooks.example.org@evil.example/",
        "nonsense",
    ] {
        assert!(matches!(caller.allowed(other), Err(PostError::Forbidden(_))), "{other}");
    }
}

/// All the ways of writing this machine and the networks around it.
#[test]
fn no_webhook_reaches_inwards() {
    for inside in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
    ] {
        let url = format!("https://{inside}/");
        let host = Url::parse(&url).unwrap().host_str().unwrap().to_owned();
        let refused = caller(&[&host], false).allowed(&url).unwrap_err();
        assert_eq!(refused, PostError::Forbidden(NOT_PUBLIC.into()), "{inside}");
        assert!(caller(&[&host], true).allowed(&url).is_ok(), "{inside}");
    }
    for inside in [
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
    ] {
        assert!(!is_public(inside.parse().unwrap()), "{inside}");
    }
    for outside in ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"] {
        assert!(is_public(outside.parse().unwrap()), "{outside}");
    }
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_resolved() {
    let name = || -> Name { "localhost".parse().unwrap() };
    assert!(Resolver { private: false }.resolve(name()).await.is_err());
    assert!(Resolver { private: true }.resolve(name()).await.is_ok());
}

#[test]
fn weak_secrets_are_refused() {
    for secret in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
        let settings = WebhookSettings {
            secret: secret.to_owned().into(),
            hosts: vec![],
            ca: None,
            private: false,
        };
        assert!(matches!(Caller::new(settings), Err(WebhookError::Secret)), "{secret:?}");
    }
    assert!(!format!("{:?}", caller(&[], false)).contains("MfKQ"));
}
