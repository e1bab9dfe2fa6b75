//! What tests hold: a folder with the two files, and where the module is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::{Act, Call, Control, Rule};
use crate::{FOLDER, MODULE, report};

/// A shim around one module, steered by whoever holds this.
#[derive(Debug)]
pub struct Shim {
    folder: PathBuf,
    wrapped: PathBuf,
    report: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    control: Control,
    next: u16,
}

impl Shim {
    /// Makes the two files in `folder`, which is there.
    ///
    /// # Errors
    /// What the file system said.
    pub fn new(folder: &Path, wrapped: &Path) -> io::Result<Self> {
        let path = folder.join("report");
        let report =
            File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        report.set_len(report::BYTES)?;
        let state = Mutex::new(State { control: Control::default(), next: 0 });
        let shim = Shim { folder: folder.to_owned(), wrapped: wrapped.to_owned(), report, state };
        shim.write(&shim.lock().control)?;
        Ok(shim)
    }

    /// The module, as cargo built it beside the program that runs.
    ///
    /// # Errors
    /// It is not there: the crate was not built.
    pub fn module() -> io::Result<PathBuf> {
        let program = std::env::current_exe()?;
        // Test programs are in `deps`, programs one above it.
        let places = program.ancestors().skip(1).take(3);
        places
            .flat_map(|folder| [folder.to_owned(), folder.join("deps")])
            .map(|folder| folder.join("libavouch_pkcs11_shim.so"))
            .find(|file| file.exists())
            .ok_or_else(|| io::Error::other("libavouch_pkcs11_shim.so is not built"))
    }

    /// What the module wants in the environment.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [(MODULE, text(&self.wrapped)), (FOLDER, text(&self.folder))]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Written beside and moved into place: a call sees the old text or the new one.
    fn write(&self, control: &Control) -> io::Result<()> {
        let beside = self.folder.join("control.new");
        std::fs::write(&beside, control.to_string())?;
        std::fs::rename(beside, self.folder.join("control"))
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.lock();
        change(&mut state);
        self.write(&state.control)
    }

    /// Has this happen to every call of a function from now on.
    ///
    /// # Errors
    /// What the file system said.
    pub fn always(&self, call: Call, act: Act) -> io::Result<Rule> {
        self.add(Rule::new(0, call, act))
    }

    /// Has this happen to the next call of a function, once.
    ///
    /// # Errors
    /// What the file system said.
    pub fn once(&self, call: Call, act: Act) -> io::Result<Rule> {
        self.add(Rule { times: 1, ..Rule::new(0, call, act) })
    }

    /// Adds a rule, whose id is given here.
    ///
    /// # Errors
    /// What the file system said.
    pub fn add(&self, mut rule: Rule) -> io::Result<Rule> {
        self.change(|state| {
            rule.id = state.next;
            state.next += 1;
            state.control.rules.push(rule);
        })?;
        Ok(rule)
    }

    /// Nothing goes wrong any more.
    ///
    /// # Errors
    /// What the file system said.
    pub fn clear(&self) -> io::Result<()> {
        self.change(|state| state.control = Control::default())
    }

    /// Takes the token away, or puts it back.
    ///
    /// # Errors
    /// What the file system said.
    pub fn absent(&self, absent: bool) -> io::Result<()> {
        self.change(|state| state.control.absent = absent)
    }

    /// How often a function was called, by all processes together.
    ///
    /// # Errors
    /// What the file system said.
    pub fn calls(&self, call: Call) -> io::Result<u64> {
        report::calls(&self.report, call)
    }

    /// How often a rule, of those that happen to each call, happened.
    ///
    /// # Errors
    /// What the file system said.
    pub fn happened(&self, rule: &Rule) -> io::Result<u64> {
        let asked = report::asked(&self.report, rule.id)?;
        Ok(asked.saturating_sub(rule.skip).min(rule.times))
    }
}
