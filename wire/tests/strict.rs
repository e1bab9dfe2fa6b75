//! Decoders take the one canonical encoding of a value and nothing else, and no bytes make them
//! panic.

extern crate avouch_wire as wire;

use std::fmt::Debug;
use std::path::Path;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wire::bundle::Bundle;
use wire::event::{Certified, Event, EventKind, EvidenceKind, EvidenceRef, Revoked, TransportWord};
use wire::genesis::Genesis;
use wire::head::Head;
use wire::intent::{Intent, Name, NameKind};
use wire::leaf::{Leaf, LeafKind};
use wire::rules::Rules;
use wire::socket::{Hello, Request, Response, Welcome};
use wire::statement::{Role, SignatureAlgorithm, SignedStatement, Statement};
use wire::trust::TrustFile;
use wire::{Encoded, FormatError, Hash32, UserId, frame, octets};

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Runs the body once for each DER format, with `T` the format and `$file` an example of it.
macro_rules! each_format {
    ($run:ident) => {
        $run::<Event>("event-genesis.der");
        $run::<Event>("event-enrol.der");
        $run::<Event>("event-revoke.der");
        $run::<Genesis>("body-genesis.der");
        $run::<Certified>("body-certified.der");
        $run::<Revoked>("body-revoked.der");
        $run::<TransportWord>("transport-word.der");
        $run::<Rules>("rules-standard.der");
        $run::<Intent>("intent-enrol.der");
        $run::<Intent>("intent-revoke.der");
        $run::<Statement>("statement.der");
        $run::<SignedStatement>("signed-statement.der");
        $run::<Head>("head.der");
        $run::<Leaf>("leaf-event.der");
        $run::<Leaf>("leaf-map-root.der");
    };
}

/// Length of the outer header: tag and length octets.
fn header(der: &[u8]) -> usize {
    if der[1] < 0x80 { 2 } else { 2 + usize::from(der[1] & 0x7f) }
}

fn refused<T: Encoded + Debug>(bytes: &[u8], why: &str) -> FormatError {
    match T::from_canonical(bytes) {
        Ok(value) => panic!("{}: {why} was taken: {value:?}", T::FORMAT),
        Err(error) => error,
    }
}

#[test]
fn bytes_before_after_and_missing_are_refused() {
    fn check<T: Encoded + Debug>(file: &str) {
        let good = vector(file);
        refused::<T>(&[&good[..], &[0]].concat(), "a trailing byte");
        refused::<T>(&[&[0], &good[..]].concat(), "a leading byte");
        refused::<T>(&[&good[..], &good[..]].concat(), "the value twice");
        for end in 0..good.len() {
            refused::<T>(&good[..end], "a truncated value");
        }
    }
    each_format!(check);
}

#[test]
fn ber_forms_of_the_same_value_are_refused() {
    fn check<T: Encoded + Debug>(file: &str) {
        let good = vector(file);
        let content = &good[header(&good)..];
        let n = u32::try_from(content.len()).unwrap().to_be_bytes();
        let long = [&[0x30, 0x84], &n[..], content].concat();
        refused::<T>(&long, "a length with leading zeros (X.690 section 10.1)");
        let indefinite = [&[0x30, 0x80], content, &[0, 0]].concat();
        refused::<T>(&indefinite, "an indefinite length (X.690 section 10.1)");
    }
    each_format!(check);

    // TRUE is 0xFF and nothing else (X.690 section 11.1).
    let mut rules = vector("rules-standard.der");
    assert_eq!(rules.pop(), Some(0xff), "the last field is a boolean that is true");
    rules.push(0x01);
    refused::<Rules>(&rules, "TRUE as 0x01");

    // The least number of octets for an INTEGER (X.690 section 8.3.2).
    let leaf = vector("leaf-event.der");
    assert_eq!(leaf[2..5], [2, 1, 1]);
    let padded = [&[0x30, leaf[1] + 1, 2, 2, 0, 1], &leaf[5..]].concat();
    refused::<Leaf>(&padded, "an INTEGER with a leading zero octet");
}

#[test]
fn unknown_versions_are_refused_by_number() {
    fn check<T: Encoded + Debug>(file: &str) {
        let mut bytes = vector(file);
        let mut at = header(&bytes);
        if bytes[at] == 0x0c {
            at += 2 + usize::from(bytes[at + 1]); // the statement's domain comes first
        }
        assert_eq!(bytes[at..at + 3], [2, 1, 1], "{file}: version 1");
        for version in [0, 2, 127] {
            bytes[at + 2] = version;
            let error = refused::<T>(&bytes, "an unknown version");
            let found = FormatError::Version { format: T::FORMAT, found: version, known: 1 };
            assert_eq!(error, found);
        }
    }
    each_format!(check);
}

