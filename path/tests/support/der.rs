//! Certificates, CRLs and OCSP answers put together byte by byte, for what no tool writes.

#![allow(dead_code)] // Each test crate uses its own part.

use avouch_path::{Certificate, Crl, OcspResponse, ParseError};
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// One DER value.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        0x1_0000..=0xff_ffff => out.extend([&[0x83][..], &length.to_be_bytes()[1..]].concat()),
        _ => out.extend([&[0x84][..], &length.to_be_bytes()].concat()),
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// `CN=text`; an empty text is an empty name.
pub(crate) fn name(text: &str) -> Vec<u8> {
    if text.is_empty() {
        return seq(&[]);
    }
    let attribute = seq(&[&[0x06, 3, 0x55, 4, 3], &tlv(0x0c, text.as_bytes())]);
    seq(&[&tlv(0x31, &attribute)])
}

pub(crate) fn utc(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

pub(crate) fn generalized(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

/// ecdsa-with-SHA256.
pub(crate) const ECDSA: &[u8] = &[0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// Octets of object identifiers below 2.5.29.
pub(crate) fn ce(last: u8) -> Vec<u8> {
    vec![0x55, 0x1d, last]
}

pub(crate) const SKI: u8 = 14;
pub(crate) const USAGE: u8 = 15;
pub(crate) const SAN: u8 = 17;
pub(crate) const BASIC: u8 = 19;
pub(crate) const CRL_NUMBER: u8 = 20;
pub(crate) const REASON: u8 = 21;
pub(crate) const DELTA: u8 = 27;
pub(crate) const IDP: u8 = 28;
pub(crate) const ENTRY_ISSUER: u8 = 29;
pub(crate) const NAMES: u8 = 30;
pub(crate) const POINTS: u8 = 31;
pub(crate) const AKI: u8 = 35;
pub(crate) const PURPOSES: u8 = 37;

pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// SHA-1 of the public key (RFC 5280 4.2.1.2 (1)).
    pub(crate) fn id(&self) -> Vec<u8> {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.public()).as_ref().to_vec()
    }

    fn spki(&self) -> Vec<u8> {
        let curve = [
            0x30, 0x13, 0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 3, 1, 7,
        ];
        seq(&[&curve, &bits(self.public())])
    }

    /// What is signed, the algorithm, the signature, and what follows it.
    fn seal(&self, tbs: &[u8], more: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), tbs).unwrap();
        seq(&[tbs, ECDSA, &bits(signature.as_ref()), more])
    }
}

fn bits(octets: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], octets].concat())
}

type Extension = (Vec<u8>, bool, Vec<u8>);

fn extensions(list: &[Extension]) -> Vec<u8> {
    let all: Vec<u8> = list
        .iter()
        .flat_map(|(oid, critical, value)| {
            let flag: &[u8] = if *critical { &[1, 1, 0xff] } else { &[] };
            seq(&[&tlv(0x06, oid), flag, &tlv(0x04, value)])
        })
        .collect();
    tlv(0x30, &all)
}

/// A certificate to be; everything may be changed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) version: Option<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: (Vec<u8>, Vec<u8>),
    pub(crate) extensions: Vec<Extension>,
    /// The algorithm inside what is signed.
    pub(crate) algorithm: Vec<u8>,
    /// The key in it; the signer's for a root.
    pub(crate) spki: Vec<u8>,
}

impl Draft {
    /// As RFC 5280 has it, by the issuer of this name and key.
    fn new(subject: &str, key: &Key, issuer: &str, signer: &Key) -> Self {
        let aki = seq(&[&tlv(0x80, &signer.id())]);
        Self {
            version: Some(2),
            serial: vec![0x12, 0x34],
            issuer: name(issuer),
            subject: name(subject),
            validity: (utc("260101000000Z"), utc("270101000000Z")),
            extensions: vec![(ce(SKI), false, tlv(0x04, &key.id())), (ce(AKI), false, aki)],
            algorithm: ECDSA.to_vec(),
            spki: key.spki(),
        }
    }

