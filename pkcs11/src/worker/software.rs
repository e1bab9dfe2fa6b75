//! The software signer: key files behind the same protocol, for those without an HSM.
//!
//! One file per key, `<CKA_ID in hex>.pem`: a line with the label, then PKCS#8 (RFC 5958) as PEM,
//! which `openssl pkey` reads. Folder 0700, files 0600, written once and never changed.

use super::signer::{Fault, Holding, Signer, not_a_trial_key};
use crate::HsmError;
use crate::key::{Algorithm, Attestation, KeyInfo, KeySpec, Protection, TokenInfo};
use crate::spki;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn open(dir: &Path, sessions: usize) -> Result<Holding, HsmError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| key_file(dir, error))?;
    let token = TokenInfo {
        label: "key files".to_owned(),
        manufacturer: "Avouch".to_owned(),
        model: "software".to_owned(),
        initialised: true,
        ..TokenInfo::default()
    };
    let signers = (0..sessions)
        .map(|_| {
            let folder = Folder { dir: dir.to_path_buf(), loaded: HashMap::new() };
            Box::new(folder) as Box<dyn Signer>
        })
        .collect();
    Ok(Holding { token, signers, keep_alive: Box::new(|| Ok(())), finish: Box::new(|| ()) })
}

struct Folder {
    dir: PathBuf,
    loaded: HashMap<Vec<u8>, Arc<Loaded>>,
}

struct Loaded {
    key: Pair,
    info: KeyInfo,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Folder {
    fn path(&self, id: &[u8]) -> PathBuf {
        self.dir.join(format!("{}.pem", hex::encode(id)))
    }

    fn load(&mut self, id: &[u8]) -> Result<Option<Arc<Loaded>>, HsmError> {
        if let Some(loaded) = self.loaded.get(id) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let path = self.path(id);
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(key_file(&path, error)),
        };
        let loaded = Arc::new(parse(id, &text).map_err(|detail| HsmError::KeyFile {
            path: path.clone(),
            detail: detail.to_owned(),
        })?);
        self.loaded.insert(id.to_vec(), Arc::clone(&loaded));
        Ok(Some(loaded))
    }
}

/// A key file's content: `label: …`, an empty line, PEM.
fn parse(id: &[u8], text: &[u8]) -> Result<Loaded, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "not text")?;
    let start = text.find("-----BEGIN ").ok_or("no PEM block")?;
    let label = text[..start]
        .lines()
        .find_map(|line| line.strip_prefix("label: "))
        .unwrap_or_default()
        .to_owned();
    let (kind, der) = der::pem::decode_vec(&text.as_bytes()[start..]).map_err(|_| "bad PEM")?;
    let der = Zeroizing::new(der);
    if kind != "PRIVATE KEY" {
        return Err("not a PKCS#8 private key («BEGIN PRIVATE KEY»)");
    }
    let (key, public) = pair(&der)?;
    let algorithm = spki::algorithm(&public).ok_or("a key of an unsupported kind")?;
    let info = KeyInfo {
        id: id.to_vec(),
        label,
        algorithm,
        spki_der: public,
        protection: Protection::key_file(),
    };
    Ok(Loaded { key, info })
}

fn pair(pkcs8: &[u8]) -> Result<(Pair, Vec<u8>), &'static str> {
    const UNREADABLE: &str = "public key not encodable";
    for algorithm in [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING] {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
            let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| UNREADABLE)?;
            let public = public.as_ref().to_vec();
            return Ok((Pair::Ecdsa(key), public));
        }
    }
    if let Ok(key) = Ed25519KeyPair::from_pkcs8(pkcs8) {
        let public = spki::from_ed25519(key.public_key().as_ref()).map_err(|_| UNREADABLE)?;
        return Ok((Pair::Ed25519(key), public));
    }
    let key =
        RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| "not a P-256, P-384, RSA or Ed25519 key")?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| UNREADABLE)?;
    let public = public.as_ref().to_vec();
    Ok((Pair::Rsa(key), public))
}