#[test]
fn unknown_kinds_are_refused_at_their_offset() {
    // Event: version and engine take three bytes each, then comes the kind.
    let mut event = vector("event-enrol.der");
    let at = header(&event) + 6;
    assert_eq!(event[at..at + 3], [2, 1, EventKind::Enrol.number()]);
    event[at + 2] = 27;
    assert!(EventKind::from_number(27).is_none(), "take a number that is not in use");
    let FormatError::Der { offset, .. } = refused::<Event>(&event, "an unknown kind") else {
        panic!("not an error with an offset");
    };
    assert!((at..=at + 3).contains(&usize::try_from(offset).unwrap()), "{offset} for {at}");

    let mut leaf = vector("leaf-event.der");
    let at = header(&leaf) + 6;
    leaf[at + 2] = 2;
    refused::<Leaf>(&leaf, "an unknown kind of leaf");
}

#[test]
fn another_domain_is_no_statement() {
    let text = "avouch.statement.v1".as_bytes();
    let mut bytes = vector("statement.der");
    let at = bytes.windows(text.len()).position(|w| w == text).unwrap();
    bytes[at] = b'A';
    let error = refused::<Statement>(&bytes, "another domain");
    assert!(matches!(error, FormatError::Field { field: "domain", .. }), "{error}");
}

#[test]
fn events_of_an_identity_name_it_and_others_do_not() {
    let mut event = Event::from_canonical(&vector("event-enrol.der")).unwrap();
    event.subject = None;
    refused::<Event>(&event.to_canonical(), "an enrolment of nobody");
    let mut event = Event::from_canonical(&vector("event-genesis.der")).unwrap();
    event.subject = Some(UserId::parse("alice").unwrap());
    refused::<Event>(&event.to_canonical(), "a genesis of somebody");
    let mut event = Event::from_canonical(&vector("event-revoke.der")).unwrap();
    event.previous = None;
    refused::<Event>(&event.to_canonical(), "a second event without a first");
}

#[test]
fn user_ids_in_der_are_checked_like_all_others() {
    let mut event = vector("event-enrol.der");
    let name = "zoë@example.org".as_bytes();
    let at = event.windows(name.len()).position(|w| w == name).unwrap();
    event[at] = 0x07; // BEL
    refused::<Event>(&event, "a control character in a user id");
}

#[test]
fn oversize_is_refused_before_anything_is_read() {
    fn check<T: Encoded + Debug>(_: &str) {
        let error = refused::<T>(&vec![0; T::LIMIT + 1], "too many bytes");
        assert!(matches!(error, FormatError::Oversize { .. }), "{error}");
    }
    each_format!(check);
    let long = vec![0; frame::MAX_REQUEST + 1];
    let error = frame::decode::<Request>(&long, frame::MAX_REQUEST).unwrap_err();
    assert!(matches!(error, frame::FrameError::Oversize { .. }), "{error}");
}

#[test]
fn bytes_after_a_socket_message_are_refused() {
    for kind in ["issue", "health"] {
        let mut payload = vector(&format!("socket-request-{kind}.bin"));
        payload.push(0);
        let error = frame::decode::<Request>(&payload, frame::MAX_REQUEST).unwrap_err();
        assert_eq!(error, frame::FrameError::Trailing(1));
    }
}

/// What every decoder must hold for any bytes: no panic, and what is taken is canonical.
fn sound(bytes: &[u8]) {
    fn check<T: Encoded>(bytes: &[u8]) {
        if let Ok(value) = T::from_canonical(bytes) {
            assert_eq!(value.to_canonical(), bytes, "{}", T::FORMAT);
        }
    }
    check::<Event>(bytes);
    check::<Genesis>(bytes);
    check::<Certified>(bytes);
    check::<Revoked>(bytes);
    check::<TransportWord>(bytes);
    check::<Rules>(bytes);
    check::<Intent>(bytes);
    check::<Statement>(bytes);
    check::<SignedStatement>(bytes);
    check::<Leaf>(bytes);
    check::<Head>(bytes);
    let _ = frame::decode::<Bundle>(bytes, wire::bundle::MAX_BUNDLE);
    let _ = serde_json::from_slice::<Bundle>(bytes);
    let _ = frame::decode::<Hello>(bytes, frame::MAX_REQUEST);
    let _ = frame::decode::<Welcome>(bytes, frame::MAX_RESPONSE);
    let _ = frame::decode::<Request>(bytes, frame::MAX_REQUEST);
    let _ = frame::decode::<Response>(bytes, frame::MAX_RESPONSE);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = TrustFile::parse(text);
    }
}

