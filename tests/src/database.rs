//! Somebody with write access to the database: his statements, and nothing else of his.

use std::path::Path;
use std::process::Command;

/// Runs statements on a SQLite file, as another program would, and returns the rows of the last
/// one, binary values in hexadecimal.
///
/// # Panics
/// When a statement fails.
pub fn tamper(database: &Path, statements: &[&str]) -> Vec<Vec<String>> {
    const PROGRAM: &str = "\
import json, sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=20)
rows = []
for statement in sys.argv[2:]:
    rows = base.execute(statement).fetchall()
base.commit()
shown = lambda v: v.hex() if isinstance(v, bytes) else str(v)
print(json.dumps([[shown(value) for value in row] for row in rows]))
";
    let output = Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(database)
        .args(statements)
        .output()
        .expect("python3 can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("rows as JSON")
}
