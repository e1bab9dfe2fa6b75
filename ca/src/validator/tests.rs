use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::*;

const ISSUING: KeyPurpose = KeyPurpose::Issuing;

/// 2026-06-01.
const AT: u64 = 1_780_272_000;

fn params(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.use_authority_key_identifier_extension = true;
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    }
    params
}

fn signed(params: &CertificateParams, key: &KeyPair, by: (&str, &KeyPair)) -> Vec<u8> {
    let issuer_params = self::params(by.0, true);
    let issuer = Issuer::from_params(&issuer_params, by.1);
    params.signed_by(key, &issuer).unwrap().der().to_vec()
}

fn read(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

fn tbs(der: &[u8]) -> Vec<u8> {
    x509::Certificate::parse(der).unwrap().tbs_der().to_vec()
}

#[test]
fn says_what_clients_will_say() {
    let [root, issuing, other] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let by_root = |params| signed(&params, &issuing, ("root", &root));
    let roots = vec![read(&signed(&params("root", true), &root, ("root", &root)))];
    let issuer = read(&by_root(params("issuing", true)));
    let validator = Validator::of(roots.clone(), issuer, None).unwrap();

    let leaf = |params| signed(&params, &other, ("issuing", &issuing));
    let good = leaf(params("alice", false));
    validator.leaf(ISSUING, &tbs(&good), AT).unwrap();
    validator.signed(&good, AT).unwrap();
    // The same, but for its signature.
    let forged = signed(&params("alice", false), &other, ("issuing", &other));
    let forged_tbs = tbs(&forged);
    assert!(validator.signed(&forged, AT).is_err());
    // A signature that is to come is not asked for; what else is wrong, is: here the issuer's key.
    let refused = validator.leaf(ISSUING, &forged_tbs, AT).unwrap_err().to_string();
    assert!(refused.contains("authority key identifier"), "{refused}");
    let refused = validator.leaf(ISSUING, &tbs(&good), AT + 400 * 86_400).unwrap_err().to_string();
    assert!(refused.contains("expired"), "{refused}");
    let mut served = params("alice", false);
    served.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert!(validator.leaf(ISSUING, &tbs(&leaf(served)), AT).is_err());
    let mut nameless = params("alice", false);
    nameless.use_authority_key_identifier_extension = false;
    assert!(validator.leaf(ISSUING, &tbs(&leaf(nameless)), AT).is_err());
    assert!(matches!(validator.leaf(ISSUING, b"nonsense", AT), Err(Unfit::Unreadable(_))));

    // An issuing certificate of another root's, or of no CA's.
    let stranger = signed(&params("issuing", true), &issuing, ("root", &other));
    assert!(matches!(
        Validator::of(roots.clone(), read(&stranger), None),
        Err(ValidatorError::Refused(_))
    ));
    let mut weak = params("issuing", true);
    weak.use_authority_key_identifier_extension = false;
    let weak = read(&by_root(weak));
    let refused = Validator::of(roots.clone(), weak.clone(), None);
    assert!(matches!(refused, Err(ValidatorError::Refused(_))));

    // The second authority is looked at as the first is, and each for what it signs.
    let issuer = read(&by_root(params("issuing", true)));
    let refused = Validator::of(roots.clone(), issuer.clone(), Some(weak));
    assert!(matches!(refused, Err(ValidatorError::Refused(_))));
    let switches = KeyPair::generate().unwrap();
    let second = read(&signed(&params("switches", true), &switches, ("root", &root)));
    let validator = Validator::of(roots, issuer, Some(second)).unwrap();
    let moved = signed(&params("alice", false), &other, ("switches", &switches));
    validator.leaf(KeyPurpose::SwitchIssuing, &tbs(&moved), AT).unwrap();
    validator.signed(&moved, AT).unwrap();
    assert!(validator.leaf(ISSUING, &tbs(&moved), AT).is_err());
    assert!(validator.leaf(KeyPurpose::SwitchIssuing, &tbs(&good), AT).is_err());
}
