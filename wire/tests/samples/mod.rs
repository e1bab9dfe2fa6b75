//! One fixed value of each format. Nothing here may change: the files in `wire/vectors/` are made
//! of these values, and whoever implements the formats again compares against those files.

pub(crate) mod bodies;

use serde_bytes::ByteBuf;
use wire::bundle::{Blob, Bundle, BundleEvent};
use wire::event::{
    Certified, Event, EventKind, Evidence, EvidenceKind, RevocationReason, Revoked,
    TransportSource, TransportWord,
};
use wire::genesis::{
    Cosigner, CosignerKind, Genesis, InstallationKey, KeyPurpose, Keyholder, Protection, Provider,
};
use wire::head::{Head, HeadStatus};
use wire::hsm::{HsmAsk, HsmKey, HsmReport, HsmShares, HsmToken, HsmWorker, SecretText};
use wire::intent::{Intent, Name, NameKind};
use wire::leaf::{Leaf, LeafKind, blinded_id, blinding_commitment, blinding_key, commitment};
use wire::problem::{Problem, ProblemCode};
use wire::rules::Rules;
use wire::socket::{
    Hello, PageRequest, Peer, Request, RequestBody, Response, ResponseBody, Signed, VERSION,
    Welcome,
};
use wire::statement::{Role, SignatureAlgorithm, SignedStatement, Statement};
use wire::trust::TrustFile;
use wire::{Encoded, Hash32, IdempotencyKey, Realm, SerialNumber, UserId, octets, rest};

/// 2026-01-02T03:04:05Z, in seconds.
pub(crate) const NOW: u64 = 1_767_323_045;
/// The installation's secret behind blinded ids.
pub(crate) const SECRET: [u8; 32] = [0x42; 32];
/// The salt of the event's commitment.
pub(crate) const SALT: [u8; 32] = [0x5a; 32];

/// The realm.
pub(crate) fn realm() -> Realm {
    Realm::parse("files.example.org").unwrap()
}

/// The user: not ASCII, so that the encoding of names is pinned too.
pub(crate) fn uid() -> UserId {
    UserId::parse("zoë@example.org").unwrap()
}

/// The user's key behind the blinded id.
pub(crate) fn identity_key() -> [u8; 32] {
    blinding_key(&SECRET, &uid())
}

/// A P-256 SubjectPublicKeyInfo over the curve's base point (FIPS 186-4 D.1.2.3): a real key whose
/// private half is 1.
pub(crate) fn spki() -> Vec<u8> {
    hex::decode(concat!(
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ))
    .unwrap()
}

/// Stands for bytes that the formats carry and do not look into.
pub(crate) fn opaque(what: &str) -> Vec<u8> {
    format!("<{what}>").into_bytes()
}

/// The certificate's serial number.
pub(crate) fn serial() -> SerialNumber {
    SerialNumber::new(0x0100, 7, [1, 2, 3, 4, 5, 6, 7, 8]).unwrap()
}

