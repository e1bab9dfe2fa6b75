//! Keeps secrets of this process out of core dumps, `ptrace` and `/proc`.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use std::io;

/// No core dumps and not dumpable: the kernel then also hides `/proc/PID/mem`, `environ` and the
/// rest from other processes of the same user. To be called first thing in every process that
/// holds a PIN.
///
/// # Errors
/// What the kernel said; a process that holds a PIN should then not go on.
pub fn harden_process() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Asks to be killed when the thread that started us ends. That thread lives as long as its
/// process; the end of standard input says the same a little later.
pub(crate) fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
