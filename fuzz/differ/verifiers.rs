//! The three opinions on one chain.

use std::time::Duration;

use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509StoreContext};
use path::{Given, Options};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::spec::{AT, Chain, Made, Purpose};

/// `Ok`, or why not.
pub(crate) type Opinion = Result<(), String>;

pub(crate) fn ours(chain: &Chain, made: &Made, profile: path::Profile) -> Opinion {
    let read =
        |der: &[u8]| path::Certificate::from_der(der).map_err(|e| format!("unreadable: {e}"));
    let (leaf, root) = (read(&made.leaf)?, read(&made.root)?);
    let untrusted: Vec<_> = made.untrusted.iter().map(|c| read(c)).collect::<Result<_, _>>()?;
    let given = Given { roots: &[root], untrusted: &untrusted, ..Given::default() };
    let options = Options::at(AT)
        .profile(profile)
        .purpose(match chain.purpose {
            Purpose::Any => path::Purpose::Any,
            Purpose::Email => path::Purpose::Email,
            Purpose::Client => path::Purpose::Client,
        })
        .require_explicit_policy(chain.explicit_policy)
        .policies(chain.wanted_policy.iter().map(|p| p.text().parse().expect("an OID")));
    match path::verify(&leaf, &given, &options).failure() {
        None => Ok(()),
        Some(failure) => Err(format!("{}: {failure}", failure.code())),
    }
}

pub(crate) fn openssls(chain: &Chain, made: &Made, strict: bool) -> Opinion {
    let inner = || -> Result<Opinion, openssl::error::ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(X509::from_der(&made.root)?)?;
        let mut param = X509VerifyParam::new()?;
        let mut flags = X509VerifyFlags::POLICY_CHECK;
        if strict {
            flags |= X509VerifyFlags::X509_STRICT;
            // 112 bits: RSA from 2,048 bits, no SHA-1.
            param.set_auth_level(2);
        }
        if chain.explicit_policy {
            flags |= X509VerifyFlags::EXPLICIT_POLICY;
        }
        param.set_flags(flags)?;
        param.set_time(AT);
        match chain.purpose {
            Purpose::Any => {}
            Purpose::Email => param.set_purpose(X509PurposeId::SMIME_SIGN)?,
            Purpose::Client => param.set_purpose(X509PurposeId::SSL_CLIENT)?,
        }
        store.set_param(&param)?;
        let mut untrusted = Stack::new()?;
        for der in &made.untrusted {
            untrusted.push(X509::from_der(der)?)?;
        }
        let leaf = X509::from_der(&made.leaf)?;
        let mut context = X509StoreContext::new()?;
        context.init(&store.build(), &leaf, &untrusted, |context| {
            Ok(if context.verify_cert()? {
                Ok(())
            } else {
                Err(context.error().error_string().to_owned())
            })
        })
    };
    let result = inner().unwrap_or_else(|e| Err(e.to_string()));
    // What it left behind would be told of the next chain.
    let _ = openssl::error::ErrorStack::get();
    result
}

pub(crate) fn webpkis(chain: &Chain, made: &Made) -> Opinion {
    let told = |e: webpki::Error| format!("{e:?}");
    let root = CertificateDer::from(made.root.as_slice());
    let anchor = webpki::anchor_from_trusted_cert(&root).map_err(told)?;
    let leaf_der = CertificateDer::from(made.leaf.as_slice());
    let leaf = webpki::EndEntityCert::try_from(&leaf_der).map_err(told)?;
    let untrusted: Vec<_> =
        made.untrusted.iter().map(|c| CertificateDer::from(c.as_slice())).collect();
    const EMAIL: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
    const CLIENT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
    let oid = if chain.purpose == Purpose::Email { EMAIL } else { CLIENT };
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &untrusted,
        UnixTime::since_unix_epoch(Duration::from_secs(AT as u64)),
        webpki::KeyUsage::required_if_present(oid),
        None,
        None,
    )
    .map(drop)
    .map_err(told)
}
