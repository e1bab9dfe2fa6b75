//! The key that clients seal addresses to, and what is opened with it.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, Serializable};
use wire::address::{Address, POINT, SealedAddress, aad, info};
use wire::body::Channel;
use wire::leaf::address_secret;
use wire::{Encoded, FormatError, Hash32, UserId};
use zeroize::Zeroizing;

/// Why a sealed address is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not in the form of a sealed address, or what was in it is not an address.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Sealed to another key, for another identity, channel or installation, or altered.
    #[error(
        "the address of channel {channel} does not open: it was sealed for another installation, identity or channel, or altered"
    )]
    Sealed {
        /// The channel that it says it is for.
        channel: Hash32,
    },
    /// It opens, and is another channel's.
    #[error("the address that was sealed for channel {channel} is that of channel {found}")]
    Other {
        /// The channel that it says it is for.
        channel: Hash32,
        /// The channel whose address it is.
        found: Hash32,
    },
}

/// The authority's key for addresses. It is derived from the secret of the installation, so it
/// comes back with the database and needs no care of its own.
pub struct AddressKey {
    private: <DhP256HkdfSha256 as Kem>::PrivateKey,
    public: [u8; POINT],
}

impl std::fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressKey").field("public", &hex::encode(self.public)).finish()
    }
}

impl AddressKey {
    /// The key of the installation with this secret (RFC 9180 section 7.1.3, DeriveKeyPair).
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        let ikm = Zeroizing::new(*address_secret(secret).as_bytes());
        let (private, public) = DhP256HkdfSha256::derive_keypair(&*ikm);
        let mut bytes = [0; POINT];
        bytes.copy_from_slice(&public.to_bytes());
        Self { private, public: bytes }
    }

    /// The public half, an uncompressed point: what the trust file names.
    #[must_use]
    pub fn public(&self) -> &[u8; POINT] {
        &self.public
    }

    /// Opens a [`SealedAddress`] and checks that it is the address of the channel that it says.
    ///
    /// # Errors
    /// [`AddressError`] says what does not fit.
    pub fn open(
        &self,
        genesis: Hash32,
        uid: &UserId,
        sealed: &[u8],
    ) -> Result<(Channel, Address), AddressError> {
        let sealed = SealedAddress::from_canonical(sealed)?;
        let channel = sealed.channel;
        let refused = |_| AddressError::Sealed { channel };
        let enc = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(sealed.enc.as_bytes())
            .map_err(refused)?;
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &enc,
            &info(genesis),
            sealed.ciphertext.as_bytes(),
            &aad(channel, uid),
        )
        .map_err(refused)?;
        let address = Address::from_canonical(&Zeroizing::new(opened))?;
        let found = address.channel();
        if found.address != channel {
            return Err(AddressError::Other { channel, found: found.address });
        }
        Ok((found, address))
    }
}

#[cfg(test)]
mod tests;
