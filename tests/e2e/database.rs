//! The database fails while it is used: what was answered is there afterwards, callers are told to
//! come back meanwhile, and nobody has to do anything by hand.

use std::path::Path;
use std::process::Command;

use avouch_tests::database::tamper;
use avouch_tests::{Installation, Load, Role, load_csr, load_key, program};
use wire::rest::{Certificate, Identity};

use crate::enrolled;
use crate::postgres::server::Server;

/// What callers are told while there is no database.
const UNAVAILABLE: &str = "store-unavailable";

/// Has something happen to the database, again and again, while clients enrol; then looks whether
/// every answer still holds.
fn under_load(
    installation: &Installation,
    rounds: usize,
    breaks: impl Fn(&Load),
    mends: impl Fn(),
) {
    let agent = installation.agent();
    let load = Load::default();
    std::thread::scope(|scope| {
        for name in 0..6 {
            let (load, agent) = (&load, &agent);
            scope.spawn(move || load.client(agent, name));
        }
        let _over = load.ends();
        for _ in 0..rounds {
            let before = load.seen();
            load.wait(|seen| seen.answered > before.answered + 20);
            let told = |of: &avouch_tests::Seen| of.refused.get(UNAVAILABLE).copied().unwrap_or(0);
            let before = told(&load.seen());
            breaks(&load);
            load.wait(|seen| told(seen) > before);
            mends();
            let before = load.seen();
            load.wait(|seen| seen.answered > before.answered + 20);
        }
    });
    load.holds(&agent);
    assert_eq!(agent.get("/api/v1/health/ready").status, 200);
}

fn on(server: &Server) -> Installation {
    Installation::start_with(&["--store", &server.database()])
}

#[test]
fn a_server_that_crashes_and_comes_back_loses_nothing() {
    let server = Server::new();
    let installation = on(&server);
    let authority = installation.pids(Role::Authority);
    under_load(&installation, 3, |_| server.stop(), || server.start());
    assert_eq!(installation.pids(Role::Authority), authority, "nothing had to be started again");
}

#[test]
fn a_full_disk_under_postgresql_loses_nothing() {
    let server = Server::new();
    let installation = on(&server);
    let authority = installation.pids(Role::Authority);
    // Rows of nobody's fill the table up to what is allowed, which is as little as the server's own
    // log needs.
    let database = installation_database(&installation);
    let filler = "INSERT INTO event SELECT -n, ''::bytea, sha256(n::text::bytea), ''::bytea, NULL, \
                  0, 0, NULL, (SELECT string_agg(sha256((n * 100 + k)::text::bytea), ''::bytea) \
                  FROM generate_series(1, 40) AS k) FROM generate_series(1, 700) AS n";
    server.psql(&database, filler);
    under_load(
        &installation,
        1,
        |_| server.limit_files(Some(1 << 20)),
        || server.limit_files(None),
    );
    assert_eq!(installation.pids(Role::Authority), authority, "nothing had to be started again");
}

#[test]
fn a_full_disk_under_sqlite_loses_nothing() {
    let installation = Installation::start();
    let authority = installation.pids(Role::Authority);
    let limit = |bytes: &str| {
        for pid in installation.pids(Role::Authority) {
            let mut prlimit = Command::new("prlimit");
            prlimit.arg(format!("--pid={pid}")).arg(format!("--fsize={bytes}:"));
            assert!(prlimit.status().expect("prlimit can be run").success());
        }
    };
    let full = |_: &Load| {
        let size = |name: &str| installation.file(name).metadata().map_or(0, |file| file.len());
        limit(&(size("avouch.db").max(size("avouch.db-wal")) + 64 * 1024).to_string());
    };
    under_load(&installation, 2, full, || limit("unlimited"));
    assert_eq!(installation.pids(Role::Authority), authority, "nothing had to be started again");
}

/// Somebody else keeps a table from being read, until every connection that reads waits for it.
#[test]
fn connections_that_are_all_in_use_lose_nothing() {
    let server = Server::new();
    let installation = on(&server);
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let agent = installation.agent();
    let database = installation_database(&installation);
    std::thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE identity IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
        let holder = scope.spawn(|| server.try_psql(&database, lock));
        server.wait_for(&database, "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock'");
        let readers: Vec<_> =
            (0..20).map(|_| scope.spawn(|| agent.get("/api/v1/identities/alice"))).collect();
        for reader in readers {
            let answer = reader.join().expect("an answer");
            assert!(!answer.header("retry-after").is_empty(), "{}", answer.text());
            assert_eq!(answer.problem().code, UNAVAILABLE);
        }
        server.psql(
            &database,
            "SELECT pg_terminate_backend(pid) FROM pg_locks \
            WHERE mode = 'AccessExclusiveLock'",
        );
        holder.join().expect("psql ends");
    });
    let _: Identity = agent.get("/api/v1/identities/alice").json(200);
    let _ = enrolled(&installation, "bob", &load_csr("bob", &load_key()));
}

