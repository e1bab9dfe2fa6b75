//! A gateway under a user of its own reads nothing of the authority's, whoever takes it over.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use avouch_tests::openssl::Key;
use avouch_tests::{Installation, Role, patiently};

use crate::enrolled;

/// The gateway's user and a stranger to both processes. Neither needs a name.
const GATEWAY: u32 = 65_534;
const STRANGER: u32 = 65_533;

fn as_user(uid: u32, command: &[&str]) -> Output {
    let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
    let mut setpriv = Command::new("setpriv");
    setpriv.args([&user, &group, "--clear-groups"]).args(command);
    setpriv.output().expect("setpriv runs")
}

/// Numbers behind a name in /proc/PID/status.
fn status(pid: u32, name: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

fn open_to_the_gateway(folder: &Path) {
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our file");
    };
    mode(folder.parent().expect("a folder above"), 0o711);
    mode(folder, 0o711);
    for file in ["tls.key", "tls.pem", "tls-ca.pem"] {
        chown(folder.join(file), Some(GATEWAY), None).expect("root may");
    }
    let config = folder.join("avouch.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, format!("{text}\n[users]\ngateway = {GATEWAY}\n")).expect("our file");
}

#[test]
fn a_gateway_of_another_user_serves_and_reads_nothing_of_the_authoritys() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nobody can be made another user's process here");
        return;
    }
    let mut installation = Installation::start();
    let _ = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));
    installation.restart_after(open_to_the_gateway);
    let _ = enrolled(&installation, "bob", &Key::p256().csr("/CN=bob", &[]));

    let gateway = installation.pids(Role::Gateway)[0];
    assert_eq!(status(gateway, "Uid:"), [GATEWAY; 4]);
    assert_eq!(status(gateway, "Groups:"), [0; 0]);
    assert_eq!(status(installation.pids(Role::Authority)[0], "Uid:"), [0; 4]);

    // With all that it may: the files that hold the authority's power, and its doors.
    let path = |name: &str| installation.file(name).to_str().expect("UTF-8").to_owned();
    let authority = installation.pids(Role::Authority)[0];
    let mut secret: Vec<String> =
        ["avouch.db", "avouch.toml", "pin", "agent.key", "officer-1.key"].map(path).to_vec();
    secret.push(format!("/proc/{authority}/environ"));
    secret.push(format!("/proc/{authority}/mem"));
    for file in &secret {
        assert!(Path::new(file).exists(), "{file}");
        let read = as_user(GATEWAY, &["head", "-c1", file]);
        assert!(!read.status.success() && read.stdout.is_empty(), "{file} was read");
    }
    assert!(as_user(GATEWAY, &["head", "-c1", &path("tls.key")]).status.success());
    let door = |uid, socket: &str| {
        let socket = path(socket);
        as_user(uid, &["curl", "-sS", "--max-time", "5", "--unix-socket", &socket, "http://there"])
    };
    assert_eq!(door(GATEWAY, "run/admin.sock").status.code(), Some(7), "it cannot connect");

    // Nor does anybody else come in by the gateway's door.
    assert!(!door(STRANGER, "run/gateway.sock").status.success());
    patiently("the stranger turned away", || {
        installation.log().contains("another user of this machine came to a socket").then_some(())
    });
    installation.restart(false);
    let _ = enrolled(&installation, "carol", &Key::p256().csr("/CN=carol", &[]));
}

#[test]
fn users_that_cannot_be_are_refused_at_the_start() {
    let installation = Installation::start();
    assert!(installation.stop().success());
    let config = installation.file("avouch.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let refused = |users: &str| {
        std::fs::write(&config, format!("{text}\n[users]\n{users}\n")).expect("our file");
        let file = config.to_str().expect("UTF-8");
        let output = installation.avouch(&["config", "check", "--config", file]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused("gateway = \"no-such-user\"").contains("there is no user no-such-user"));
    assert!(refused("gateway = 0").contains("root can read everything"));
    let both = format!("gateway = {GATEWAY}\nauthority = {GATEWAY}");
    assert!(refused(&both).contains("is the authority's user, too"));
}
