//! Requests and checkpoints as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::Hash32;

use super::{AddCheckpoint, AnyCheckpoint, MAX_PROOF, MAX_REQUEST, RequestError};
use crate::note::{Note, NoteError, check_name};

/// A decimal number in its shortest form.
pub(super) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn hash(text: &str) -> Option<Hash32> {
    Hash32::from_slice(&STANDARD.decode(text).ok()?)
}

pub(super) fn checkpoint(note: Note) -> Result<AnyCheckpoint, NoteError> {
    let shape = |line, reason| NoteError::Shape { line, reason };
    let mut lines = note.text().strip_suffix('\n').unwrap_or(note.text()).split('\n');
    let origin = lines.next().unwrap_or_default();
    check_origin(origin)?;
    let size = lines.next().and_then(number);
    let size = size.ok_or(shape(2, "the size is not a number in its shortest form"))?;
    let root = lines.next().and_then(hash);
    let root = root.ok_or(shape(3, "the root is not base64 of 32 bytes"))?;
    if let Some(at) = lines.position(str::is_empty) {
        return Err(shape(4 + at, "an empty extension line"));
    }
    Ok(AnyCheckpoint { origin: origin.to_owned(), size, root, note })
}

/// An origin need not be a key's name; one that is empty, or that no file and no log line should
/// hold, is refused.
fn check_origin(origin: &str) -> Result<(), NoteError> {
    match check_name(&origin.replace([' ', '+'], "_")) {
        Ok(()) => Ok(()),
        Err(NoteError::Name { reason, .. }) => {
            Err(NoteError::Name { name: origin.to_owned(), reason })
        }
        Err(other) => Err(other),
    }
}

pub(super) fn request(body: &str) -> Result<AddCheckpoint, RequestError> {
    if body.len() > MAX_REQUEST {
        return Err(RequestError::Oversize { found: body.len() });
    }
    let shape = |line, reason| RequestError::Shape { line, reason };
    let no_checkpoint = "no empty line before the checkpoint";
    let (head, note) = body.split_once("\n\n").ok_or(shape(1, no_checkpoint))?;
    let mut lines = head.split('\n');
    let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(number);
    let old = old.ok_or(shape(1, "not of the form: old SIZE"))?;
    let mut proof = Vec::new();
    for (at, line) in lines.enumerate() {
        if at == MAX_PROOF {
            return Err(shape(at + 2, "more than 63 hashes"));
        }
        proof.push(hash(line).ok_or(shape(at + 2, "not base64 of 32 bytes"))?);
    }
    Ok(AddCheckpoint { old, proof, checkpoint: AnyCheckpoint::parse(note)? })
}

pub(super) fn body(request: &AddCheckpoint) -> String {
    let mut text = format!("old {}\n", request.old);
    for hash in &request.proof {
        text.push_str(&STANDARD.encode(hash.as_bytes()));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&request.checkpoint.note.to_text());
    text
}
