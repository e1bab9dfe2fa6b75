//! Who signs: a key in a file, or one on a token (PIV and whatever else speaks PKCS#11).

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use client::keys::{KeyError, PrivateKey, SignatureAlgorithm, Signer};
use pkcs11::{Algorithm, Hsm, KeyInfo, Pin, TokenConfig, TokenSelector};
use tokio::runtime::Runtime;
use wire::statement::Role;

use crate::exit::Failure;
use crate::op::authority;

/// The key that signs, and in which role.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// The private key that signs.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The recovery key, which signs instead; it is revealed and used up by that.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    recovery_key: Option<PathBuf>,
    /// A PKCS#11 module: the key that signs is on a token. The PIN is asked for.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "recovery_key"], requires = "key_id")]
    pkcs11_module: Option<PathBuf>,
    /// The token's label; by default the one token in the first slot.
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    token: Option<String>,
    /// The key's CKA_ID on the token, hexadecimal (`01` to `04` on PIV tokens).
    #[arg(long, value_name = "HEX", requires = "pkcs11_module", value_parser = key_id)]
    key_id: Option<KeyId>,
    /// In which role the key signs.
    #[arg(long = "as", value_enum, value_name = "ROLE", conflicts_with = "recovery_key")]
    role: Option<SignRole>,
}

/// CKA_ID.
#[derive(Debug, Clone)]
pub(crate) struct KeyId(Vec<u8>);

fn key_id(text: &str) -> Result<KeyId, String> {
    hex::decode(text)
        .ok()
        .filter(|b| !b.is_empty())
        .map(KeyId)
        .ok_or_else(|| format!("{text:?} is not hexadecimal"))
}

/// Roles in which people sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignRole {
    /// The identity's current key.
    CurrentKey,
    /// An officer.
    Officer,
    /// An enrolment agent.
    Agent,
    /// The directory's service.
    Directory,
}

impl SignRole {
    fn role(self) -> Role {
        match self {
            Self::CurrentKey => Role::CurrentKey,
            Self::Officer => Role::Officer,
            Self::Agent => Role::Agent,
            Self::Directory => Role::Directory,
        }
    }
}

impl SignerArgs {
    /// Whether a key is named.
    pub(crate) fn is_given(&self) -> bool {
        self.key.is_some() || self.recovery_key.is_some() || self.pkcs11_module.is_some()
    }

    /// In which role the key signs. `usual` is the role where none is named.
    pub(crate) fn role(&self, usual: Role) -> Role {
        match self.recovery_key {
            Some(_) => Role::RecoveryKey,
            None => self.role.map_or(usual, SignRole::role),
        }
    }

    /// Opens the key. `usual` is the role where none is named.
    pub(crate) fn open(&self, usual: Role) -> Result<(Box<dyn Signer>, Role), Failure> {
        let role = self.role.map_or(usual, SignRole::role);
        match (&self.key, &self.recovery_key, &self.pkcs11_module, &self.key_id) {
            (Some(file), ..) => Ok((Box::new(PrivateKey::load(file)?), role)),
            (_, Some(file), ..) => Ok((Box::new(PrivateKey::load(file)?), Role::RecoveryKey)),
            (_, _, Some(module), Some(KeyId(id))) => {
                Ok((Box::new(TokenKey::open(module, self.token.as_deref(), id)?), role))
            }
            _ => Err(Failure::local(
                "give the key that signs: --key, or --pkcs11-module and --key-id",
            )),
        }
    }
}

/// A key on a token. The module is loaded by a worker process, as the authority's is; a token that
/// crashes its module costs that process.
struct TokenKey {
    hsm: Hsm,
    key: KeyInfo,
    algorithm: SignatureAlgorithm,
    runtime: Runtime,
}

impl TokenKey {
    fn open(module: &Path, token: Option<&str>, id: &[u8]) -> Result<Self, Failure> {
        let pin = crate::terminal::ask_secret("PIN of the token: ")
            .map(Pin::new)
            .map_err(|e| Failure::local(format!("cannot ask for the PIN: {e}")))?;
        let selector = token.map_or(TokenSelector::Slot(0), |l| TokenSelector::Label(l.to_owned()));
        let mut config = TokenConfig::token(module, selector);
        config.sessions = 1;
        let runtime = crate::runtime()?;
        let failed = |error: pkcs11::HsmError| authority::hsm_failure(&error);
        let (hsm, key) = runtime.block_on(async {
            let hsm =
                Hsm::start(authority::worker(&[], None), config, pin).await.map_err(failed)?;
            let key = hsm.find(id).await.map_err(failed)?;
            Ok::<_, Failure>((hsm, key))
        })?;
        let key = key.ok_or_else(|| Failure::local("the token has no private key with this id"))?;
        let algorithm = match key.algorithm {
            Algorithm::P256 => SignatureAlgorithm::EcdsaSha256,
            Algorithm::P384 => SignatureAlgorithm::EcdsaSha384,
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                SignatureAlgorithm::RsaPkcs1Sha256
            }
            other => return Err(Failure::local(format!("a {other} key cannot sign this"))),
        };
        Ok(Self { hsm, key, algorithm, runtime })
    }
}

impl Signer for TokenKey {
    fn spki_der(&self) -> &[u8] {
        &self.key.spki_der
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |e: pkcs11::HsmError| KeyError::File(std::io::Error::other(e.to_string()));
        let raw = self.runtime.block_on(self.hsm.sign(&self.key.id, message)).map_err(failed)?;
        // Tokens do err: what does not verify here is not sent.
        self.key.verify(message, &raw).map_err(failed)?;
        Ok(match self.algorithm {
            SignatureAlgorithm::RsaPkcs1Sha256 => raw,
            _ => ecdsa_der(&raw),
        })
    }
}

impl Drop for TokenKey {
    fn drop(&mut self) {
        self.runtime.block_on(self.hsm.shut_down());
    }
}

/// Ecdsa-Sig-Value (RFC 3279 section 2.2.3) of r‖s.
fn ecdsa_der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let zeros = half.iter().take_while(|byte| **byte == 0).count();
        let digits = &half[zeros.min(half.len().saturating_sub(1))..];
        let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        let mut out = vec![0x02, (digits.len() + usize::from(sign)) as u8];
        out.extend(sign.then_some(0));
        out.extend_from_slice(digits);
        out
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    let body = [integer(r), integer(s)].concat();
    // Two integers of at most 49 bytes: the length fits into one byte.
    [&[0x30, body.len() as u8][..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_as_short_as_they_can_be_and_positive() {
        let mut raw = [0u8; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = ecdsa_der(&raw);
        assert_eq!(der[..6], [0x30, 38, 0x02, 1, 1, 0x02]);
        assert_eq!(der[6..9], [33, 0, 0x80]);
        assert_eq!(ecdsa_der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(key_id("01aF").unwrap().0, [0x01, 0xaf]);
        for wrong in ["", "1", "0x01", "zz", "+1"] {
            assert!(key_id(wrong).is_err(), "{wrong}");
        }
    }
}
