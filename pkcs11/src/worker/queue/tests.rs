use super::{Op, Requests};
use crate::proto;
use std::io::{self, Read};
use std::time::Duration;

/// Gives its pieces one read at a time.
struct Pieces(std::vec::IntoIter<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.next() else { return Ok(0) };
        into[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

fn requests(pieces: &[&[u8]]) -> Requests<Pieces> {
    Requests::new(Pieces(pieces.iter().map(|piece| piece.to_vec()).collect::<Vec<_>>().into_iter()))
}

fn frame(number: u64) -> Vec<u8> {
    let mut frame = Vec::new();
    let op = proto::Op::Sign { id: &[1], tbs: &[2, 3] };
    proto::encode(&proto::Request { number, op }, &mut frame).unwrap();
    frame
}

fn number(requests: &Requests<Pieces>) -> u64 {
    let work = requests.first().unwrap().unwrap();
    assert!(matches!(&work.op, Op::Sign { id, tbs } if id == &[1] && tbs == &[2, 3]));
    work.number
}

/// An answer may wait for the next one only if that is sure to come.
#[test]
fn whether_another_waits_is_known_only_when_all_of_it_is_here() {
    let third = frame(3);
    let (left, right) = third.split_at(6);
    let all = requests(&[&[frame(1), frame(2), left.to_vec()].concat(), right]);
    assert!(all.is_empty());
    assert_eq!(number(&all), 1);
    assert!(!all.is_empty());
    assert_eq!(number(&all), 2);
    assert!(all.is_empty(), "only a part of the third is here");
    assert_eq!(number(&all), 3);
    assert!(all.is_empty());
    // Every session is told of the end.
    assert!(all.first().unwrap().is_none());
    assert!(all.first().unwrap().is_none());
}

#[test]
fn what_is_no_request_is_an_error() {
    let too_long = (proto::MAX_FRAME as u32 + 1).to_le_bytes();
    assert!(requests(&[&too_long]).first().is_err());
    assert!(requests(&[&[2, 0, 0, 0, 255, 255]]).first().is_err());
    assert!(requests(&[&frame(1)[..5]]).first().is_err());
}

/// Nobody waits for ever for a session whose quick token has stopped answering.
#[test]
fn a_call_that_hangs_holds_nobody_up() {
    let all = requests(&[&[frame(1), frame(2), frame(3)].concat()]);
    assert_eq!(number(&all), 1);
    let work = all.next(1, Duration::ZERO).unwrap().unwrap();
    assert_eq!(work.number, 2);
    // The second is never answered.
    assert_eq!(number(&all), 3);
}
