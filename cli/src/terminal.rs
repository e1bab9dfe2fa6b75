//! The terminal: questions on it, and nothing of it in data.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

/// Asks for a secret on the terminal, without showing what is typed. Standard input and output may
/// be something else: those of processes under `avouch serve` are.
pub(crate) fn ask_secret(prompt: &str) -> io::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let mut terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|e| io::Error::other(format!("there is no terminal: {e}")))?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    // In this order: what is typed before the question is thrown away, what answers it is not.
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = terminal
        .write_all(prompt.as_bytes())
        .and_then(|()| BufReader::new(&terminal).read_line(&mut line));
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    terminal.write_all(b"\n")?;
    read?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// Asks a question on the terminal, and shows what is typed.
pub(crate) fn ask(prompt: &str) -> io::Result<String> {
    let mut terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|e| io::Error::other(format!("there is no terminal: {e}")))?;
    terminal.write_all(prompt.as_bytes())?;
    let mut line = String::new();
    BufReader::new(&terminal).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
