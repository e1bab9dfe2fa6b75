//! What tokens' makers attest of keys, held against the makers' roots that the operator gave.

use path::{Certificate, Given, Options, Profile};
use pkcs11::{Attestation, KeyInfo};

/// What is said of a key that nothing attests.
pub(crate) const NONE: &str = "none";

/// What a token holds, read.
pub(crate) struct Attestations<'a> {
    roots: &'a [Certificate],
    certificates: Vec<Certificate>,
    /// A maker's attribute that is no certificate, by the key's CKA_ID.
    opaque: Vec<(&'a [u8], usize)>,
    at: i64,
}

impl<'a> Attestations<'a> {
    /// Reads what was found on a token; what is no certificate is only counted.
    pub(crate) fn new(roots: &'a [Certificate], found: &'a [Attestation], at: i64) -> Self {
        let (mut certificates, mut opaque) = (Vec::new(), Vec::new());
        for Attestation { of, content, .. } in found {
            match (Certificate::from_der(content), of) {
                (Ok(certificate), _) => certificates.push(certificate),
                (Err(_), Some(id)) => opaque.push((id.as_slice(), content.len())),
                // Somebody else's certificate of a kind that we do not read.
                (Err(_), None) => (),
            }
        }
        Self { roots, certificates, opaque, at }
    }

    /// What attests this key, in words. A certificate counts as an attestation if it names the key
    /// and leads to one of the makers' roots; others are said to be unproven.
    pub(crate) fn of(&self, key: &KeyInfo) -> String {
        let own = self.certificates.iter().filter(|found| found.spki_der() == key.spki_der);
        let mut doubtful = None;
        for certificate in own {
            let issuer = certificate.issuer();
            match self.proven(certificate) {
                Ok(()) => return format!("by «{issuer}», proven up to the root that was given"),
                Err(why) => {
                    doubtful.get_or_insert_with(|| format!("unproven, by «{issuer}»: {why}"));
                }
            }
        }
        let opaque = || {
            let (_, len) = self.opaque.iter().find(|(id, _)| *id == key.id)?;
            Some(format!("unproven: {len} bytes that are no certificate, in the maker's attribute"))
        };
        doubtful.or_else(opaque).unwrap_or_else(|| NONE.to_owned())
    }

    fn proven(&self, certificate: &Certificate) -> Result<(), String> {
        if self.roots.is_empty() {
            return Err("no `attestation_ca` is given".to_owned());
        }
        let given = Given { roots: self.roots, untrusted: &self.certificates, ..Given::default() };
        // Makers' certificates are no people's: RFC 5280 as it is, without revocation, which makers
        // do not publish.
        let options = Options::at(self.at).profile(Profile::Rfc5280);
        match path::verify(certificate, &given, &options).failure() {
            None => Ok(()),
            Some(failure) => Err(failure.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
