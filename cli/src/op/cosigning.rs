//! Co-signers, as the configuration has them.

use ca::cosign::{CosigningSettings, Peer, WhenUnreachable};
use tlog::cosign::CosignerKey;
use tlog::quorum::Quorum;
use wire::genesis;
use wire::trust::TrustFile;

use crate::config::{self, Config, CosignerKind};
use crate::exit::Failure;
use crate::files;

/// How the authority asks them.
pub(super) fn settings(config: &Config) -> Result<CosigningSettings, Failure> {
    let mut peers = Vec::new();
    for (name, raw) in &config.cosigners {
        let ca = raw.ca_file.as_deref().map(files::read).transpose()?;
        let peer = Peer::new(name, kind(raw.kind), &raw.vkey, &raw.url, ca.as_deref());
        peers.push(peer.map_err(|e| Failure::local(format!("`cosigners.{name}`: {e}")))?);
    }
    let raw = &config.cosigning;
    Ok(CosigningSettings {
        peers,
        deadline: raw.deadline.0,
        refresh: raw.refresh.0,
        when_unreachable: match raw.when_unreachable {
            config::WhenUnreachable::Stop => WhenUnreachable::Stop,
            config::WhenUnreachable::Run => WhenUnreachable::Run,
        },
    })
}

fn kind(kind: CosignerKind) -> genesis::CosignerKind {
    match kind {
        CosignerKind::Witness => genesis::CosignerKind::Witness,
        CosignerKind::Auditor => genesis::CosignerKind::Auditor,
    }
}

/// The co-signers that an installation begins with.
pub(super) fn founding(config: &Config) -> Result<Vec<genesis::Cosigner>, Failure> {
    let cosigners: Vec<_> = config
        .cosigners
        .values()
        .map(|raw| genesis::Cosigner { kind: kind(raw.kind), vkey: raw.vkey.clone() })
        .collect();
    Quorum::of(&cosigners).map_err(|e| Failure::local(format!("`cosigners`: {e}")))?;
    Ok(cosigners)
}

/// Co-signers of the trust file that the configuration says no place of, and the other way round.
pub(super) fn unasked(config: &Config) -> Vec<String> {
    let trust = std::fs::read_to_string(config.dir.join("trust.json")).ok();
    let trust = trust.and_then(|text| TrustFile::parse(&text).ok());
    let Some(quorum) = trust.and_then(|trust| Quorum::parse(trust.quorum()).ok()) else {
        return Vec::new();
    };
    let configured: Vec<(&String, CosignerKey)> = config
        .cosigners
        .iter()
        .filter_map(|(name, raw)| Some((name, CosignerKey::parse_vkey(&raw.vkey).ok()?)))
        .collect();
    let mut told = Vec::new();
    for witness in quorum.witnesses() {
        if !configured.iter().any(|(_, key)| key == witness.key()) {
            told.push(format!(
                "trust.json names the co-signer {}, and no [cosigners.…] says where it is: it is \
                 never asked",
                witness.name()
            ));
        }
    }
    for (name, key) in configured {
        if !quorum.witnesses().iter().any(|witness| *witness.key() == key) {
            told.push(format!(
                "`cosigners.{name}` is no co-signer of trust.json: it counts only if the \
                 co-signers were changed since"
            ));
        }
    }
    told
}
