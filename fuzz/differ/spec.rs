//! Chains as the fuzzer makes them up: mostly right, with a few faults.

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
    date_time_ymd,
};

/// 2026-06-01.
pub(crate) const AT: i64 = 1_780_272_000;

/// A root, issuing CAs below one another, a leaf; perhaps a namesake of the lowest CA.
#[derive(Arbitrary, Debug)]
pub(crate) struct Chain {
    pub(crate) root: Certificate,
    pub(crate) cas: [Certificate; 3],
    depth: u8,
    pub(crate) leaf: Certificate,
    pub(crate) purpose: Purpose,
    pub(crate) explicit_policy: bool,
    pub(crate) wanted_policy: Option<Policy>,
    pub(crate) namesake: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    Any,
    Email,
    Client,
}

#[derive(Arbitrary, Debug)]
pub(crate) struct Certificate {
    pub(crate) kind: Kind,
    pub(crate) usage: Usage,
    pub(crate) purposes: Option<Purposes>,
    pub(crate) subtrees: [Option<Subtree>; 2],
    pub(crate) names: [Option<San>; 2],
    pub(crate) policies: [Option<Policy>; 2],
    pub(crate) mapping: Option<(Policy, Policy)>,
    pub(crate) constraints: Option<(Option<bool>, Option<bool>)>,
    pub(crate) inhibit_any: Option<bool>,
    fault: u8,
    pub(crate) loose: Loose,
    /// Has the name of its issuer.
    self_issued: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Fitting,
    Fitting2,
    PathLen0,
    PathLen1,
    CaFalse,
    Absent,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Usage {
    Fitting,
    Fitting2,
    Absent,
    CrlSignOnly,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purposes {
    Email,
    Client,
    Both,
    Server,
    Any,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Subtree {
    Permit(Base),
    Exclude(Base),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Base {
    Dns(Host),
    Email(Host),
    EmailBelow(Host),
    Mailbox(Host),
    Net(bool),
    Organization(bool),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Host {
    A,
    B,
    SubOfA,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum San {
    Dns(Host),
    Wildcard(Host),
    Email(Host),
    Ip(bool),
    Uri(Host),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Policy {
    One,
    Two,
    Any,
}

/// What RFC 5280 forbids issuers to write, and validators may take; mostly nothing.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loose {
    Nothing,
    Nothing2,
    Nothing3,
    Nothing4,
    NoAki,
    OtherAki,
    CriticalAki,
    LongSerial,
    ZeroSerial,
    LaxBasicConstraints,
    LaxNameConstraints,
    NoSubject,
    DnsBelow,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    Expired,
    Future,
    WrongKey,
    UnknownCritical,
    UnknownHarmless,
    WrongIssuerName,
}

impl Host {
    fn text(self) -> &'static str {
        match self {
            Self::A => "a.example",
            Self::B => "b.example",
            Self::SubOfA => "sub.a.example",
        }
    }
}

impl Policy {
    fn der(self) -> &'static [u8] {
        match self {
            Self::One => &[0x06, 0x02, 0x2a, 0x01],
            Self::Two => &[0x06, 0x02, 0x2a, 0x02],
            Self::Any => &[0x06, 0x04, 0x55, 0x1d, 0x20, 0x00],
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::One => "1.2.1",
            Self::Two => "1.2.2",
            Self::Any => "2.5.29.32.0",
        }
    }
}

impl Certificate {
    pub(crate) fn fault(&self) -> Fault {
        match self.fault {
            0..=9 => Fault::Expired,
            10..=19 => Fault::Future,
            20..=29 => Fault::WrongKey,
            30..=39 => Fault::UnknownCritical,
            40..=59 => Fault::UnknownHarmless,
            60..=65 => Fault::WrongIssuerName,
            _ => Fault::None,
        }
    }

    pub(crate) fn self_issued(&self) -> bool {
        self.self_issued < 32
    }
}

/// The DER of a chain.
pub(crate) struct Made {
    pub(crate) root: Vec<u8>,
    pub(crate) untrusted: Vec<Vec<u8>>,
    pub(crate) leaf: Vec<u8>,
}

static KEYS: LazyLock<Vec<KeyPair>> =
    LazyLock::new(|| (0..7).map(|_| KeyPair::generate().expect("a key")).collect());
const LEAF_KEY: usize = 4;
const WRONG_KEY: usize = 5;
const NAMESAKE_KEY: usize = 6;

impl Chain {
    pub(crate) fn cas(&self) -> &[Certificate] {
        &self.cas[..usize::from(self.depth % 4)]
    }

    /// From the root down to the leaf.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.root).chain(self.cas()).chain([&self.leaf])
    }

    pub(crate) fn below_root(&self) -> impl Iterator<Item = &Certificate> {
        self.cas().iter().chain([&self.leaf])
    }

    pub(crate) fn make(&self) -> Option<Made> {
        let mut above = (params(&self.root, "root", 0, true), 0);
        let root = above.0.self_signed(&KEYS[0]).ok()?.der().to_vec();
        let mut untrusted = Vec::new();
        let mut name = "root".to_owned();
        for (n, ca) in self.cas().iter().enumerate() {
            let own = if ca.self_issued() { name.clone() } else { format!("ca{n}") };
            let params = params(ca, &own, n + 1, true);
            untrusted.push(sign(ca, &params, n + 1, &above.0, above.1)?);
            if self.namesake && n + 1 == self.cas().len() {
                untrusted.insert(0, sign(ca, &params, NAMESAKE_KEY, &above.0, above.1)?);
            }
            above = (params, n + 1);
            name = own;
        }
        let params = params(&self.leaf, "leaf", 9, false);
        let leaf = sign(&self.leaf, &params, LEAF_KEY, &above.0, above.1)?;
        Some(Made { root, untrusted, leaf })
    }
}

fn sign(
    spec: &Certificate,
    params: &CertificateParams,
    key: usize,
    issuer: &CertificateParams,
    issuer_key: usize,
) -> Option<Vec<u8>> {
    let with = if spec.fault() == Fault::WrongKey { WRONG_KEY } else { issuer_key };
    let mut issuer = issuer.clone();
    if spec.fault() == Fault::WrongIssuerName {
        issuer.distinguished_name = Default::default();
        issuer.distinguished_name.push(DnType::CommonName, "nobody");
    }
    let issuer = Issuer::from_params(&issuer, &KEYS[with]);
    Some(params.signed_by(&KEYS[key], &issuer).ok()?.der().to_vec())
}

fn params(spec: &Certificate, name: &str, serial: usize, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(match spec.loose {
        Loose::LongSerial => SerialNumber::from_slice(&[0x7f; 21]),
        Loose::ZeroSerial => SerialNumber::from_slice(&[0]),
        _ => SerialNumber::from(serial as u64 + 1),
    });
    params.distinguished_name = Default::default();
    // Names of CAs are what the chain is made by.
    if ca || spec.loose != Loose::NoSubject {
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let (from, until) = match spec.fault() {
        Fault::Expired => (2025, 2026),
        Fault::Future => (2027, 2028),
        _ => (2026, 2027),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let lax_aki = matches!(spec.loose, Loose::NoAki | Loose::OtherAki | Loose::CriticalAki);
    params.use_authority_key_identifier_extension = !lax_aki;
    let mut add = |last: u64, content: Vec<u8>, critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, last], content);
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
    };
    match spec.loose {
        Loose::OtherAki => add(35, seq(&[&[0x80, 2, 1, 2]]), false),
        Loose::CriticalAki => add(35, seq(&[]), true),
        Loose::LaxBasicConstraints if ca => add(19, seq(&[&[1, 1, 0xff]]), false),
        Loose::LaxNameConstraints if ca => {
            add(30, seq(&[&[0xa1, 11, 0x30, 9, 0x82, 7], b"c.other"]), false);
        }
        _ => {}
    }
    params.is_ca = match (spec.kind, ca) {
        (Kind::CaFalse, _) | (Kind::Fitting | Kind::Fitting2, false) => IsCa::ExplicitNoCa,
        (Kind::Absent, _) => IsCa::NoCa,
        (Kind::PathLen0, _) => IsCa::Ca(BasicConstraints::Constrained(0)),
        (Kind::PathLen1, _) => IsCa::Ca(BasicConstraints::Constrained(1)),
        (Kind::Fitting | Kind::Fitting2, true) => IsCa::Ca(BasicConstraints::Unconstrained),
    };
    if ca && spec.loose == Loose::LaxBasicConstraints {
        params.is_ca = IsCa::NoCa;
    }
    params.key_usages = match (spec.usage, ca) {
        (Usage::Fitting | Usage::Fitting2, true) => {
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]
        }
        (Usage::Fitting | Usage::Fitting2, false) => vec![KeyUsagePurpose::DigitalSignature],
        (Usage::Absent, _) => Vec::new(),
        (Usage::CrlSignOnly, _) => vec![KeyUsagePurpose::CrlSign],
    };
    use ExtendedKeyUsagePurpose as E;
    params.extended_key_usages = match spec.purposes {
        None => Vec::new(),
        Some(Purposes::Email) => vec![E::EmailProtection],
        Some(Purposes::Client) => vec![E::ClientAuth],
        Some(Purposes::Both) => vec![E::ClientAuth, E::EmailProtection],
        Some(Purposes::Server) => vec![E::ServerAuth],
        Some(Purposes::Any) => vec![E::Any],
    };
    if ca {
        constrain(spec, &mut params);
    }
    for name in spec.names.iter().flatten() {
        params.subject_alt_names.push(match name {
            San::Dns(host) => SanType::DnsName(host.text().try_into().expect("ASCII")),
            San::Wildcard(host) => {
                SanType::DnsName(format!("*.{}", host.text()).try_into().expect("ASCII"))
            }
            San::Email(host) => {
                SanType::Rfc822Name(format!("user@{}", host.text()).try_into().expect("ASCII"))
            }
            San::Ip(inside) => {
                SanType::IpAddress(if *inside { [10, 0, 0, 1] } else { [11, 0, 0, 1] }.into())
            }
            San::Uri(host) => {
                SanType::URI(format!("https://{}/x", host.text()).try_into().expect("ASCII"))
            }
        });
    }
    policies(spec, ca, &mut params);
    match spec.fault() {
        Fault::UnknownCritical | Fault::UnknownHarmless => {
            let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            unknown.set_criticality(spec.fault() == Fault::UnknownCritical);
            params.custom_extensions.push(unknown);
        }
        _ => {}
    }
    params
}

fn constrain(spec: &Certificate, params: &mut CertificateParams) {
    let mut constraints =
        NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: Vec::new() };
    for subtree in spec.subtrees.iter().flatten() {
        let (Subtree::Permit(base) | Subtree::Exclude(base)) = subtree;
        let base = match base {
            Base::Dns(host) if spec.loose == Loose::DnsBelow => {
                GeneralSubtree::DnsName(format!(".{}", host.text()))
            }
            Base::Dns(host) => GeneralSubtree::DnsName(host.text().into()),
            Base::Email(host) => GeneralSubtree::Rfc822Name(host.text().into()),
            Base::EmailBelow(host) => GeneralSubtree::Rfc822Name(format!(".{}", host.text())),
            Base::Mailbox(host) => GeneralSubtree::Rfc822Name(format!("user@{}", host.text())),
            Base::Net(inside) => {
                let octets = if *inside { [10, 0, 0, 0] } else { [11, 0, 0, 0] };
                GeneralSubtree::IpAddress(rcgen::CidrSubnet::V4(octets, [255, 0, 0, 0]))
            }
            Base::Organization(own) => {
                let mut name = rcgen::DistinguishedName::new();
                name.push(DnType::OrganizationName, if *own { "EXAMPLE" } else { "Other" });
                GeneralSubtree::DirectoryName(name)
            }
        };
        match subtree {
            Subtree::Permit(_) => constraints.permitted_subtrees.push(base),
            Subtree::Exclude(_) => constraints.excluded_subtrees.push(base),
        }
    }
    let own = spec.loose == Loose::LaxNameConstraints;
    if !own && spec.subtrees.iter().any(Option::is_some) {
        params.name_constraints = Some(constraints);
    }
}

fn seq(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[0x30, content.len() as u8][..], &content].concat()
}

fn policies(spec: &Certificate, ca: bool, params: &mut CertificateParams) {
    let mut add = |last: u64, content: Vec<u8>, critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, last], content);
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
    };
    let mut own: Vec<Policy> = spec.policies.iter().flatten().copied().collect();
    own.dedup();
    if !own.is_empty() {
        let list: Vec<Vec<u8>> = own.iter().map(|p| seq(&[p.der()])).collect();
        add(32, seq(&list.iter().map(Vec::as_slice).collect::<Vec<_>>()), false);
    }
    if !ca {
        return;
    }
    if let Some((issuer, subject)) = spec.mapping {
        add(33, seq(&[&seq(&[issuer.der(), subject.der()])]), true);
    }
    if let Some((explicit, mapping)) = spec.constraints
        && (explicit.is_some() || mapping.is_some())
    {
        let number = |tag, n: Option<bool>| n.map_or(Vec::new(), |n| vec![tag, 1, u8::from(n)]);
        add(36, seq(&[&number(0x80, explicit), &number(0x81, mapping)]), true);
    }
    if let Some(skip) = spec.inhibit_any {
        add(54, vec![2, 1, u8::from(skip)], true);
    }
}
