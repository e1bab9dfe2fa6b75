use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{ROOM, Writer};

/// What was written.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// More than there is room for, from several threads: every line is there once, whole, and those of
/// one thread in their order.
#[test]
fn every_line_is_written_once() {
    let out = Out::default();
    let writer = Writer::to(out.clone());
    let text = "x".repeat(100);
    let count = ROOM / 100;
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (mut lines, text) = (writer.lines(), &text);
            scope.spawn(move || {
                for n in 0..count {
                    lines.write_all(format!("{name} {n} {text}\n").as_bytes()).unwrap();
                }
            });
        }
    });
    drop(writer);
    let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    for name in ["a", "b", "c"] {
        let prefix = format!("{name} ");
        let mut lines = written.lines().filter(|line| line.starts_with(&prefix));
        for n in 0..count {
            assert_eq!(lines.next(), Some(format!("{name} {n} {text}").as_str()));
        }
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn what_is_said_after_the_end_is_refused() {
    let out = Out::default();
    let writer = Writer::to(out.clone());
    let mut lines = writer.lines();
    lines.write_all(b"last\n").unwrap();
    drop(writer);
    assert_eq!(*out.0.lock().unwrap(), b"last\n");
    assert!(lines.write_all(b"later\n").is_err());
}