/// The genesis body, with every list filled and every optional field set.
pub(crate) fn genesis() -> Genesis {
    let holder = |name: &str, scope: &[&str]| Keyholder {
        name: name.into(),
        spki: octets(&spki()),
        scope: scope.iter().map(|s| (*s).to_owned()).collect(),
    };
    let token = Protection {
        on_token: true,
        local: true,
        always_sensitive: true,
        never_extractable: true,
        modifiable: false,
        manufacturer: "Example HSM".into(),
        model: "Model 1".into(),
        token_serial: "0123456789abcdef".into(),
        software_token: false,
    };
    let key = |purpose, certificate: &[u8], protection: &Protection| InstallationKey {
        purpose,
        id: octets(&[purpose as u8; 16]),
        spki: octets(&spki()),
        certificate: octets(certificate),
        protection: protection.clone(),
    };
    Genesis {
        version: 1,
        realm: realm(),
        base_url: "https://avouch.example.org".into(),
        log_number: 0x0100,
        nonce: octets(&[0x11; 32]),
        origin: "example.org/avouch".into(),
        blinding: blinding_commitment(&SECRET),
        rules: Rules::standard(),
        roster: vec![holder("Olga", &[]), holder("Omar", &[]), holder("Oskar", &[])],
        agents: vec![holder("agent", &["enrol"])],
        providers: vec![Provider {
            issuer: "https://login.example.org".into(),
            audience: "avouch".into(),
            jwks: octets(br#"{"keys":[]}"#),
        }],
        cosigners: vec![Cosigner {
            kind: CosignerKind::Auditor,
            vkey: "auditor.example.org+8d0a3a55+BE4hZwOHIyQqVzv0DkWDe9i6QjFBVbZb1GYhsQGqSDMX"
                .into(),
        }],
        keys: vec![
            key(KeyPurpose::Root, &opaque("root certificate"), &token),
            key(KeyPurpose::Issuing, &opaque("issuing certificate"), &token),
            key(KeyPurpose::Log, b"", &token),
        ],
        previous_log: Some(Hash32::of(b"previous checkpoint")),
        escrow: Some(octets(&opaque("escrow certificate"))),
    }
}

/// The same with an issuing authority of their own for switches.
pub(crate) fn genesis_with_switch_issuer() -> Genesis {
    let mut genesis = genesis();
    let issuing = genesis.keys[1].clone();
    let purpose = KeyPurpose::SwitchIssuing;
    genesis.keys.push(InstallationKey { purpose, id: octets(&[purpose as u8; 16]), ..issuing });
    genesis
}

/// Leaf 0's event.
pub(crate) fn genesis_event() -> Event {
    Event {
        version: 1,
        engine: 1,
        kind: EventKind::Genesis,
        time_ms: NOW * 1000,
        subject: None,
        sequence: 0,
        previous: None,
        policy: Rules::standard().hash(),
        intent: None,
        evidence: vec![],
        body: octets(&genesis().to_canonical()),
    }
}

/// The word of a TLS client.
pub(crate) fn transport_word() -> TransportWord {
    TransportWord {
        version: 1,
        source: TransportSource::Mtls,
        peer: Hash32::of(&spki()),
        name: "agent".into(),
    }
}

/// What the agent agrees to when it enrols.
pub(crate) fn enrol_intent() -> Intent {
    Intent {
        version: 1,
        verb: EventKind::Enrol,
        subject: Some(uid()),
        head: None,
        sequence: 0,
        csr: Some(Hash32::of(&opaque("certification request"))),
        new_spki: Some(Hash32::of(&spki())),
        names: vec![
            Name { kind: NameKind::UserId, value: uid().to_string() },
            Name { kind: NameKind::Rfc822, value: "zoe@example.org".into() },
        ],
        profile: "person".into(),
        policy: Rules::standard().hash(),
        recovery_commitment: Some(Hash32::of(b"recovery key")),
        body: None,
        nonce: octets(&[0x22; 16]),
        expiry: NOW + 3600,
    }
}

/// What the holder agrees to when she revokes.
pub(crate) fn revoke_intent() -> Intent {
    Intent {
        verb: EventKind::Revoke,
        head: Some(enrol_leaf().leaf_hash()),
        sequence: 1,
        csr: None,
        new_spki: None,
        names: vec![],
        profile: String::new(),
        recovery_commitment: None,
        body: Some(octets(&revoked().to_canonical())),
        ..enrol_intent()
    }
}

/// The agent's statement.
pub(crate) fn statement() -> Statement {
    Statement::new(genesis_event().hash(), EventKind::Enrol, Role::Agent, enrol_intent().hash())
}

/// The agent's statement, signed. The signature is made up: this crate verifies none.
pub(crate) fn signed_statement() -> SignedStatement {
    SignedStatement {
        version: 1,
        statement: statement(),
        signer: Hash32::of(&spki()),
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        signature: octets(&hex::decode("3006020101020102").unwrap()),
        remark: Some("shown a passport, in person".into()),
    }
}

/// The body of the enrolment.
pub(crate) fn certified() -> Certified {
    Certified {
        version: 1,
        spki: Hash32::of(&spki()),
        issuer: Hash32::of(b"issuing key"),
        serial: octets(serial().as_bytes()),
        not_before: NOW - 300,
        not_after: NOW + 365 * 86_400,
        profile: "person".into(),
        tbs: Hash32::of(&opaque("TBSCertificate")),
        possession_proven: true,
        recovery_commitment: Some(Hash32::of(b"recovery key")),
    }
}

/// The enrolment.
pub(crate) fn enrol_event() -> Event {
    let csr = Evidence::new(EvidenceKind::Csr, &opaque("certification request"));
    let by = Evidence::new(EvidenceKind::Statement, &signed_statement().to_canonical());
    Event {
        version: 1,
        engine: 1,
        kind: EventKind::Enrol,
        time_ms: NOW * 1000 + 123,
        subject: Some(uid()),
        sequence: 0,
        previous: None,
        policy: Rules::standard().hash(),
        intent: Some(octets(&enrol_intent().to_canonical())),
        evidence: vec![csr.reference(), by.reference()],
        body: octets(&certified().to_canonical()),
    }
}

/// The enrolment's leaf.
pub(crate) fn enrol_leaf() -> Leaf {
    Leaf {
        version: 1,
        engine: 1,
        kind: LeafKind::Event,
        blinded_id: blinded_id(&identity_key(), &uid()),
        commitment: commitment(&SALT, &enrol_event().to_canonical()),
    }
}

/// The leaf that ends a checkpoint.
pub(crate) fn map_root_leaf() -> Leaf {
    Leaf {
        version: 1,
        engine: 1,
        kind: LeafKind::MapRoot,
        blinded_id: Hash32::from_bytes([0; 32]),
        commitment: Hash32::of(b"root of the map"),
    }
}

/// What the map says after the enrolment, with every option set.
pub(crate) fn head() -> Head {
    Head {
        version: 1,
        leaf: enrol_leaf().leaf_hash(),
        sequence: 0,
        status: HeadStatus::Active,
        key: Some(Hash32::of(&spki())),
        key_number: 0,
        possession_proven: true,
        pending: Some(Hash32::of(b"pending intent")),
        recovery_commitment: Some(Hash32::of(b"recovery key")),
        private: Some(Hash32::of(b"the rest of the state")),
    }
}

/// The bundle after the enrolment. Certificates, proofs and checkpoint are placeholders.
pub(crate) fn bundle() -> Bundle {
    let csr = opaque("certification request");
    Bundle {
        version: 1,
        uid: uid(),
        certificate: Some(Blob(opaque("certificate"))),
        chain: vec![Blob(opaque("issuing certificate"))],
        installation: vec![BundleEvent {
            leaf_index: 0,
            leaf: Blob(map_root_leaf().to_canonical()),
            salt: Blob(SALT.to_vec()),
            event: Blob(genesis_event().to_canonical()),
            evidence: Vec::new(),
            proof: vec![Hash32::of(b"right")],
        }],
        installation_proof: Blob(opaque("map proof")),
        blinding_key: Blob(identity_key().to_vec()),
        events: vec![BundleEvent {
            leaf_index: 7,
            leaf: Blob(enrol_leaf().to_canonical()),
            salt: Blob(SALT.to_vec()),
            event: Blob(enrol_event().to_canonical()),
            evidence: vec![Blob(csr), Blob(signed_statement().to_canonical())],
            proof: vec![Hash32::of(b"left"), Hash32::of(b"right")],
        }],
        head: Blob(head().to_canonical()),
        map_proof: Blob(opaque("map proof")),
        map_leaf: Blob(map_root_leaf().to_canonical()),
        map_leaf_proof: vec![Hash32::of(b"left")],
        checkpoint: CHECKPOINT.into(),
        ladder: "hsm".into(),
    }
}

/// A checkpoint's text; its signature is made up.
const CHECKPOINT: &str = "example.org/avouch\n9\nqaCzhz1Zi0L8vbTVFKDcq9lyz0dEEBcWhvLEsXTsnXA=\n\n\
    \u{2014} example.org/avouch yhqpXg==\n";

/// The body of the revocation.
pub(crate) fn revoked() -> Revoked {
    Revoked {
        version: 1,
        serial: octets(serial().as_bytes()),
        reason: RevocationReason::KeyCompromise,
    }
}

/// The revocation.
pub(crate) fn revoke_event() -> Event {
    Event {
        kind: EventKind::Revoke,
        time_ms: (NOW + 60) * 1000,
        sequence: 1,
        previous: Some(enrol_leaf().leaf_hash()),
        intent: Some(octets(&revoke_intent().to_canonical())),
        evidence: vec![
            Evidence::new(EvidenceKind::Transport, &transport_word().to_canonical()).reference(),
        ],
        body: octets(&revoked().to_canonical()),
        ..enrol_event()
    }
}

/// The trust file.
pub(crate) fn trust_file() -> TrustFile {
    TrustFile::new(
        realm(),
        genesis_event().hash(),
        &opaque("root certificate"),
        "log.example.org+5ca1ab1e+AU4hZwOHIyQqVzv0DkWDe9i6QjFBVbZb1GYhsQGqSDMX".into(),
        "log log.example.org+5ca1ab1e\nquorum none\n".into(),
        86_400,
        "https://avouch.example.org".into(),
    )
    .unwrap()
}

/// A gateway's first frame.
pub(crate) fn hello() -> Hello {
    Hello { version: VERSION, program: "avouch-gateway 0.1.0".into() }
}

/// The authority's first frames.
pub(crate) fn welcomes() -> Vec<(&'static str, Welcome)> {
    vec![("ok", Welcome::Ok { in_flight: 256 }), ("version", Welcome::Version { version: 2 })]
}

/// One request of each kind, by name.
pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let page = PageRequest { cursor: Some("17".into()), limit: 100 };
    let signed = Signed {
        intent: Some(ByteBuf::from(enrol_intent().to_canonical())),
        statements: vec![ByteBuf::from(signed_statement().to_canonical())],
        assertions: vec![ByteBuf::from(opaque("assertion"))],
        id_tokens: vec!["header.claims.signature".into()],
        public_keys: vec![ByteBuf::from(spki())],
        addresses: vec![ByteBuf::from(opaque("sealed address"))],
    };
    let bodies = vec![
        RequestBody::Issue {
            uid: uid(),
            csr: ByteBuf::from(opaque("certification request")),
            idempotency_key: Some(IdempotencyKey::parse("once-only").unwrap()),
            signed: signed.clone(),
        },
        RequestBody::Revoke {
            serial: serial().to_string(),
            reason: "key-compromise".into(),
            signed: signed.clone(),
        },
        RequestBody::Identity { uid: uid() },
        RequestBody::Certificates { uid: uid(), page: page.clone() },
        RequestBody::History { uid: uid(), page: page.clone() },
        RequestBody::Certificate { serial: serial().to_string() },
        RequestBody::Installation,
        RequestBody::Crl { issuer: "0123456789abcdef".into(), shard: 3 },
        RequestBody::Health,
        RequestBody::Checkpoint,
        RequestBody::Tile { path: "0/x001/234".into() },
        RequestBody::Bundle { uid: uid(), since: 3 },
        RequestBody::SearchCertificates {
            query: Box::new(rest::CertificateQuery {
                user: Some("al".into()),
                key: Some(Hash32::of(&spki())),
                status: Some(rest::CertificateStatus::Good),
                expires_after: Some("2026-01-31T08:00:00Z".into()),
                expires_before: None,
                issuer: Some("0123456789abcdef".into()),
                serial: Some(serial().to_string()),
            }),
            page: page.clone(),
        },
        RequestBody::SearchIdentities {
            query: Box::new(rest::IdentityQuery {
                user: Some("al".into()),
                key: None,
                status: Some(rest::IdentityStatus::Suspended),
                serial: None,
            }),
            page: page.clone(),
        },
        RequestBody::Ask {
            uid: uid(),
            csr: Some(ByteBuf::from(opaque("certification request"))),
            signed: signed.clone(),
            idempotency_key: Some(IdempotencyKey::parse("once-only").unwrap()),
        },
        RequestBody::Approve { switch: enrol_intent().hash(), signed: signed.clone() },
        RequestBody::Veto { switch: enrol_intent().hash(), signed: signed.clone() },
        RequestBody::Change { signed },
        RequestBody::Switch { switch: enrol_intent().hash() },
        RequestBody::Switches { page: page.clone() },
        RequestBody::Policy,
        RequestBody::Ways {
            uid: uid(),
            rules: Some(ByteBuf::from(Rules::standard().to_canonical())),
        },
        RequestBody::KeyChanges { page },
        RequestBody::Hsm(HsmAsk::Unlock {
            token: Some("second_hsm".into()),
            pin: SecretText::new("a PIN".into()),
        }),
    ];
    // A new kind of request does not compile before it has a file.
    let name = |body: &RequestBody| match body {
        RequestBody::Issue { .. } => "issue",
        RequestBody::Revoke { .. } => "revoke",
        RequestBody::Identity { .. } => "identity",
        RequestBody::Certificates { .. } => "certificates",
        RequestBody::History { .. } => "history",
        RequestBody::Certificate { .. } => "certificate",
        RequestBody::Installation => "installation",
        RequestBody::Crl { .. } => "crl",
        RequestBody::Health => "health",
        RequestBody::Checkpoint => "checkpoint",
        RequestBody::Tile { .. } => "tile",
        RequestBody::Bundle { .. } => "bundle",
        RequestBody::SearchCertificates { .. } => "search-certificates",
        RequestBody::SearchIdentities { .. } => "search-identities",
        RequestBody::Ask { .. } => "ask",
        RequestBody::Approve { .. } => "approve",
        RequestBody::Veto { .. } => "veto",
        RequestBody::Change { .. } => "change",
        RequestBody::Switch { .. } => "switch",
        RequestBody::Switches { .. } => "switches",
        RequestBody::Policy => "policy",
        RequestBody::Ways { .. } => "ways",
        RequestBody::KeyChanges { .. } => "key-changes",
        RequestBody::Hsm(_) => "hsm",
    };
    let peer = Peer { spki: ByteBuf::from(spki()), name: "agent".into() };
    let request = |body| {
        let peer = Some(peer.clone());
        (
            name(&body),
            Request { id: 300, request_id: "r-1".into(), deadline_ms: 30_000, peer, body },
        )
    };
    bodies.into_iter().map(request).collect()
}

