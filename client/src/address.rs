//! Where notices go: an address becomes a channel that anybody may see, and a blob that the
//! authority alone can read.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use wire::address::{Address, SALT, SealedAddress, aad, info};
use wire::body::{Channel, ChannelKind};
use wire::trust::TrustFile;
use wire::{Encoded, FormatError, UserId, octets};

/// Why an address cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Not an address of its kind.
    #[error(transparent)]
    Address(#[from] FormatError),
    /// The trust file is older than the key that addresses are sealed to.
    #[error("the trust file names no key for addresses; ask your organisation for the present one")]
    NoKey,
    /// What the trust file names is not a point on the curve.
    #[error("the trust file's key for addresses is not valid")]
    BadKey,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
}

/// A channel as the intent names it, with its address sealed for the authority.
#[derive(Debug, Clone)]
pub struct SealedChannel {
    /// For the intent's [`wire::body::Channels`].
    pub channel: Channel,
    /// The [`SealedAddress`], DER.
    pub sealed: Vec<u8>,
}

/// Makes a channel of an address, with a salt of its own.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    trust: &TrustFile,
    uid: &UserId,
    kind: ChannelKind,
    address: &str,
) -> Result<SealedChannel, SealError> {
    let mut salt = [0; SALT];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| SealError::Random)?;
    let address = Address::new(kind, salt, address)?;
    let channel = address.channel();
    let key = trust.address_key().ok_or(SealError::NoKey)?;
    let key =
        <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(key).map_err(|_| SealError::BadKey)?;
    let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &key,
        &info(trust.genesis()),
        &address.to_canonical(),
        &aad(channel.address, uid),
    )
    .map_err(|_| SealError::BadKey)?;
    let sealed = SealedAddress {
        version: 1,
        channel: channel.address,
        enc: octets(&enc.to_bytes()),
        ciphertext: octets(&ciphertext),
    };
    Ok(SealedChannel { channel, sealed: sealed.to_canonical() })
}

#[cfg(test)]
mod tests;
