//! What every client's validator says, asked before anything leaves the house: of the issuing
//! chain at a start, of every certificate before it is recorded and signed, of one of each group
//! before the group is published, and of every CRL.

use path::{Certificate, Given, Options, ParseError, Profile, Purpose, Report, Unfit};
use policy::Installation;
use wire::genesis::KeyPurpose;

/// Why clients would take nothing from this installation.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorError {
    /// A certificate of the genesis event cannot be read.
    #[error("a certificate of the genesis event: {0}")]
    Unreadable(#[from] ParseError),
    /// The genesis event names no issuing key.
    #[error("the genesis event names no issuing key")]
    NoIssuer,
    /// The issuing certificate does not lead to the root.
    #[error("clients would refuse the issuing certificate: {0}")]
    Refused(Box<Report>),
}

/// The validator of clients, with what they are given to trust.
#[derive(Debug)]
pub(crate) struct Validator {
    roots: Vec<Certificate>,
    general: Certificate,
    switches: Option<Certificate>,
    /// Both, as clients get them.
    issuing: Vec<Certificate>,
    /// Which of the roots signed each of them.
    known: Vec<Option<usize>>,
}

impl Validator {
    /// Takes root and issuing certificate from the installation, and validates the one by the other.
    ///
    /// That their time is over is found when something is to be issued, so it is left out here: what
    /// is revoked must be revoked until the last day.
    pub(crate) fn new(installation: &Installation) -> Result<Self, ValidatorError> {
        let read = |purpose| {
            let keys = installation.keys(purpose);
            keys.map(|key| Certificate::from_der(key.certificate.as_bytes()))
                .collect::<Result<Vec<_>, _>>()
        };
        let roots = read(KeyPurpose::Root)?;
        // The last one of each purpose signs.
        let general = read(KeyPurpose::Issuing)?.pop().ok_or(ValidatorError::NoIssuer)?;
        let switches = read(KeyPurpose::SwitchIssuing)?.pop();
        Self::of(roots, general, switches)
    }

    fn of(
        roots: Vec<Certificate>,
        general: Certificate,
        switches: Option<Certificate>,
    ) -> Result<Self, ValidatorError> {
        let issuing: Vec<_> = std::iter::once(&general).chain(&switches).cloned().collect();
        let mut known = Vec::with_capacity(issuing.len());
        for certificate in &issuing {
            let options = Options::at(certificate.not_before()).profile(Profile::Strict);
            let given = Given { roots: &roots, ..Given::default() };
            let report = path::verify(certificate, &given, &options);
            if !report.is_valid() {
                return Err(ValidatorError::Refused(Box::new(report)));
            }
            let issuer = report.fingerprints().get(1);
            known.push(roots.iter().position(|root| Some(root.fingerprint()) == issuer));
        }
        Ok(Self { roots, general, switches, issuing, known })
    }

    /// The authority whose key has this purpose.
    fn issuer(&self, purpose: KeyPurpose) -> &Certificate {
        match &self.switches {
            Some(switches) if purpose == KeyPurpose::SwitchIssuing => switches,
            _ => &self.general,
        }
    }

    /// What a client asks of a person's certificate, at this time in seconds since 1970.
    fn options(at: u64) -> Options {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Options::at(at).profile(Profile::Strict).purpose(Purpose::Email)
    }

    /// Whether clients will take the certificate with this TBS, once the key with this purpose
    /// signed it.
    pub(crate) fn leaf(&self, by: KeyPurpose, tbs: &[u8], at: u64) -> Result<(), Unfit> {
        path::examine(tbs, self.issuer(by), &Self::options(at))
    }

    /// Whether clients take this certificate: the whole path to the root.
    ///
    /// # Errors
    /// In words: why not.
    pub(crate) fn signed(&self, der: &[u8], at: u64) -> Result<(), String> {
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let given = Given { roots: &self.roots, untrusted: &self.issuing, ..Given::default() };
        // Those signatures were verified when this was made.
        let known = self.issuing.iter().zip(&self.known);
        let known = known.filter_map(|(issuing, root)| Some((issuing, self.roots.get((*root)?)?)));
        let known: Vec<_> = known.collect();
        let report = path::verify_knowing(&certificate, &given, &Self::options(at), &known);
        report.failure().map_or(Ok(()), |failure| Err(failure.to_string()))
    }

    /// Whether clients take this CRL of the authority whose key has this purpose.
    pub(crate) fn crl(&self, by: KeyPurpose, der: &[u8], at: u64) -> Result<(), Unfit> {
        path::examine_crl(der, self.issuer(by), &Self::options(at))
    }
}

#[cfg(test)]
mod tests;
