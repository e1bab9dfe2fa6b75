//! Keys on a token: templates, reading them back, and what the attributes say.

use crate::HsmError;
use crate::key::{
    Algorithm, Attestation, Holder, KeyInfo, KeySpec, Protection, TokenInfo, known_software_token,
};
use crate::spki;
use crate::template::{Half, Template};
use cryptoki::error::Error;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

/// What generation asks of the token: mechanism, public and private template (DESIGN §10).
pub(super) fn templates(
    spec: &KeySpec,
    template: &Template,
) -> (Mechanism<'static>, Vec<Attribute>, Vec<Attribute>) {
    let of = |half| {
        let mut attributes = template.attributes(half, &spec.label);
        attributes.extend([Attribute::Token(true), Attribute::Id(spec.id.to_vec())]);
        attributes
    };
    let (mut public, private) = (of(Half::Public), of(Half::Private));
    let mut rsa = |bits: u32| {
        public.push(Attribute::ModulusBits(cryptoki_sys::CK_ULONG::from(bits).into()));
        public.push(Attribute::PublicExponent(vec![1, 0, 1]));
        Mechanism::RsaPkcsKeyPairGen
    };
    let mechanism = match spec.algorithm {
        Algorithm::P256 | Algorithm::P384 => {
            public.extend(spki::ec_params(spec.algorithm).map(Attribute::EcParams));
            Mechanism::EccKeyPairGen
        }
        Algorithm::Ed25519 => {
            public.push(Attribute::EcParams(spki::EDWARDS25519_NAME.to_vec()));
            Mechanism::EccEdwardsKeyPairGen
        }
        Algorithm::Rsa2048 => rsa(2048),
        Algorithm::Rsa3072 => rsa(3072),
        Algorithm::Rsa4096 => rsa(4096),
    };
    (mechanism, public, private)
}

/// The mechanism that generates keys of this algorithm, with its name.
pub(super) fn generator(algorithm: Algorithm) -> (MechanismType, &'static str) {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 => {
            (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN")
        }
        Algorithm::Ed25519 => {
            (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, "CKM_EC_EDWARDS_KEY_PAIR_GEN")
        }
        _ => (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN"),
    }
}

/// All private keys with this CKA_ID, or all there are.
pub(super) fn private_handles(
    session: &Session,
    id: Option<&[u8]>,
) -> Result<Vec<ObjectHandle>, Error> {
    handles(session, ObjectClass::PRIVATE_KEY, id)
}

fn handles(
    session: &Session,
    class: ObjectClass,
    id: Option<&[u8]>,
) -> Result<Vec<ObjectHandle>, Error> {
    let mut template = vec![Attribute::Token(true), Attribute::Class(class)];
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    session.find_objects(&template)
}

/// Removes both halves of a key.
pub(super) fn destroy(session: &Session, id: &[u8]) -> Result<(), Error> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for handle in handles(session, class, Some(id))? {
            session.destroy_object(handle)?;
        }
    }
    Ok(())
}

/// A problem while a key is read.
pub(super) enum ReadFault {
    Token(Error),
    Key(HsmError),
}

impl From<Error> for ReadFault {
    fn from(error: Error) -> Self {
        ReadFault::Token(error)
    }
}

/// Reads one private key and its public half.
pub(super) fn read(
    session: &Session,
    token: &TokenInfo,
    private: ObjectHandle,
) -> Result<KeyInfo, ReadFault> {
    let found = session.get_attributes(
        private,
        &[
            AttributeType::Id,
            AttributeType::Label,
            AttributeType::Local,
            AttributeType::Sensitive,
            AttributeType::AlwaysSensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Modifiable,
        ],
    )?;
    let mut protection = Protection {
        holder: match known_software_token(token) {
            Some(name) => Holder::SoftwareToken { name: name.to_owned() },
            None => Holder::Token,
        },
        token: token.clone(),
        ..Protection::key_file()
    };
    let (mut id, mut label) = (Vec::new(), String::new());
    for attribute in found {
        match attribute {
            Attribute::Id(value) => id = value,
            Attribute::Label(value) => label = String::from_utf8_lossy(&value).into_owned(),
            Attribute::Local(value) => protection.local = Some(value),
            Attribute::Sensitive(value) => protection.sensitive = Some(value),
            Attribute::AlwaysSensitive(value) => protection.always_sensitive = Some(value),
            Attribute::Extractable(value) => protection.extractable = Some(value),
            Attribute::NeverExtractable(value) => protection.never_extractable = Some(value),
            Attribute::Modifiable(value) => protection.modifiable = Some(value),
            _ => (),
        }
    }
    let (algorithm, spki_der) = public_half(session, private, &id)?;
    Ok(KeyInfo { id, label, algorithm, spki_der, protection })
}

