use wire::{Hash32, Realm};

use super::*;

fn trust() -> TrustFile {
    let realm = Realm::parse("example.org").unwrap();
    let genesis = Hash32::of(b"genesis");
    TrustFile::new(realm, genesis, b"root", "".into(), "".into(), 1, "".into()).unwrap()
}

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

fn key() -> <DhP256HkdfSha256 as Kem>::PrivateKey {
    DhP256HkdfSha256::derive_keypair(&[7; 32]).0
}

fn public() -> Vec<u8> {
    DhP256HkdfSha256::derive_keypair(&[7; 32]).1.to_bytes().to_vec()
}

#[test]
fn the_owner_of_the_key_reads_what_was_sealed() {
    let trust = trust().with_address_key(&public()).unwrap();
    let made = seal(&trust, &alice(), ChannelKind::Mail, "alice@example.org").unwrap();
    let sealed = SealedAddress::from_canonical(&made.sealed).unwrap();
    assert_eq!(sealed.channel, made.channel.address);
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &hpke::OpModeR::Base,
        &key(),
        &<DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(sealed.enc.as_bytes()).unwrap(),
        &info(trust.genesis()),
        sealed.ciphertext.as_bytes(),
        &aad(sealed.channel, &alice()),
    )
    .unwrap();
    let address = Address::from_canonical(&opened).unwrap();
    assert_eq!((address.address(), address.channel()), ("alice@example.org", made.channel.clone()));
    // Twice the same address are two channels: nobody can tell that they are one.
    let again = seal(&trust, &alice(), ChannelKind::Mail, "alice@example.org").unwrap();
    assert_ne!(again.channel.address, made.channel.address);
}

#[test]
fn without_a_key_nothing_is_sealed() {
    let seal = |trust: &TrustFile| seal(trust, &alice(), ChannelKind::Mail, "alice@example.org");
    assert!(matches!(seal(&trust()), Err(SealError::NoKey)));
    let off_curve = trust().with_address_key(&[4; 65]).unwrap();
    assert!(matches!(seal(&off_curve), Err(SealError::BadKey)));
    let trust = trust().with_address_key(&public()).unwrap();
    let bad = super::seal(&trust, &alice(), ChannelKind::Mail, "a@b\r\nBcc: m@x");
    assert!(matches!(bad, Err(SealError::Address(_))));
}
