use super::*;
use crate::Encoded;

fn refused(kind: ChannelKind, text: &str) -> bool {
    Address::new(kind, [1; SALT], text).is_err()
}

#[test]
fn the_hash_is_over_salt_and_address() {
    let address = Address::new(ChannelKind::Mail, [1; SALT], "alice@example.org").unwrap();
    let expected = Hash32::of(&[&[1; SALT][..], b"alice@example.org"].concat());
    assert_eq!(address.channel(), Channel { kind: ChannelKind::Mail, address: expected });
    let other = Address::new(ChannelKind::Mail, [2; SALT], "alice@example.org").unwrap();
    assert_ne!(other.channel(), address.channel());
}

/// Whatever could end a header line, name a second recipient or be read in two ways.
#[test]
fn mail_addresses_cannot_carry_more_than_an_address() {
    for good in ["a@b", "alice.b+tag@mail.example.org", "o'neil@x-y.example"] {
        assert!(!refused(ChannelKind::Mail, good), "{good}");
    }
    let long = format!("a@{}.org", "b".repeat(300));
    for bad in [
        "",
        "alice",
        "@example.org",
        "alice@",
        "alice@example.org\r\nBcc: mallory@example.org",
        "alice@example.org, mallory@example.org",
        "alice <alice@example.org>",
        "\"alice\"@example.org",
        "alice@[127.0.0.1]",
        "al ice@example.org",
        "alice..b@example.org",
        ".alice@example.org",
        "alice@-example.org",
        "alice@example..org",
        "älice@example.org",
        "a@b@c",
        &long,
    ] {
        assert!(refused(ChannelKind::Mail, bad), "{bad:?}");
    }
}

#[test]
fn webhooks_are_https_and_nothing_else() {
    for good in ["https://hooks.example.org/a?b=c", "https://127.0.0.1:8443/", "https://h"] {
        assert!(!refused(ChannelKind::Webhook, good), "{good}");
    }
    for bad in [
        "http://hooks.example.org/",
        "https://",
        "https://user@hooks.example.org/",
        "https://user:password@hooks.example.org/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org/#part",
        "https://hooks.example.org\\@evil.example/",
        "https://[::1]/",
        "https://hooks.example.org/\r\nX: y",
        "file:///etc/passwd",
    ] {
        assert!(refused(ChannelKind::Webhook, bad), "{bad:?}");
    }
}

#[test]
fn bounds_hold_when_read_too() {
    let address = Address {
        version: 1,
        kind: ChannelKind::Mail,
        salt: octets(&[1; 31]),
        address: "alice@example.org".to_owned(),
    };
    assert!(matches!(
        Address::from_canonical(&address.to_canonical()),
        Err(FormatError::Field { field: "salt", .. })
    ));
    let address = Address { salt: octets(&[1; 32]), address: "x\n@y".to_owned(), ..address };
    assert!(Address::from_canonical(&address.to_canonical()).is_err());
}
