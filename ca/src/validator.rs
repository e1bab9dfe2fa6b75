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
    issuing: Certificate,
    /// Which of the roots signed the issuing certificate.
    root: Option<usize>,
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
        // The last one signs.
        let issuing = read(KeyPurpose::Issuing)?.pop().ok_or(ValidatorError::NoIssuer)?;
        Self::of(roots, issuing)
    }

    fn of(roots: Vec<Certificate>, issuing: Certificate) -> Result<Self, ValidatorError> {
        let options = Options::at(issuing.not_before()).profile(Profile::Strict);
        let given = Given { roots: &roots, ..Given::default() };
        let report = path::verify(&issuing, &given, &options);
        if !report.is_valid() {
            return Err(ValidatorError::Refused(Box::new(report)));
        }
        let issuer = report.fingerprints().get(1);
        let root = roots.iter().position(|root| Some(root.fingerprint()) == issuer);
        Ok(Self { roots, issuing, root })
    }

    /// What a client asks of a person's certificate, at this time in seconds since 1970.
    fn options(at: u64) -> Options {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Options::at(at).profile(Profile::Strict).purpose(Purpose::Email)
    }

    /// Whether clients will take the certificate with this TBS, once it is signed.
    pub(crate) fn leaf(&self, tbs: &[u8], at: u64) -> Result<(), Unfit> {
        path::examine(tbs, &self.issuing, &Self::options(at))
    }

    /// Whether clients take this certificate: the whole path to the root.
    ///
    /// # Errors
    /// In words: why not.
    pub(crate) fn signed(&self, der: &[u8], at: u64) -> Result<(), String> {
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let untrusted = std::slice::from_ref(&self.issuing);
        let given = Given { roots: &self.roots, untrusted, ..Given::default() };
        // That signature was verified when this was made.
        let known = self.root.and_then(|place| self.roots.get(place));
        let known = known.map(|root| (&self.issuing, root));
        let options = Self::options(at);
        let report = path::verify_knowing(&certificate, &given, &options, known.as_slice());
        report.failure().map_or(Ok(()), |failure| Err(failure.to_string()))
    }

    /// Whether clients take this CRL.
    pub(crate) fn crl(&self, der: &[u8], at: u64) -> Result<(), Unfit> {
        path::examine_crl(der, &self.issuing, &Self::options(at))
    }
}

#[cfg(test)]
mod tests;