fn fresh(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, HsmError> {
    let failed = || HsmError::Refused {
        function: format!("generating {algorithm}"),
        code: "the cryptographic library failed".to_owned(),
    };
    let ecdsa = |signing| {
        let key = EcdsaKeyPair::generate(signing).map_err(|_| failed())?;
        let document = key.to_pkcs8v1().map_err(|_| failed())?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    };
    let rsa = |size| {
        let key = aws_lc_rs::rsa::KeyPair::generate(size).map_err(|_| failed())?;
        let document: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(|_| failed())?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    };
    match algorithm {
        Algorithm::P256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::P384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Rsa2048 => rsa(KeySize::Rsa2048),
        Algorithm::Rsa3072 => rsa(KeySize::Rsa3072),
        Algorithm::Rsa4096 => rsa(KeySize::Rsa4096),
        Algorithm::Ed25519 => {
            let key = Ed25519KeyPair::generate().map_err(|_| failed())?;
            // The first PKCS#8 version: OpenSSL 3.0 does not read the second.
            let document = key.to_pkcs8v1().map_err(|_| failed())?;
            Ok(Zeroizing::new(document.as_ref().to_vec()))
        }
    }
}

impl Signer for Folder {
    fn sign(&mut self, id: &[u8], tbs: &[u8]) -> Result<Vec<u8>, Fault> {
        let loaded = self.load(id)?.ok_or_else(|| HsmError::KeyNotFound { id: id.to_vec() })?;
        let rng = SystemRandom::new();
        let signed = match &loaded.key {
            Pair::Ecdsa(key) => key.sign(&rng, tbs).map(|s| s.as_ref().to_vec()),
            Pair::Ed25519(key) => key.try_sign(tbs).map(|s| s.as_ref().to_vec()),
            Pair::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, tbs, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|_| {
            Fault::Answer(HsmError::Refused {
                function: "signing with a key file".to_owned(),
                code: "the cryptographic library failed".to_owned(),
            })
        })
    }

    fn find(&mut self, id: &[u8]) -> Result<Option<KeyInfo>, Fault> {
        Ok(self.load(id)?.map(|loaded| loaded.info.clone()))
    }

    fn keys(&mut self) -> Result<Vec<KeyInfo>, Fault> {
        let mut found = Vec::new();
        let entries = fs::read_dir(&self.dir).map_err(|error| key_file(&self.dir, error))?;
        for entry in entries {
            let path = entry.map_err(|error| key_file(&self.dir, error))?.path();
            let id = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_suffix(".pem"))
                .and_then(|name| hex::decode(name).ok());
            if let Some(id) = id
                && let Some(loaded) = self.load(&id)?
            {
                found.push(loaded.info.clone());
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn generate(&mut self, spec: &KeySpec) -> Result<KeyInfo, Fault> {
        let path = self.path(&spec.id);
        if path.exists() {
            return Err(HsmError::KeyExists { id: spec.id.to_vec() }.into());
        }
        if spec.label.contains(['\n', '\r']) || spec.label.contains("-----BEGIN ") {
            let detail = "a key's label is one line".to_owned();
            return Err(HsmError::Config { detail }.into());
        }
        let key = fresh(spec.algorithm)?;
        let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &key)
            .map(Zeroizing::new)
            .map_err(|error| key_file(&path, std::io::Error::other(error.to_string())))?;
        let text = Zeroizing::new(format!("label: {}\n\n{}", spec.label, *pem));
        write_new(&self.dir, &path, text.as_bytes())?;
        let loaded =
            self.load(&spec.id)?.ok_or_else(|| HsmError::KeyNotFound { id: spec.id.to_vec() })?;
        Ok(loaded.info.clone())
    }

    fn attestations(&mut self) -> Result<Vec<Attestation>, Fault> {
        Ok(Vec::new())
    }

    fn forget(&mut self, id: &[u8]) -> Result<(), Fault> {
        let loaded = self.load(id)?.ok_or_else(|| HsmError::KeyNotFound { id: id.to_vec() })?;
        if !loaded.info.label.starts_with(crate::TRIAL_LABEL) {
            return Err(not_a_trial_key(&loaded.info.label));
        }
        let path = self.path(id);
        fs::remove_file(&path).map_err(|error| key_file(&path, error))?;
        self.loaded.remove(id);
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Written beside, made durable, then linked into place, which fails when the name is taken.
fn write_new(dir: &Path, path: &Path, content: &[u8]) -> Result<(), HsmError> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::hard_link(&beside, path)?;
        File::open(dir)?.sync_all()
    })();
    let removed = fs::remove_file(&beside);
    written.and(removed).map_err(|error| key_file(path, error))
}

fn key_file(path: &Path, error: std::io::Error) -> HsmError {
    HsmError::KeyFile { path: path.to_path_buf(), detail: error.to_string() }
}
