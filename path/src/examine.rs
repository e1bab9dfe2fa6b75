//! For issuers: what a validator would say of a certificate that is about to be signed, and of a
//! CRL that is about to be published.

use thiserror::Error;

use crate::asn1::{BIT_STRING, INTEGER, ParseError, Reader, SEQUENCE, context};
use crate::cert::Certificate;
use crate::crl::Crl;
use crate::options::Options;
use crate::report::Failure;
use crate::search::{Given, Pool};
use crate::work::Work;
use crate::{revocation, validate};

/// Why a validator would not take it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("unreadable: {0}")]
    Unreadable(#[from] ParseError),
    /// It would be refused.
    #[error("{0}")]
    Refused(Failure),
}

/// Whether [`verify`](crate::verify) would take the certificate that has this TBSCertificate and a
/// good signature by `issuer`, were `issuer` an anchor: the same code as there, but for the
/// signature and the status.
///
/// # Errors
/// The first reason not to.
pub fn examine(tbs: &[u8], issuer: &Certificate, options: &Options) -> Result<(), Unfit> {
    let certificate = Certificate::from_der(&unsigned(tbs)?)?;
    let mut work = Work::new(options.profile);
    work.take_signature(&certificate, issuer);
    let pool = Pool::new(&Given::default());
    let verdict = validate::path(&[&certificate, issuer], &pool, options, &mut work);
    verdict.failure.map_or(Ok(()), |(_, failure)| Err(Unfit::Refused(failure)))
}

/// Whether `issuer`'s CRL would clear certificates: its signature and its form, and that it holds at
/// the time of the options.
///
/// # Errors
/// The first reason not to.
pub fn examine_crl(der: &[u8], issuer: &Certificate, options: &Options) -> Result<(), Unfit> {
    let crl = Crl::from_der(der)?;
    let mut work = Work::new(options.profile);
    let crls = [crl];
    let pool = Pool::new(&Given { crls: &crls, ..Given::default() });
    revocation::examine(issuer, &pool, options, &mut work)
        .map_err(|why| Unfit::Refused(Failure::StatusMissing { why }))
}

/// The TBSCertificate as a certificate without a signature.
fn unsigned(tbs: &[u8]) -> Result<Vec<u8>, ParseError> {
    const NO_SIGNATURE: &[u8] = &[BIT_STRING, 1, 0];
    let mut input = Reader::new(tbs);
    let mut fields = input.expect(SEQUENCE, "tbsCertificate")?.reader();
    input.finish()?;
    fields.optional(context(0))?;
    fields.expect(INTEGER, "serialNumber")?;
    let algorithm = fields.expect(SEQUENCE, "signature algorithm")?;
    let length = tbs.len() + algorithm.raw.len() + NO_SIGNATURE.len();
    let octets = (length as u64).to_be_bytes();
    let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    let mut out = Vec::with_capacity(length + 10);
    out.push(SEQUENCE);
    match length {
        0..=0x7f => out.push(length as u8),
        _ => {
            out.push(0x80 | octets.len() as u8);
            out.extend_from_slice(octets);
        }
    }
    for part in [tbs, algorithm.raw, NO_SIGNATURE] {
        out.extend_from_slice(part);
    }
    Ok(out)
}