/// Most objects, and most bytes of each, that are read as attestations.
const MOST_ATTESTATIONS: usize = 64;
const MOST_CONTENT: usize = 32 << 10;

/// All certificates on the token, and of each private key the attribute by which its maker attests
/// it, if there is one.
pub(super) fn attestations(
    session: &Session,
    attribute: Option<u64>,
) -> Result<Vec<Attestation>, Error> {
    let mut found = Vec::new();
    for handle in
        handles(session, ObjectClass::CERTIFICATE, None)?.into_iter().take(MOST_ATTESTATIONS)
    {
        let wanted = [AttributeType::Label, AttributeType::Value];
        let mut certificate = Attestation { of: None, label: String::new(), content: Vec::new() };
        for attribute in session.get_attributes(handle, &wanted)? {
            match attribute {
                Attribute::Label(value) => {
                    certificate.label = String::from_utf8_lossy(&value).into_owned();
                }
                Attribute::Value(value) => certificate.content = value,
                _ => (),
            }
        }
        found.push(certificate);
    }
    if let Some(number) = attribute {
        let kind = AttributeType::VendorDefined(cryptoki_sys::CK_ATTRIBUTE_TYPE::from(number));
        for handle in private_handles(session, None)?.into_iter().take(MOST_ATTESTATIONS) {
            let (mut id, mut content) = (Vec::new(), Vec::new());
            for attribute in session.get_attributes(handle, &[AttributeType::Id, kind])? {
                match attribute {
                    Attribute::Id(value) => id = value,
                    Attribute::VendorDefined((_, value)) => content = value,
                    _ => (),
                }
            }
            found.push(Attestation { of: Some(id), label: String::new(), content });
        }
    }
    found.retain(|one| (1..=MOST_CONTENT).contains(&one.content.len()));
    Ok(found)
}

fn public_half(
    session: &Session,
    private: ObjectHandle,
    id: &[u8],
) -> Result<(Algorithm, Vec<u8>), ReadFault> {
    let fault = |detail: String| ReadFault::Key(HsmError::NoPublicKey { id: id.to_vec(), detail });
    // A private RSA key shows its modulus, an EC one rarely its point: the public object first.
    let mut sources = handles(session, ObjectClass::PUBLIC_KEY, Some(id))?;
    if sources.len() > 1 {
        return Err(fault(format!("{} public keys carry this CKA_ID", sources.len())));
    }
    sources.push(private);
    let mut last = "no public key object and no public attributes".to_owned();
    for source in sources {
        match public_from(session, source)? {
            Ok(key) => return Ok(key),
            Err(detail) => last = detail,
        }
    }
    Err(fault(last))
}

fn public_from(
    session: &Session,
    source: ObjectHandle,
) -> Result<Result<(Algorithm, Vec<u8>), String>, Error> {
    let found = session.get_attributes(source, &[AttributeType::KeyType])?;
    let kind = found.into_iter().find_map(|attribute| match attribute {
        Attribute::KeyType(kind) => Some(kind),
        _ => None,
    });
    let wanted = match kind {
        Some(KeyType::RSA) => [AttributeType::Modulus, AttributeType::PublicExponent],
        Some(KeyType::EC | KeyType::EC_EDWARDS) => {
            [AttributeType::EcParams, AttributeType::EcPoint]
        }
        Some(other) => return Ok(Err(format!("key type {other} is not supported"))),
        None => return Ok(Err("CKA_KEY_TYPE is not reported".to_owned())),
    };
    let (mut first, mut second) = (None, None);
    for attribute in session.get_attributes(source, &wanted)? {
        match attribute {
            Attribute::Modulus(value) | Attribute::EcParams(value) => first = Some(value),
            Attribute::PublicExponent(value) | Attribute::EcPoint(value) => second = Some(value),
            _ => (),
        }
    }
    Ok(match (first, second) {
        (Some(modulus), Some(exponent)) if kind == Some(KeyType::RSA) => {
            spki::from_rsa(&modulus, &exponent)
        }
        (Some(params), Some(point)) => spki::from_ec(&params, &point),
        _ => Err("the public values are not reported".to_owned()),
    })
}