/// One response of each kind, by name.
pub(crate) fn responses() -> Vec<(&'static str, Response)> {
    let spki_sha256 = Hash32::of(&spki());
    let certificate = rest::Certificate {
        serial: serial().to_string(),
        uid: uid(),
        event: "enrol".into(),
        sequence: 0,
        leaf_index: 7,
        status: rest::CertificateStatus::Revoked,
        revocation_reason: Some("key-compromise".into()),
        revoked_at: Some("2026-01-02T03:05:05Z".into()),
        spki_sha256,
        not_before: "2026-01-02T02:59:05Z".into(),
        not_after: "2027-01-02T03:04:05Z".into(),
        issuer: "0123456789abcdef".into(),
        certificate: Some("-----BEGIN CERTIFICATE-----\n".into()),
        chain: vec!["-----BEGIN CERTIFICATE-----\n".into()],
        evidence: vec!["transport".into()],
    };
    let identity = rest::Identity {
        uid: uid(),
        status: rest::IdentityStatus::Active,
        sequence: 1,
        head: enrol_leaf().leaf_hash(),
        key: Some(rest::IdentityKey {
            spki_sha256,
            number: 0,
            algorithm: "P-256".into(),
            possession_proven: true,
        }),
        serial: Some(serial().to_string()),
        created: "2026-01-02T03:04:05Z".into(),
        updated: "2026-01-02T03:05:05Z".into(),
    };
    let entry = rest::HistoryEntry {
        at: "2026-01-02T03:06:05Z".into(),
        outcome: rest::Outcome::Refused,
        event: "enrol".into(),
        sequence: None,
        leaf_index: None,
        serial: None,
        spki_sha256: Some(Hash32::of(b"another key")),
        evidence: vec!["transport".into()],
        problem: Some("identity-change-required".into()),
        detail: Some("the identity has another key".into()),
    };
    let installation = rest::Installation {
        realm: realm(),
        genesis: genesis_event().hash(),
        policy: Rules::standard().hash(),
        ladder: "hsm".into(),
        warnings: vec!["software token".into()],
        max_status_age: 86_400,
        root: "-----BEGIN CERTIFICATE-----\n".into(),
        issuers: vec![rest::Issuer {
            id: "0123456789abcdef".into(),
            subject: "CN=Issuing CA".into(),
            algorithm: "P-256".into(),
            certificate: "-----BEGIN CERTIFICATE-----\n".into(),
            crl_shards: 1,
            protection: "held by the HSM".into(),
        }],
    };
    let health = rest::Health {
        ready: false,
        parts: vec![rest::HealthPart { name: "hsm".into(), ok: false, detail: "gone".into() }],
    };
    let problem = Problem::new(ProblemCode::HsmUnavailable, "the worker is restarting")
        .rule("hsm")
        .expected("a session", "none")
        .remedy("try again")
        .offset(Some(12))
        .retry_after(2);
    let switch = rest::Switch {
        id: enrol_intent().hash(),
        uid: uid(),
        status: rest::SwitchStatus::Waiting,
        intent: "MAA=".into(),
        old_key: Some(spki_sha256),
        new_key: Hash32::of(b"another key"),
        reason: Some("all devices lost".into()),
        requested: "2026-01-02T03:04:05Z".into(),
        expires: "2026-01-16T03:04:05Z".into(),
        not_before: Some("2026-01-05T03:04:05Z".into()),
        needed: 2,
        approvals: vec![rest::SwitchApproval {
            officer: "olga".into(),
            key: Hash32::of(b"olga's key"),
            remark: Some("seen in person".into()),
            at: "2026-01-02T04:04:05Z".into(),
        }],
        slowed: false,
        outcome: None,
    };
    let policy = rest::Policy {
        hash: Rules::standard().hash(),
        toml: "preset = \"standard\"\n".into(),
        officers: vec![rest::Keyholder {
            name: "olga".into(),
            key: Hash32::of(b"olga's key"),
            public_key: "b2xnYSdzIGtleQ==".into(),
            scope: vec![],
        }],
        agents: vec![],
        providers: vec!["https://login.example.org".into()],
        sequence: 0,
        head: Some(enrol_leaf().leaf_hash()),
        announced: vec!["policy-change".into()],
    };
    let ok = vec![
        ResponseBody::Certificate { certificate: Box::new(certificate.clone()), created: true },
        ResponseBody::Identity(Box::new(identity.clone())),
        ResponseBody::Certificates(rest::Page { items: vec![certificate.clone()], next: None }),
        ResponseBody::History(rest::Page { items: vec![entry], next: Some("18".into()) }),
        ResponseBody::Installation(Box::new(installation)),
        ResponseBody::Crl { der: ByteBuf::from(opaque("crl")), next_update: NOW + 3600 },
        ResponseBody::Health(health),
        ResponseBody::Checkpoint(CHECKPOINT.into()),
        ResponseBody::Tile(ByteBuf::from(opaque("tile"))),
        ResponseBody::Bundle(Box::new(bundle())),
        ResponseBody::Identities(rest::Page { items: vec![identity], next: Some("616c".into()) }),
        ResponseBody::Done(Box::new(rest::Done {
            uid: Some(uid()),
            event: "rekey".into(),
            sequence: 2,
            leaf_index: 9,
            head: enrol_leaf().leaf_hash(),
            announced: false,
            certificate: Some(certificate),
        })),
        ResponseBody::Switch(Box::new(switch.clone())),
        ResponseBody::Switches(rest::Page { items: vec![switch], next: None }),
        ResponseBody::Policy(Box::new(policy)),
        ResponseBody::Ways(vec![rest::Way {
            verb: "recover".into(),
            signed_by: vec!["the recovery key".into()],
            takes: vec!["a new key".into()],
            not_before: Some("2026-01-05T03:04:05Z".into()),
            closed: None,
        }]),
        ResponseBody::KeyChanges(rest::Page {
            items: vec![rest::KeyChange {
                uid: uid(),
                event: "switch-complete".into(),
                sequence: 3,
                leaf_index: 11,
                at: "2026-01-02T03:04:05Z".into(),
                key: Some(spki_sha256),
            }],
            next: None,
        }),
        ResponseBody::Hsm(Box::new(HsmReport {
            tokens: vec![HsmToken {
                name: "hsm".into(),
                state: "recovering".into(),
                since: 1_767_322_800,
                detail: Some("the token is away".into()),
                token: Some("«avouch» (serial 1)".into()),
                workers: vec![HsmWorker { state: "starting".into(), pid: Some(2), started: 3 }],
                shares: Some(HsmShares { given: vec![1, 3], needed: 3, of: 5 }),
            }],
            waiting: 4,
            in_flight: 5,
            keys: vec![HsmKey {
                id: "0102".into(),
                label: "issuing".into(),
                algorithm: "P-256".into(),
                spki_sha256: "ab".repeat(32),
                hsm_held: true,
                why: "generated on the token".into(),
                attributes: vec![("CKA_LOCAL".into(), true)],
                attestation: "none".into(),
            }],
        })),
    ];
    // A new kind of response does not compile before it has a file.
    let name = |body: &ResponseBody| match body {
        ResponseBody::Certificate { .. } => "certificate",
        ResponseBody::Identity(_) => "identity",
        ResponseBody::Certificates(_) => "certificates",
        ResponseBody::History(_) => "history",
        ResponseBody::Installation(_) => "installation",
        ResponseBody::Crl { .. } => "crl",
        ResponseBody::Health(_) => "health",
        ResponseBody::Checkpoint(_) => "checkpoint",
        ResponseBody::Tile(_) => "tile",
        ResponseBody::Bundle(_) => "bundle",
        ResponseBody::Identities(_) => "identities",
        ResponseBody::Done(_) => "done",
        ResponseBody::Switch(_) => "switch",
        ResponseBody::Switches(_) => "switches",
        ResponseBody::Policy(_) => "policy",
        ResponseBody::Ways(_) => "ways",
        ResponseBody::KeyChanges(_) => "key-changes",
        ResponseBody::Hsm(_) => "hsm",
    };
    let mut all: Vec<_> =
        ok.into_iter().map(|body| (name(&body), Response { id: 300, result: Ok(body) })).collect();
    all.push(("problem", Response { id: 300, result: Err(problem) }));
    all
}

/// A veto in a file, as it is handed to an auditor.
pub(crate) fn veto_file() -> wire::request::RequestFile {
    use wire::request::{Kind, RequestFile};
    // "made up", base64.
    let statements = vec!["bWFkZSB1cA==".to_owned()];
    let request = wire::rest::SignedRequest { statements, ..Default::default() };
    RequestFile::about(genesis_event().hash(), Kind::Veto, enrol_intent().hash(), request)
}

/// The auditor's receipt for it.
pub(crate) fn receipt() -> wire::receipt::Receipt {
    let intent = enrol_intent().hash();
    wire::receipt::Receipt {
        genesis: genesis_event().hash(),
        verb: EventKind::Veto,
        request: Hash32::of(veto_file().to_text().as_bytes()),
        intent,
        size: 42,
        stops: vec![(intent, wire::body::VetoEffect::Dropped)],
    }
}
