//! Counters that all processes share: a file of numbers, little-endian, 8 bytes each.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::Call;

/// Where the numbers of rules begin; before them are those of functions.
const RULES: usize = 64;
/// How many numbers there are: one for each possible rule.
const NUMBERS: usize = RULES + u16::MAX as usize + 1;

/// The size of the file.
pub(crate) const BYTES: u64 = 8 * NUMBERS as u64;

/// The counters, mapped into this process to be counted up.
pub(crate) struct Counters {
    numbers: &'static [AtomicU64],
}

impl Counters {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        if file.metadata()?.len() < BYTES {
            return Err(io::Error::other("the report file is too short"));
        }
        // SAFETY: a new mapping of a file that is long enough; it is never unmapped.
        let at = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                BYTES as usize,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &file,
                0,
            )?
        };
        // SAFETY: the mapping is aligned to a page, holds NUMBERS numbers of which every bit
        // pattern is valid, lives as long as the process, and is only touched by atomics.
        let numbers = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), NUMBERS) };
        Ok(Counters { numbers })
    }

    /// Counts a call of this function.
    pub(crate) fn called(&self, call: Call) {
        self.numbers[call as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a call that a rule is about, and says how many there were before.
    pub(crate) fn asked(&self, rule: u16) -> u64 {
        self.numbers[RULES + usize::from(rule)].fetch_add(1, Ordering::SeqCst)
    }
}

/// How often a function was called.
pub(crate) fn calls(file: &File, call: Call) -> io::Result<u64> {
    number(file, call as usize)
}

/// How many calls a rule was about.
pub(crate) fn asked(file: &File, rule: u16) -> io::Result<u64> {
    number(file, RULES + usize::from(rule))
}

fn number(file: &File, index: usize) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 8 * index as u64)?;
    Ok(u64::from_le_bytes(bytes))
}
