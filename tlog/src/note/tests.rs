use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use signed_note::{StandardVerifier, Verifier};
use wire::Hash32;

use super::*;

const ORIGIN: &str = "log.example/avouch";

fn ed25519() -> (Ed25519KeyPair, LogKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let mut spki = hex::decode("302a300506032b6570032100").unwrap();
    spki.extend_from_slice(pair.public_key().as_ref());
    let key = LogKey::from_spki(ORIGIN, &spki).unwrap();
    (pair, key)
}

fn p256() -> (EcdsaKeyPair, LogKey) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    spki.extend_from_slice(pair.public_key().as_ref());
    let key = LogKey::from_spki(ORIGIN, &spki).unwrap();
    (pair, key)
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(ORIGIN, 20_852_163, Hash32::of(b"root")).unwrap()
}

fn signed() -> (LogKey, SignedCheckpoint) {
    let (pair, key) = ed25519();
    let signature = pair.sign(&checkpoint().to_be_signed());
    let signed = SignedCheckpoint::assemble(checkpoint(), &key, signature.as_ref()).unwrap();
    (key, signed)
}

/// The Go checksum database's key and a head it signed, as published with its client.
#[test]
fn opens_what_the_go_checksum_database_signed() {
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key = LogKey::parse_vkey(vkey).unwrap();
    assert_eq!(
        (key.kind(), key.origin(), key.vkey().as_str()),
        (KeyKind::Ed25519, "PeterNeumann", vkey)
    );
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n";
    let signed = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX\
         gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    let note = Note::parse(&signed).unwrap();
    assert_eq!(note.text(), text);
    assert_eq!(key.verify_note(&note), Ok(()));
    let other = signed.replace("cryptography", "Cryptography");
    let refused = key.verify_note(&Note::parse(&other).unwrap());
    assert!(matches!(refused, Err(NoteError::Signature { .. })), "{refused:?}");
}

/// ECDSA notes as transparency logs publish them: Rekor and the Pixel binaries' log.
#[test]
fn opens_published_ecdsa_notes() {
    let rekor = "rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogS\
                 MdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=";
    let pixel = "pixel6_transparency_log+91c16e30+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABN+4x0Jk1yTwvLFI\
                 9A4NDdGZcX0aiWVdWM5XJVy0M4VWD3AvyW5Q6Hs9A0mcDkpUoYgn+KKPNzFC0H3nN3q6JQ8=";
    let rekor_note = "Rekor\n798034\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n\n\
        \u{2014} rekor.sigstore.dev wNI9ajBEAiARInWIWyCdyG27CO6LPnPekyw20qO0YJfoaPaowGp/XgIgc+qEHS3+GKV\
        Clgqq20uDLet7MCoTURUCRdxwWBHHufk=\n";
    let pixel_note = "DEFAULT\n10\nbsWRucJU5xJPHb5eBdOm6+DM+VelCZBuvtI3sHERJ9Y=\n\n\
        \u{2014} pixel6_transparency_log kcFuMDBFAiEAhqMAP8P6qf6QxtUJhzMhbN+MbZ9dwfUHzGQJmffJHtoCIGD0cN\
        e47dHWBoPwYdgBCepB06/+g5O1FmYjXl06owL4\n";
    for (vkey, text) in [(rekor, rekor_note), (pixel, pixel_note)] {
        let key = LogKey::parse_vkey(vkey).unwrap();
        assert_eq!((key.kind(), key.vkey().as_str()), (KeyKind::EcdsaP256, vkey));
        let note = Note::parse(text).unwrap();
        assert_eq!(note.to_text(), text);
        assert_eq!(key.verify_note(&note), Ok(()));
        // Their origin is not their key's name; ours always is.
        let refused = SignedCheckpoint::open(text, &key);
        assert!(matches!(refused, Err(NoteError::Origin { .. })), "{refused:?}");
    }
}

/// C2SP tlog-checkpoint's own example, whose public key is not published.
#[test]
fn reads_the_specifications_example() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Z\
        hcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let note = Note::parse(text).unwrap();
    let [line] = note.signatures() else { panic!("{note:?}") };
    assert_eq!(
        (line.name(), line.key_id()),
        ("example.com/behind-the-sofa", [3, 0x3d, 0xe0, 0xae])
    );
    assert_eq!(line.signature().len(), 64);
    let root =
        hex::decode("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62").unwrap();
    let root = Hash32::from_slice(&root).unwrap();
    let checkpoint = Checkpoint::new("example.com/behind-the-sofa", 20_852_163, root).unwrap();
    assert_eq!(checkpoint.to_be_signed(), note.text().as_bytes());
}