    pub(crate) fn ca(subject: &str, key: &Key, issuer: &str, signer: &Key) -> Self {
        Self::new(subject, key, issuer, signer).with(BASIC, true, &[0x30, 3, 1, 1, 0xff]).with(
            USAGE,
            true,
            &[3, 2, 1, 6],
        )
    }

    pub(crate) fn leaf(subject: &str, key: &Key, issuer: &str, signer: &Key) -> Self {
        Self::new(subject, key, issuer, signer).with(USAGE, true, &[3, 2, 7, 0x80])
    }

    /// Adds an extension, or puts it in the place of the one of its kind.
    pub(crate) fn with(mut self, kind: u8, critical: bool, value: &[u8]) -> Self {
        let new = (ce(kind), critical, value.to_vec());
        match self.extensions.iter_mut().find(|(oid, ..)| *oid == new.0) {
            Some(old) => *old = new,
            None => self.extensions.push(new),
        }
        self
    }

    pub(crate) fn without(mut self, kind: u8) -> Self {
        self.extensions.retain(|(oid, ..)| *oid != ce(kind));
        self
    }

    pub(crate) fn der(&self, signer: &Key) -> Vec<u8> {
        let version = self.version.map_or(Vec::new(), |n| tlv(0xa0, &[2, 1, n]));
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa3, &extensions(&self.extensions))
        };
        let (from, until) = &self.validity;
        let tbs = seq(&[
            &version,
            &tlv(0x02, &self.serial),
            &self.algorithm,
            &self.issuer,
            &seq(&[from, until]),
            &self.subject,
            &self.spki,
            &extensions,
        ]);
        signer.seal(&tbs, &[])
    }

    pub(crate) fn sign(&self, signer: &Key) -> Certificate {
        Certificate::from_der(&self.der(signer)).unwrap()
    }
}

/// Names of an extension: tag and content of each.
pub(crate) fn general_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let all: Vec<u8> = names.iter().flat_map(|(tag, content)| tlv(*tag, content)).collect();
    tlv(0x30, &all)
}

/// Name constraints of permitted and excluded subtrees.
pub(crate) fn constraints(permitted: &[(u8, &[u8])], excluded: &[(u8, &[u8])]) -> Vec<u8> {
    let list = |tag, names: &[(u8, &[u8])]| {
        let all: Vec<u8> =
            names.iter().flat_map(|(kind, base)| seq(&[&tlv(*kind, base)])).collect();
        if all.is_empty() { all } else { tlv(tag, &all) }
    };
    seq(&[&list(0xa0, permitted), &list(0xa1, excluded)])
}

/// A CRL to be.
#[derive(Clone)]
pub(crate) struct ListDraft {
    pub(crate) version: Option<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) times: (Vec<u8>, Vec<u8>),
    /// DER of each entry.
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) extensions: Vec<Extension>,
}

impl ListDraft {
    pub(crate) fn new(issuer: &str, signer: &Key) -> Self {
        Self {
            version: Some(1),
            issuer: name(issuer),
            times: (utc("260531000000Z"), utc("260630000000Z")),
            entries: Vec::new(),
            extensions: vec![
                (ce(AKI), false, seq(&[&tlv(0x80, &signer.id())])),
                (ce(CRL_NUMBER), false, vec![2, 1, 9]),
            ],
        }
    }

    pub(crate) fn with(mut self, kind: u8, critical: bool, value: &[u8]) -> Self {
        self.extensions.retain(|(oid, ..)| *oid != ce(kind));
        self.extensions.push((ce(kind), critical, value.to_vec()));
        self
    }

    pub(crate) fn without(mut self, kind: u8) -> Self {
        self.extensions.retain(|(oid, ..)| *oid != ce(kind));
        self
    }

