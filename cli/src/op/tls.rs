//! TLS material for `avouch dev`: a CA, the server's certificate and an enrolment agent's.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::exit::Failure;
use crate::files;

/// Name of the agent that `avouch dev` makes.
pub(super) const AGENT: &str = "dev-agent";

/// Makes all of it, unless it is there.
pub(super) fn make(dir: &Path, listen: IpAddr) -> Result<(), Failure> {
    if dir.join("agent.pem").exists() && dir.join("tls.pem").exists() {
        return Ok(());
    }
    material(dir, listen).map_err(|e| match e {
        Fault::Tls(error) => Failure::local(format!("cannot make TLS certificates: {error}")),
        Fault::File(failure) => failure,
    })
}

enum Fault {
    Tls(rcgen::Error),
    File(Failure),
}

impl From<rcgen::Error> for Fault {
    fn from(error: rcgen::Error) -> Self {
        Self::Tls(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::File(failure)
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    params
}

fn material(dir: &Path, listen: IpAddr) -> Result<(), Fault> {
    let ca_key = KeyPair::generate()?;
    let mut ca = named("Avouch development TLS CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let server_key = KeyPair::generate()?;
    let mut server = named("localhost");
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        SanType::IpAddress(listen),
    ];
    server.subject_alt_names.dedup();
    let server_pem = server.signed_by(&server_key, &issuer)?.pem();

    let agent_key = KeyPair::generate()?;
    let mut agent = named(AGENT);
    agent.use_authority_key_identifier_extension = true;
    agent.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    agent.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let agent_pem = agent.signed_by(&agent_key, &issuer)?.pem();

    files::publish(&dir.join("tls-ca.pem"), ca_pem.as_bytes())?;
    files::write(&dir.join("tls.key"), server_key.serialize_pem().as_bytes(), 0o600)?;
    files::publish(&dir.join("tls.pem"), server_pem.as_bytes())?;
    files::write(&dir.join("agent.key"), agent_key.serialize_pem().as_bytes(), 0o600)?;
    files::publish(&dir.join("agent.pem"), agent_pem.as_bytes())?;
    Ok(())
}
