//! Finding and killing the processes of one installation.

use std::collections::HashMap;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one with HTTP.
    Gateway,
    /// The one with the database.
    Authority,
    /// The one with the PKCS#11 module.
    HsmWorker,
}

impl Role {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Authority, Self::HsmWorker];

    /// The subcommand of `avouch` that runs it.
    #[must_use]
    pub fn subcommand(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Authority => "authority",
            Self::HsmWorker => "hsm-worker",
        }
    }
}

struct Process {
    parent: u32,
    arguments: Vec<String>,
}

/// Every process of the machine that can be read. One that ends meanwhile is left out.
fn all() -> HashMap<u32, Process> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there on Linux");
    let processes = entries.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, read(&entry.path())?))
    });
    processes.collect()
}

/// proc(5): the parent follows the state, which follows the name in parentheses.
fn read(folder: &Path) -> Option<Process> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let line = std::fs::read(folder.join("cmdline")).ok()?;
    let arguments = line.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned());
    Some(Process { parent, arguments: arguments.collect() })
}

/// All descendants of `root`.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    below(&all(), root)
}

fn below(processes: &HashMap<u32, Process>, root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, process) in processes {
            if process.parent == parent {
                found.push(*pid);
                parents.push(*pid);
            }
        }
    }
    found
}

/// The descendants of `root` that play a role; several, or none while one is being replaced.
pub(crate) fn playing(root: u32, role: Role) -> Vec<u32> {
    let processes = all();
    let plays = |pid: &u32| {
        let arguments = processes.get(pid).map(|p| &p.arguments[..]).unwrap_or_default();
        arguments.iter().skip(1).any(|argument| argument == role.subcommand())
    };
    below(&processes, root).into_iter().filter(plays).collect()
}

/// Kills with -9; a process that is gone already is fine.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Asks to end.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Asks to read its files again.
pub(crate) fn hang_up(pid: u32) {
    signal(pid, Signal::HUP);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid from the system");
    let _ = kill_process(pid, signal);
}