    /// Lists a number, with extensions of the entry.
    pub(crate) fn revoke(mut self, serial: &[u8], own: &[Extension]) -> Self {
        let own = if own.is_empty() { Vec::new() } else { extensions(own) };
        self.entries.push(seq(&[&tlv(0x02, serial), &utc("260201000000Z"), &own]));
        self
    }

    pub(crate) fn der(&self, signer: &Key) -> Vec<u8> {
        let version = self.version.map_or(Vec::new(), |n| vec![2, 1, n]);
        let entries =
            if self.entries.is_empty() { Vec::new() } else { tlv(0x30, &self.entries.concat()) };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &extensions(&self.extensions))
        };
        let (this, next) = &self.times;
        let tbs = seq(&[&version, ECDSA, &self.issuer, this, next, &entries, &extensions]);
        signer.seal(&tbs, &[])
    }

    pub(crate) fn sign(&self, signer: &Key) -> Crl {
        Crl::from_der(&self.der(signer)).unwrap()
    }
}

/// CRLReason of an entry.
pub(crate) fn reason(code: u8) -> Extension {
    (ce(REASON), false, vec![0x0a, 1, code])
}

/// The issuer of the certificate that an entry of an indirect list is about.
pub(crate) fn entry_issuer(of: &str) -> Extension {
    (ce(ENTRY_ISSUER), true, general_names(&[(0xa4, &name(of))]))
}

/// Who an OCSP answer says it is by.
pub(crate) enum Responder<'a> {
    Name(&'a str),
    Key(&'a Key),
}

/// Statuses of an OCSP answer.
pub(crate) const GOOD: &[u8] = &[0x80, 0];
pub(crate) const UNKNOWN: &[u8] = &[0x82, 0];

pub(crate) fn revoked() -> Vec<u8> {
    tlv(0xa1, &generalized("20260201000000Z"))
}

/// What an answer says of one number.
pub(crate) fn single(
    serial: &[u8],
    issuer: (&str, &Key),
    status: &[u8],
    (this, next): (&str, &str),
) -> Vec<u8> {
    let hash =
        |bytes: &[u8]| tlv(0x04, digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    let id = seq(&[
        &[0x30, 9, 0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0],
        &hash(&name(issuer.0)),
        &hash(issuer.1.public()),
        &tlv(0x02, serial),
    ]);
    seq(&[&id, status, &generalized(this), &tlv(0xa0, &generalized(next))])
}

pub(crate) fn answer(
    responder: &Responder<'_>,
    singles: &[Vec<u8>],
    signer: &Key,
    certificates: &[Vec<u8>],
) -> Result<OcspResponse, ParseError> {
    let by = match responder {
        Responder::Name(text) => tlv(0xa1, &name(text)),
        Responder::Key(key) => tlv(0xa2, &tlv(0x04, &key.id())),
    };
    let tbs = seq(&[&by, &generalized("20260531120000Z"), &tlv(0x30, &singles.concat())]);
    let along = if certificates.is_empty() {
        Vec::new()
    } else {
        tlv(0xa0, &tlv(0x30, &certificates.concat()))
    };
    let basic = signer.seal(&tbs, &along);
    let kind = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let bytes = seq(&[&kind, &tlv(0x04, &basic)]);
    OcspResponse::from_der(&seq(&[&[0x0a, 1, 0], &tlv(0xa0, &bytes)]))
}

/// The keys of a root, a CA and a leaf, and the drafts of their certificates.
pub(crate) struct Three {
    pub(crate) root: Key,
    pub(crate) ca: Key,
    pub(crate) leaf: Key,
}

impl Three {
    pub(crate) fn new() -> Self {
        Self { root: Key::new(), ca: Key::new(), leaf: Key::new() }
    }

    pub(crate) fn root(&self) -> Draft {
        Draft::ca("root", &self.root, "root", &self.root)
    }

    pub(crate) fn ca(&self) -> Draft {
        Draft::ca("ca", &self.ca, "root", &self.root)
    }

    pub(crate) fn leaf(&self) -> Draft {
        Draft::leaf("leaf", &self.leaf, "ca", &self.ca)
    }
}
