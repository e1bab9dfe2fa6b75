//! Memory for secrets: never swapped out, in no core dump, not handed to children, wiped at the end.
#![allow(unsafe_code)]

use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use zeroize::Zeroize;

/// Pages of their own, so that unlocking one secret unlocks no other.
pub(crate) struct Locked {
    memory: Memory,
    len: usize,
    locked: bool,
}

enum Memory {
    Pages(NonNull<u8>),
    /// The system gives no pages: then what it has to give.
    Heap(Box<[u8]>),
}

// SAFETY: the pages belong to this value alone, as a box's memory does.
unsafe impl Send for Locked {}
// SAFETY: shared references only read.
unsafe impl Sync for Locked {}

impl Locked {
    /// So many bytes, all zero.
    pub(crate) fn zeroed(len: usize) -> Self {
        // SAFETY: a new private mapping, of at least one byte, at a place that the system chooses.
        let mapped = unsafe {
            mm::mmap_anonymous(
                std::ptr::null_mut(),
                len.max(1),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let Some(at) = mapped.ok().and_then(|at| NonNull::new(at.cast::<u8>())) else {
            let heap = vec![0; len].into_boxed_slice();
            return Locked { memory: Memory::Heap(heap), len, locked: false };
        };
        // SAFETY: the mapping of this very length, just made.
        let locked = unsafe { mm::mlock(at.as_ptr().cast(), len.max(1)) }.is_ok();
        for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
            // SAFETY: as above; neither changes what the memory holds. A kernel that knows it not
            // has no dumps of this process anyway (harden.rs).
            let _ = unsafe { mm::madvise(at.as_ptr().cast(), len.max(1), advice) };
        }
        Locked { memory: Memory::Pages(at), len, locked }
    }

    /// A copy of these bytes.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut locked = Self::zeroed(bytes.len());
        locked.copy_from_slice(bytes);
        locked
    }

    /// Whether the system promised not to swap it out. It refuses where too much is locked already
    /// (`ulimit -l`).
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            // SAFETY: the mapping is `len` bytes long, initialised by the system, and ours.
            Memory::Pages(at) => unsafe { std::slice::from_raw_parts(at.as_ptr(), self.len) },
            Memory::Heap(heap) => heap,
        }
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as above, and borrowed by nobody else.
            Memory::Pages(at) => unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), self.len) },
            Memory::Heap(heap) => heap,
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.zeroize();
        if let Memory::Pages(at) = self.memory {
            // SAFETY: the mapping that `zeroed` made, which nobody refers to any more.
            let _ = unsafe { mm::munmap(at.as_ptr().cast(), self.len.max(1)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_locked_pages_that_no_dump_and_no_child_gets() {
        let mut locked = Locked::copy_of(b"secret");
        locked[0] = b'S';
        assert_eq!(&*locked, b"Secret");
        assert!(locked.is_locked());
        // proc(5): lo is locked, dd is in no dump, dc is not copied by fork.
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let at = format!("{:x}-", locked.as_ptr().addr());
        let own = maps.split_once(&format!("\n{at}")).unwrap().1;
        let flags = own.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" lo", " dd", " dc"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
    }
}
