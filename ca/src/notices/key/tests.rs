use hpke::{OpModeS, single_shot_seal};
use wire::body::ChannelKind;
use wire::octets;

use super::*;

const SECRET: [u8; 32] = [7; 32];

fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn genesis() -> Hash32 {
    Hash32::of(b"genesis")
}

fn mail(salt: u8) -> Address {
    Address::new(ChannelKind::Mail, [salt; 32], "alice@example.org").unwrap()
}

/// As a client does it, or a liar who names another channel than the address has.
fn sealed(key: &AddressKey, uid: &UserId, channel: Hash32, address: &Address) -> SealedAddress {
    let public = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(key.public()).unwrap();
    let (enc, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &public,
        &info(genesis()),
        &address.to_canonical(),
        &aad(channel, uid),
    )
    .unwrap();
    let (enc, ciphertext) = (octets(&enc.to_bytes()), octets(&ciphertext));
    SealedAddress { version: 1, channel, enc, ciphertext }
}

#[test]
fn what_was_sealed_for_this_identity_and_channel_opens() {
    let key = AddressKey::derive(&SECRET);
    let channel = mail(1).channel();
    let blob = sealed(&key, &uid("alice"), channel.address, &mail(1)).to_canonical();
    assert_eq!(key.open(genesis(), &uid("alice"), &blob).unwrap(), (channel, mail(1)));
    assert!(!blob.windows(5).any(|w| w == b"alice"), "the gateway sees no address");
    // The key is the same after a restart, and another installation's is another.
    let again = AddressKey::derive(&SECRET);
    assert!(again.open(genesis(), &uid("alice"), &blob).is_ok());
    assert_ne!(AddressKey::derive(&[8; 32]).public(), key.public());
}

#[test]
fn nothing_else_opens() {
    let key = AddressKey::derive(&SECRET);
    let channel = mail(1).channel().address;
    let good = sealed(&key, &uid("alice"), channel, &mail(1));
    let blob = good.to_canonical();
    let refused = |key: &AddressKey, genesis, name: &str, blob: &[u8]| {
        matches!(key.open(genesis, &uid(name), blob), Err(AddressError::Sealed { .. }))
    };
    assert!(refused(&key, genesis(), "mallory", &blob), "taken by another identity");
    assert!(refused(&key, Hash32::of(b"other"), "alice", &blob), "another installation");
    assert!(refused(&AddressKey::derive(&[8; 32]), genesis(), "alice", &blob), "another key");
    let other = SealedAddress { channel: mail(2).channel().address, ..good.clone() };
    assert!(refused(&key, genesis(), "alice", &other.to_canonical()), "another channel");
    let mut bits = good.ciphertext.as_bytes().to_vec();
    bits[3] ^= 1;
    let altered = SealedAddress { ciphertext: octets(&bits), ..good.clone() };
    assert!(refused(&key, genesis(), "alice", &altered.to_canonical()), "altered");
    let nowhere = SealedAddress { enc: octets(&[4; POINT]), ..good };
    assert!(refused(&key, genesis(), "alice", &nowhere.to_canonical()), "a point off the curve");
    assert!(matches!(key.open(genesis(), &uid("alice"), b"x"), Err(AddressError::Format(_))));
}

/// Who seals another address than the channel's hash stands for would have notices of one channel
/// go to another place than everybody agreed to.
#[test]
fn the_address_is_the_one_of_the_hash() {
    let key = AddressKey::derive(&SECRET);
    let claimed = mail(2).channel().address;
    let blob = sealed(&key, &uid("alice"), claimed, &mail(1)).to_canonical();
    let lie = key.open(genesis(), &uid("alice"), &blob).unwrap_err();
    assert!(matches!(lie, AddressError::Other { .. }), "{lie}");
}

/// The frozen example: made once by a client, opened ever since.
#[test]
fn the_frozen_example_opens() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/vectors");
    let blob = std::fs::read(format!("{folder}/sealed-address.der")).unwrap();
    let address = std::fs::read(format!("{folder}/address.der")).unwrap();
    let (_, opened) = AddressKey::derive(&SECRET).open(genesis(), &uid("alice"), &blob).unwrap();
    assert_eq!(opened.to_canonical(), address);
}

/// Prints another example, should the format ever get a new version.
#[test]
#[ignore = "prints what was frozen"]
fn an_example() {
    let key = AddressKey::derive(&SECRET);
    let blob = sealed(&key, &uid("alice"), mail(1).channel().address, &mail(1));
    println!("{}", hex::encode(key.public()));
    println!("{}\n{}", hex::encode(blob.enc.as_bytes()), hex::encode(blob.ciphertext.as_bytes()));
}