#[test]
fn a_checkpoint_is_signed_opened_and_read_by_another_implementation() {
    let (key, signed) = signed();
    let text = signed.text();
    assert!(text.starts_with("log.example/avouch\n20852163\n"), "{text}");
    assert_eq!(SignedCheckpoint::open(text, &key).unwrap(), signed);
    assert_eq!(signed.checkpoint(), &checkpoint());

    let theirs = signed_note::Note::from_bytes(text.as_bytes()).unwrap();
    let verifier = StandardVerifier::new(&key.vkey()).unwrap();
    assert_eq!(verifier.key_id().to_be_bytes(), key.id());
    let verifiers = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let (verified, unverified) = theirs.verify(&verifiers).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let head = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!((head.origin(), head.size()), (ORIGIN, 20_852_163));
    assert_eq!(head.hash().0, *signed.checkpoint().root().as_bytes());
}

#[test]
fn a_checkpoint_of_another_implementation_opens() {
    let skey_seed = [9u8; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&skey_seed).unwrap();
    let public = [&[1], pair.public_key().as_ref()].concat();
    let id = signed_note::key_id(ORIGIN, &public);
    let skey = format!(
        "PRIVATE+KEY+{ORIGIN}+{id:08x}+{}",
        STANDARD.encode([&[1], &skey_seed[..]].concat())
    );
    let signer = signed_note::StandardSigner::new(&skey).unwrap();
    let root = tlog_tiles::Hash(*Hash32::of(b"root").as_bytes());
    let body = tlog_tiles::Checkpoint::new(ORIGIN, 12, root, "").unwrap().to_bytes();
    let mut note = signed_note::Note::new(&body, &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let text = String::from_utf8(note.to_bytes()).unwrap();

    let vkey = format!("{ORIGIN}+{id:08x}+{}", STANDARD.encode(public));
    let key = LogKey::parse_vkey(&vkey).unwrap();
    let opened = SignedCheckpoint::open(&text, &key).unwrap();
    assert_eq!(opened.checkpoint().size(), 12);
    assert_eq!(opened.text(), text);
}

/// A token's r ‖ s, small and large numbers among them, becomes the DER that verifies.
#[test]
fn ecdsa_signatures_come_raw_from_the_token() {
    let (pair, key) = p256();
    let text = checkpoint().to_be_signed();
    for _ in 0..64 {
        let raw = pair.sign(&SystemRandom::new(), &text).unwrap();
        let der = key.signature_from_raw(raw.as_ref()).unwrap();
        SignedCheckpoint::assemble(checkpoint(), &key, &der).unwrap();
    }
    let mut tiny = [0u8; 64];
    tiny[31] = 0x80;
    tiny[63] = 1;
    assert_eq!(key.signature_from_raw(&tiny).unwrap(), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
    let refused = key.signature_from_raw(&tiny[1..]);
    assert_eq!(refused, Err(NoteError::RawSignature { kind: KeyKind::EcdsaP256, found: 63 }));
}

#[test]
fn a_signature_that_does_not_verify_is_never_assembled() {
    let (pair, key) = ed25519();
    let other = Checkpoint::new(ORIGIN, 1, Hash32::of(b"root")).unwrap();
    let signature = pair.sign(&other.to_be_signed());
    let refused = SignedCheckpoint::assemble(checkpoint(), &key, signature.as_ref());
    assert!(matches!(refused, Err(NoteError::Signature { .. })), "{refused:?}");
    let foreign = Checkpoint::new("elsewhere.example", 1, Hash32::of(b"root")).unwrap();
    let signature = pair.sign(&foreign.to_be_signed());
    let refused = SignedCheckpoint::assemble(foreign, &key, signature.as_ref());
    assert!(matches!(refused, Err(NoteError::Origin { .. })), "{refused:?}");
}

#[test]
fn signatures_of_others_are_kept_and_do_not_count() {
    let (key, signed) = signed();
    let witness = NoteSignature::new("witness.example", [1, 2, 3, 4], &[5; 76]).unwrap();
    let ours = signed.signatures()[0].clone();
    let body = String::from_utf8(checkpoint().to_be_signed()).unwrap();
    let both = Note::new(&body, &[ours, witness.clone()]).unwrap().to_text();
    let opened = SignedCheckpoint::open(&both, &key).unwrap();
    assert_eq!(opened.signatures()[1], witness);
    assert_eq!(opened.text(), both);

    let alone = Note::new(&body, &[witness]).unwrap().to_text();
    let refused = SignedCheckpoint::open(&alone, &key);
    assert!(matches!(refused, Err(NoteError::Unsigned { signatures: 1, .. })), "{refused:?}");
}

#[test]
fn every_bit_of_a_checkpoint_counts() {
    let (key, signed) = signed();
    let bytes = signed.text().as_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = std::str::from_utf8(&forged) {
            assert!(SignedCheckpoint::open(text, &key).is_err(), "bit {bit}: {text}");
        }
    }
}

#[test]
fn what_is_not_a_checkpoint_is_refused_with_its_line() {
    let (pair, key) = ed25519();
    let root = STANDARD.encode([1; 32]);
    let short = STANDARD.encode([1; 31]);
    for (body, line) in [
        (format!("{ORIGIN}\n7\n"), 2),
        (format!("{ORIGIN}\n7\n{root}\nextension\n"), 4),
        (format!("{ORIGIN}\n07\n{root}\n"), 2),
        (format!("{ORIGIN}\n+7\n{root}\n"), 2),
        (format!("{ORIGIN}\n18446744073709551616\n{root}\n"), 2),
        (format!("{ORIGIN}\n7\n{short}\n"), 3),
        (format!("{ORIGIN}\n7\n{}\n", root.trim_end_matches('=')), 3),
    ] {
        let signature = pair.sign(body.as_bytes());
        let ours = NoteSignature::new(ORIGIN, key.id(), signature.as_ref()).unwrap();
        let text = Note::new(&body, &[ours]).unwrap().to_text();
        match SignedCheckpoint::open(&text, &key) {
            Err(NoteError::Shape { line: found, .. }) => assert_eq!(found, line, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_a_note_is_refused_with_its_line() {
    let line = "\u{2014} a AAAAAAA=\n";
    assert!(Note::parse(&format!("text\n\n{line}")).is_ok());
    for (text, at) in [
        ("text\n".to_owned(), 2),
        (format!("text\n{line}"), 3),
        (format!("te\txt\n\n{line}"), 1),
        (format!("text\r\n\n{line}"), 1),
        (format!("text\nmore\u{0}\n\n{line}"), 2),
        ("text\n\n".to_owned(), 3),
        (format!("text\n\n{}", line.trim_end()), 3),
        (format!("text\n\n{line}-- a AAAAAAA=\n"), 4),
        ("text\n\n\u{2014} a\n".to_owned(), 3),
        ("text\n\n\u{2014}  AAAAAAA=\n".to_owned(), 3),
        ("text\n\n\u{2014} a AAAAAA==\n".to_owned(), 3),
        ("text\n\n\u{2014} a AAAAAAB=\n".to_owned(), 3),
    ] {
        match Note::parse(&text) {
            Err(NoteError::Shape { line, .. }) => assert_eq!(line, at, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    let long = format!("{}\n\n{line}", "x".repeat(MAX_NOTE));
    assert!(matches!(Note::parse(&long), Err(NoteError::Oversize { .. })));
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let (_, key) = ed25519();
    let vkey = key.vkey();
    assert_eq!(LogKey::parse_vkey(&vkey).unwrap(), key);
    let wrong_id = vkey.replacen(&hex::encode(key.id()), "00000000", 1);
    assert!(matches!(LogKey::parse_vkey(&wrong_id), Err(NoteError::KeyId { .. })));
    for bad in ["", "a+b", "a+00000000+", "a+00000000+AwEB", "a+00000000+!", "a+00000000+AQ=="] {
        assert!(matches!(LogKey::parse_vkey(bad), Err(NoteError::Key { .. })), "{bad}");
    }
    let (_, p256) = p256();
    let mut off_curve = STANDARD.decode(p256.vkey().splitn(3, '+').nth(2).unwrap()).unwrap();
    *off_curve.last_mut().unwrap() ^= 1;
    let refused = LogKey::from_spki(ORIGIN, &off_curve[1..]);
    assert!(matches!(refused, Err(NoteError::Key { .. })), "{refused:?}");
    for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7}b"] {
        let refused = Checkpoint::new(name, 0, Hash32::of(b""));
        assert!(matches!(refused, Err(NoteError::Name { .. })), "{name:?}");
    }
}

proptest! {
    /// Any text is read without panic, and what is taken for a note writes itself again.
    #[test]
    fn strangers_texts_do_no_harm(text in "(\u{2014} a [A-Za-z0-9+/=]{0,12}|[a-z0-9 ]{0,4}|\n){0,12}\n?") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_text(), text.clone());
        }
        let _ = LogKey::parse_vkey(&text);
        let (_, key) = ed25519();
        prop_assert!(SignedCheckpoint::open(&text, &key).is_err());
    }
}