const VECTORS: &[&str] = &[
    "event-genesis.der",
    "event-enrol.der",
    "event-revoke.der",
    "body-genesis.der",
    "body-certified.der",
    "body-revoked.der",
    "transport-word.der",
    "rules-standard.der",
    "intent-enrol.der",
    "intent-revoke.der",
    "statement.der",
    "signed-statement.der",
    "leaf-event.der",
    "leaf-map-root.der",
    "head.der",
    "bundle.json",
    "bundle.bin",
    "trust.json",
    "address.der",
    "sealed-address.der",
    "socket-hello.bin",
    "socket-welcome-ok.bin",
    "socket-request-issue.bin",
    "socket-request-history.bin",
    "socket-response-certificates.bin",
    "socket-response-problem.bin",
];

fn uid() -> impl Strategy<Value = UserId> {
    "\\PC{1,16}".prop_filter_map("not an id", |s| UserId::parse(&s).ok())
}

fn hash() -> impl Strategy<Value = Hash32> {
    any::<[u8; 32]>().prop_map(Hash32::from_bytes)
}

fn event() -> impl Strategy<Value = Event> {
    let kind = proptest::sample::select(EventKind::ALL);
    let evidence = (proptest::sample::select(EvidenceKind::ALL), hash())
        .prop_map(|(kind, hash)| EvidenceRef { kind, hash });
    let fixed = (any::<u8>(), kind, any::<u64>(), uid(), any::<u64>(), hash(), hash());
    let lists =
        (option::of(vec(any::<u8>(), 0..300)), vec(evidence, 0..5), vec(any::<u8>(), 0..300));
    (fixed, lists).prop_map(|((engine, kind, time_ms, uid, sequence, previous, policy), lists)| {
        let (intent, evidence, body) = lists;
        Event {
            version: 1,
            engine,
            kind,
            time_ms,
            subject: kind.is_of_identity().then_some(uid),
            sequence,
            previous: (sequence > 0).then_some(previous),
            policy,
            intent: intent.map(|i| octets(&i)),
            evidence,
            body: octets(&body),
        }
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let verb = proptest::sample::select(EventKind::ALL);
    // What a certificate can carry; the id itself stands first, where there is one.
    let name =
        (proptest::sample::select(NameKind::ALL), "[a-z]{1,4}(\\.[a-z0-9]{1,4}){0,2}@[a-z]{1,9}");
    let hashes = (option::of(hash()), option::of(hash()), option::of(hash()), option::of(hash()));
    let rest = (vec(name, 0..5), "[a-z]{0,20}", hash(), vec(any::<u8>(), 16..65), any::<u64>());
    let body = option::of(vec(any::<u8>(), 0..200));
    (verb, uid(), any::<u64>(), hashes, rest, body).prop_map(
        |(verb, uid, sequence, (head, csr, new_spki, recovery_commitment), rest, body)| {
            let (drawn, profile, policy, nonce, expiry) = rest;
            let mut names: Vec<Name> = Vec::new();
            for (kind, value) in drawn {
                let name = match kind {
                    NameKind::UserId => Name { kind, value: uid.as_str().to_owned() },
                    _ => Name { kind, value },
                };
                let fits = name.kind != NameKind::UserId || verb.is_of_identity();
                if fits && !names.contains(&name) {
                    names.push(name);
                }
            }
            Intent {
                version: 1,
                verb,
                subject: verb.is_of_identity().then_some(uid),
                head,
                sequence,
                csr,
                new_spki,
                names,
                profile,
                policy,
                recovery_commitment,
                body: body.map(|b| octets(&b)),
                nonce: octets(&nonce),
                expiry,
            }
        },
    )
}

fn signed_statement() -> impl Strategy<Value = SignedStatement> {
    let closed = (
        proptest::sample::select(EventKind::ALL),
        proptest::sample::select(Role::ALL),
        proptest::sample::select(SignatureAlgorithm::ALL),
    );
    let open = (hash(), hash(), hash(), vec(any::<u8>(), 0..600), option::of("\\PC{0,80}"));
    (closed, open).prop_map(|((verb, role, algorithm), open)| {
        let (genesis, intent, signer, signature, remark) = open;
        SignedStatement {
            version: 1,
            statement: Statement::new(genesis, verb, role, intent),
            signer,
            algorithm,
            signature: octets(&signature),
            remark,
        }
    })
}

fn leaf() -> impl Strategy<Value = Leaf> {
    (any::<u8>(), proptest::sample::select(LeafKind::ALL), hash(), hash()).prop_map(
        |(engine, kind, blinded_id, commitment)| Leaf {
            version: 1,
            engine,
            kind,
            blinded_id,
            commitment,
        },
    )
}

fn and_back<T: Encoded + PartialEq + Debug>(value: &T) {
    assert_eq!(&T::from_canonical(&value.to_canonical()).unwrap(), value);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        sound(&bytes);
    }

    #[test]
    fn altered_values_are_decoded_or_refused(
        which in 0..VECTORS.len(),
        edits in vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6),
    ) {
        let mut bytes = vector(VECTORS[which]);
        for (at, edit, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        sound(&bytes);
    }

    #[test]
    fn events_come_back(value in event()) {
        and_back(&value);
    }

    #[test]
    fn intents_come_back(value in intent()) {
        and_back(&value);
    }

    #[test]
    fn signed_statements_come_back(value in signed_statement()) {
        and_back(&value);
    }

    #[test]
    fn leaves_come_back(value in leaf()) {
        and_back(&value);
    }

    #[test]
    fn ids_come_back_from_paths(uid in uid()) {
        let encoded = uid.percent_encoded();
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert_eq!(UserId::from_path_segment(&encoded).unwrap(), uid);
    }
}

#[test]
fn what_is_inside_an_envelope_is_checked_too() {
    let mut signed = SignedStatement::from_canonical(&vector("signed-statement.der")).unwrap();
    signed.statement.domain = "another.domain.v1".into();
    let error = SignedStatement::from_canonical(&signed.to_canonical()).unwrap_err();
    assert!(matches!(error, FormatError::Field { field: "statement", .. }), "{error}");
    let mut signed = SignedStatement::from_canonical(&vector("signed-statement.der")).unwrap();
    signed.statement.version = 2;
    assert!(SignedStatement::from_canonical(&signed.to_canonical()).is_err());
    let mut genesis = Genesis::from_canonical(&vector("body-genesis.der")).unwrap();
    genesis.rules.version = 2;
    let error = Genesis::from_canonical(&genesis.to_canonical()).unwrap_err();
    assert!(matches!(error, FormatError::Field { field: "rules", .. }), "{error}");
}

#[test]
fn whole_lists_fit_changes_and_what_anybody_may_ask_for_stays_short() {
    use wire::body::Roster;
    use wire::genesis::Keyholder;
    let holder = |n: u8| Keyholder {
        name: format!("officer number {n} of a large organisation"),
        // As long as RSA-4096 keys are.
        spki: wire::octets(&[n; 550]),
        scope: vec![format!("uid=officer-{n}@a-large-organisation.example")],
    };
    let roster = Roster { version: 1, officers: (0..64).map(holder).collect() }.to_canonical();
    let mut intent = Intent::from_canonical(&vector("intent-revoke.der")).unwrap();
    intent.body = Some(wire::octets(&roster));
    let of_one = intent.to_canonical();
    let refusal = refused::<Intent>(&of_one, "46 KiB about one identity");
    assert!(matches!(refusal, FormatError::Field { field: "body", .. }), "{refusal}");
    intent.verb = wire::event::EventKind::RosterChange;
    intent.subject = None;
    assert_eq!(Intent::from_canonical(&intent.to_canonical()), Ok(intent));
}

#[test]
fn names_that_no_certificate_can_carry_make_no_intent() {
    let intent = Intent::from_canonical(&vector("intent-enrol.der")).unwrap();
    let with = |kind, value: &str| {
        let name = Name { kind, value: value.to_owned() };
        let names = vec![name];
        Intent::from_canonical(&Intent { names, ..intent.clone() }.to_canonical())
    };
    for (kind, value) in [
        (NameKind::Rfc822, "a.b+c@mail.example.org"),
        (NameKind::Rfc822, "o'neil@example"),
        (NameKind::Upn, "zoë@corp.example"),
    ] {
        assert!(with(kind, value).is_ok(), "{value}");
    }
    for (kind, value) in [
        (NameKind::Rfc822, ""),
        (NameKind::Rfc822, "a"),
        (NameKind::Rfc822, "@example.org"),
        (NameKind::Rfc822, "a@"),
        (NameKind::Rfc822, "a..b@example.org"),
        (NameKind::Rfc822, "a@Example.org"),
        (NameKind::Rfc822, "a@-example.org"),
        (NameKind::Rfc822, "a b@example.org"),
        (NameKind::Rfc822, "zoë@example.org"),
        (NameKind::Rfc822, "a@example.org\n"),
        (NameKind::Upn, "a@b@c"),
        (NameKind::Upn, "a @corp.example"),
        (NameKind::Upn, "a@CORP.example"),
        (NameKind::UserId, "somebody else"),
    ] {
        let refused = with(kind, value);
        let is_it = matches!(refused, Err(FormatError::Field { field: "names", .. }));
        assert!(is_it, "{value:?}: {refused:?}");
    }
    let twice = vec![Name { kind: NameKind::Upn, value: "a@b".to_owned() }; 2];
    assert!(Intent::from_canonical(&Intent { names: twice, ..intent }.to_canonical()).is_err());
}
