use pkcs11::{Algorithm, Holder, Protection, TokenInfo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    date_time_ymd,
};

use super::*;

/// 2026-06-01.
const AT: i64 = 1_780_272_000;

fn params(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn object(content: Vec<u8>) -> Attestation {
    Attestation { of: None, label: "a certificate".to_owned(), content }
}

fn key(own: &KeyPair) -> KeyInfo {
    let protection = Protection {
        holder: Holder::Token,
        token: TokenInfo::default(),
        local: Some(true),
        sensitive: Some(true),
        always_sensitive: Some(true),
        extractable: Some(false),
        never_extractable: Some(true),
        modifiable: Some(false),
    };
    let spki_der = own.subject_public_key_info();
    let (id, label) = (vec![1; 16], "issuing".to_owned());
    KeyInfo { id, label, algorithm: Algorithm::P256, spki_der, protection }
}

#[test]
fn an_attestation_counts_when_it_names_the_key_and_leads_to_the_makers_root() {
    let [maker, device, own] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let root = params("Maker", true).self_signed(&maker).unwrap().der().to_vec();
    let (maker_params, device_params) = (params("Maker", true), params("Device", true));
    let by_maker = Issuer::from_params(&maker_params, &maker);
    let middle = device_params.signed_by(&device, &by_maker).unwrap().der().to_vec();
    let by_device = Issuer::from_params(&device_params, &device);
    let leaf = params("Key 9c", false).signed_by(&own, &by_device).unwrap().der().to_vec();

    let key = key(&own);
    let roots = [Certificate::from_der(&root).unwrap()];
    let whole = [object(leaf.clone()), object(middle.clone()), object(b"nonsense".to_vec())];
    let said = Attestations::new(&roots, &whole, AT).of(&key);
    assert!(said.contains("proven up to the root") && said.contains("Device"), "{said}");

    // Without the maker's root, without what lies between, and of somebody else's key.
    let said = Attestations::new(&[], &whole, AT).of(&key);
    assert!(said.starts_with("unproven") && said.contains("attestation_ca"), "{said}");
    let said = Attestations::new(&roots, &whole[..1], AT).of(&key);
    assert!(said.starts_with("unproven, by"), "{said}");
    assert_eq!(Attestations::new(&roots, &whole[1..], AT).of(&key), NONE);
    assert_eq!(Attestations::new(&roots, &[], AT).of(&key), NONE);
    // Its time is over.
    let later = AT + 400 * 86_400;
    let said = Attestations::new(&roots, &whole, later).of(&key);
    assert!(said.starts_with("unproven, by"), "{said}");
}

#[test]
fn a_makers_attribute_is_shown_also_when_it_is_no_certificate() {
    let own = KeyPair::generate().unwrap();
    let key = key(&own);
    let attribute = |id: u8| Attestation {
        of: Some(vec![id; 16]),
        label: String::new(),
        content: b"a blob of the maker's own".to_vec(),
    };
    let found = [attribute(1)];
    let said = Attestations::new(&[], &found, AT).of(&key);
    assert!(said.contains("25 bytes"), "{said}");
    assert_eq!(Attestations::new(&[], &[attribute(2)], AT).of(&key), NONE);
}
