//! Entries, given back to an authority whose database lost them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use super::journal::{Batch, Journal, JournalError, MAX_LINE};

/// Bytes after which a part of the entries ends.
const PART: usize = 16 * 1024 * 1024;

impl Journal {
    /// The entries from a leaf on, each a line as it was taken, up to a size that was co-signed; so
    /// many as fit into one part, and at least one where there is one.
    pub(super) fn lend(&self, from: u64, until: u64) -> Result<(u64, Vec<u8>), JournalError> {
        let files = self.files("entries-", ".jsonl")?;
        let begin = files.partition_point(|(first, _)| *first <= from).saturating_sub(1);
        let (mut count, mut lines) = (0, Vec::new());
        for (first, path) in files.into_iter().skip(begin) {
            let mut part = Part { at: first, from, until, count: &mut count, lines: &mut lines };
            if !part.read(&path)? {
                break;
            }
        }
        Ok((count, lines))
    }
}

/// Where reading is, and what of it is given back.
struct Part<'a> {
    at: u64,
    from: u64,
    until: u64,
    count: &'a mut u64,
    lines: &'a mut Vec<u8>,
}

impl Part<'_> {
    /// Reads a file on; whether there is room for more.
    fn read(&mut self, path: &PathBuf) -> Result<bool, JournalError> {
        let file = |source| JournalError::File { path: path.clone(), source };
        let damaged = |reason: String| JournalError::Damaged { path: path.clone(), reason };
        let mut input = BufReader::new(File::open(path).map_err(file)?);
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| -> Result<bool, JournalError> {
            line.clear();
            (&mut input).take(MAX_LINE).read_until(b'\n', line).map_err(file)?;
            Ok(line.last() == Some(&b'\n'))
        };
        while self.at < self.until && next(&mut line)? {
            let batch: Batch =
                serde_json::from_slice(&line).map_err(|error| damaged(error.to_string()))?;
            for _ in batch.from..batch.to.min(self.until) {
                if !next(&mut line)? {
                    return Err(damaged("it breaks off".to_owned()));
                }
                if self.at >= self.from {
                    self.lines.extend_from_slice(&line);
                    *self.count += 1;
                }
                self.at += 1;
                if self.lines.len() >= PART {
                    return Ok(false);
                }
            }
        }
        Ok(self.at < self.until)
    }
}