/// The server takes no more connections, and those there are have gone.
#[test]
fn a_server_without_room_for_connections_loses_nothing() {
    let server = Server::new();
    let installation = on(&server);
    let database = installation_database(&installation);
    let closed = format!(
        "ALTER DATABASE {database} ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid) \
         FROM pg_stat_activity WHERE datname = '{database}'"
    );
    let opened = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true");
    under_load(
        &installation,
        2,
        |_| drop(server.psql("postgres", &closed)),
        || drop(server.psql("postgres", &opened)),
    );
}

/// The name of an installation's database.
fn installation_database(installation: &Installation) -> String {
    let configuration = String::from_utf8(installation.read("avouch.toml")).expect("TOML is text");
    let url = configuration.lines().find_map(|line| line.strip_prefix("url = "));
    let url = url.expect("a database's URL").trim_matches('"');
    let path = url.rsplit_once('?').map_or(url, |(path, _)| path);
    path.rsplit_once('/').expect("a path").1.to_owned()
}

/// `avouch db copy` of what is in a folder: its exit code and what it says.
fn copy(folder: &Path, url: &str) -> (Option<i32>, String) {
    let mut copy = Command::new(program());
    copy.args(["db", "copy", "--to", url, "--config"]).arg(folder.join("avouch.toml"));
    let output = copy.output().expect("avouch can be run");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_copy_in_postgresql_is_replayed_and_goes_on() {
    let server = Server::new();
    let mut installation = Installation::start();
    let key = load_key();
    let first = enrolled(&installation, "alice", &load_csr("alice", &key));
    let url = server.database();
    let config = installation.file("avouch.toml");
    let (code, said) = copy(config.parent().expect("a folder"), &url);
    assert!(code == Some(1) && said.contains("the authority is running"), "{said}");
    installation.restart_after(|folder| {
        let (code, said) = copy(folder, &url);
        assert!(code == Some(0) && said.contains("of 1 identities, 1 certificates"), "{said}");
        let (code, said) = copy(folder, &url);
        assert!(code == Some(1) && said.contains("not empty"), "{said}");
        let text = std::fs::read_to_string(folder.join("avouch.toml")).expect("it is there");
        let lines = text.lines().map(|line| match line.split_once('=') {
            Some((key, path)) if key.trim() == "path" && path.contains("avouch.db") => {
                format!("url = \"{url}\"")
            }
            _ => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.contains(&url), "the database was to be found in {text}");
        std::fs::write(folder.join("avouch.toml"), text).expect("it can be written");
        std::fs::remove_file(folder.join("avouch.db")).expect("it was there");
    });
    let path = format!("/api/v1/certificates/{}", first.serial);
    let again: Certificate = installation.agent().get(&path).json(200);
    assert_eq!(again.certificate, first.certificate);
    let renewed = enrolled(&installation, "alice", &load_csr("alice", &key));
    assert_eq!(renewed.sequence, first.sequence + 1);
}

#[test]
fn a_copy_that_does_not_follow_from_its_evidence_is_not_to_be_used() {
    let server = Server::new();
    let mut installation = Installation::start();
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    installation.restart_after(|folder| {
        let database = folder.join("avouch.db");
        let right = tamper(&database, &["SELECT evidence FROM event WHERE uid = 'alice'"]);
        let mut wrong = right[0][0].clone();
        wrong.replace_range(200..202, if &wrong[200..202] == "00" { "01" } else { "00" });
        let put = |hex: &str| format!("UPDATE event SET evidence = x'{hex}' WHERE uid = 'alice'");
        let _ = tamper(&database, &[&put(&wrong)]);
        let (code, said) = copy(folder, &server.database());
        assert!(code == Some(15) && said.contains("do not use the copy"), "{code:?}: {said}");
        let _ = tamper(&database, &[&put(&right[0][0])]);
    });
}
