//! Officers and agents as they are named on the command line: NAME=FILE.

use std::path::Path;

use policy::scope::Scope;
use wire::genesis::Keyholder;
use wire::octets;

use crate::exit::Failure;
use crate::files;

/// An enrolment agent: NAME=FILE.
pub(crate) fn agent(text: &str) -> Result<Keyholder, Failure> {
    let (name, file) = split(text)?;
    Ok(Keyholder { name: name.to_owned(), spki: octets(&public_key(file)?), scope: Vec::new() })
}

/// Sets the scopes of agents: NAME:ENTRY, all entries of each that is named. Others stay as they are.
pub(crate) fn scopes(agents: &mut [Keyholder], entries: &[String]) -> Result<(), Failure> {
    let mut begun: Vec<&str> = Vec::new();
    for text in entries {
        let (name, entry) = text
            .split_once(':')
            .ok_or_else(|| Failure::local(format!("{text:?} is not of the form NAME:ENTRY")))?;
        let agent = agents
            .iter_mut()
            .find(|agent| agent.name == name)
            .ok_or_else(|| Failure::local(format!("no agent in the list is called {name}")))?;
        if !begun.contains(&name) {
            begun.push(name);
            agent.scope.clear();
        }
        agent.scope.push(entry.to_owned());
        Scope::parse(&agent.scope).map_err(|e| Failure::local(e.to_string()))?;
    }
    Ok(())
}

/// An officer: NAME=FILE, or NAME:UID=FILE where she has an identity here herself.
pub(crate) fn officer(text: &str) -> Result<Keyholder, Failure> {
    let (name, file) = split(text)?;
    let (name, scope) = match name.split_once(':') {
        Some((name, uid)) => (name, vec![format!("uid={uid}")]),
        None => (name, Vec::new()),
    };
    Ok(Keyholder { name: name.to_owned(), spki: octets(&public_key(file)?), scope })
}

fn split(text: &str) -> Result<(&str, &Path), Failure> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, file)| (name, Path::new(file)))
        .ok_or_else(|| Failure::local(format!("{text:?} is not of the form NAME=FILE")))
}

/// The SubjectPublicKeyInfo in a file: a public key, a certificate, or a private key, PEM.
pub(crate) fn public_key(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(file)?;
    let wrong = |e: &dyn std::fmt::Display| Failure::local(format!("{}: {e}", file.display()));
    let holds = |label: &str| bytes.windows(label.len()).any(|w| w == label.as_bytes());
    if holds("-----BEGIN PUBLIC KEY-----") {
        return x509::pem::decode_one(&bytes, &["PUBLIC KEY"]).map_err(|e| wrong(&e));
    }
    if holds("PRIVATE KEY-----") {
        let key = client::keys::PrivateKey::from_pem_or_der(&bytes).map_err(|e| wrong(&e))?;
        return Ok(client::keys::Signer::spki_der(&key).to_vec());
    }
    let certificate = x509::Certificate::parse_any(&bytes).map_err(|e| wrong(&e))?;
    Ok(certificate.spki_der().to_vec())
}
