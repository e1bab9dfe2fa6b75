use super::*;
use crate::note::NoteSignature;

const TEXT: &str = "log.example/avouch\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn cosigner(name: &str) -> Cosigner {
    Cosigner::from_seed(name, &[7; 32]).unwrap()
}

fn note(lines: &[NoteSignature]) -> Note {
    Note::new(TEXT, lines).unwrap()
}

/// C2SP tlog-cosignature's own example; its key is not published, its id and time are there.
#[test]
fn reads_the_specifications_example() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3\
        b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let note = Note::parse(text).unwrap();
    let [line] = note.signatures() else { panic!("{note:?}") };
    assert_eq!(line.signature().len(), BLOB);
    assert_eq!(line.signature()[..8], 1_679_315_147_u64.to_be_bytes());
    assert_eq!(
        to_be_signed(note.text(), 1_679_315_147),
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
          CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    );
}

#[test]
fn a_cosignature_is_read_again_with_its_time() {
    let w = cosigner("witness.example/w");
    let note = note(&[w.cosign(TEXT, 1_700_000_000).unwrap()]);
    assert_eq!(w.key().time_in(&note), Ok(Some(1_700_000_000)));
    assert_eq!(CosignerKey::parse_vkey(&w.key().vkey()).unwrap(), *w.key());
    let other = Cosigner::from_seed("witness.example/w", &[8; 32]).unwrap();
    assert_eq!(other.key().time_in(&note), Ok(None));
}

/// The log's signature over the same text by the same key is not a co-signature.
#[test]
fn neither_kind_of_signature_serves_as_the_other() {
    let w = cosigner("w");
    let plain = w.pair.sign(TEXT.as_bytes());
    let refused = w.key().assemble(TEXT, 5, plain.as_ref());
    assert!(matches!(refused, Err(CosignError::Signature { .. })), "{refused:?}");
}

#[test]
fn another_text_or_time_another_length_and_two_lines_are_refused() {
    let w = cosigner("w");
    let line = w.cosign(TEXT, 5).unwrap();
    assert!(w.key().verify(&TEXT.replace('3', "4"), &line).is_err());
    let mut blob = line.signature().to_vec();
    blob[7] = 6;
    let later = NoteSignature::new("w", w.key().id(), &blob).unwrap();
    assert!(matches!(w.key().time_in(&note(&[later])), Err(CosignError::Signature { .. })));
    blob.push(0);
    let long = NoteSignature::new("w", w.key().id(), &blob).unwrap();
    let found = w.key().time_in(&note(&[long]));
    assert!(matches!(found, Err(CosignError::Length { found: 73, .. })), "{found:?}");
    let twice = w.key().time_in(&note(&[line.clone(), w.cosign(TEXT, 6).unwrap()]));
    assert!(matches!(twice, Err(CosignError::Twice { .. })), "{twice:?}");
    assert!(matches!(w.cosign(TEXT, MAX_TIME + 1), Err(CosignError::Time { .. })));
}

#[test]
fn keys_of_other_kinds_and_wrong_ids_are_refused() {
    let vkey = cosigner("w").key().vkey();
    let (name_and_id, key) = vkey.rsplit_once('+').unwrap();
    let mut bytes = STANDARD.decode(key).unwrap();
    for kind in [0, 1, 2, 6] {
        bytes[0] = kind;
        let other = format!("{name_and_id}+{}", STANDARD.encode(&bytes));
        assert!(matches!(CosignerKey::parse_vkey(&other), Err(CosignError::Key { .. })), "{kind}");
    }
    let renamed = vkey.replacen('w', "v", 1);
    let refused = CosignerKey::parse_vkey(&renamed);
    assert!(matches!(refused, Err(CosignError::Note(NoteError::KeyId { .. }))), "{refused:?}");
}
