use std::time::Duration;

use secrecy::SecretString;

use super::{Postgres, Settings};
use crate::store::contract::{
    Author, Harness, certificates, contract_tests, counts, edit, refused, stays_as_it_was, uid,
};
use crate::store::copy::{CopyError, copy};
use crate::store::rows::CrlRow;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

#[path = "../../../tests/support/postgres.rs"]
mod server;
use server::Server;

struct Database(Settings);

impl Harness for Database {
    type Engine = Postgres;

    const NEWER: &'static str = "UPDATE schema_version SET version = 99";

    fn new() -> Self {
        Self(Settings::parse(&Server::shared().database()).unwrap())
    }

    async fn open(&self) -> Result<Postgres, StoreError> {
        Postgres::open(&self.0).await
    }
}

contract_tests!(Database);

#[tokio::test]
async fn a_second_authority_is_refused_until_the_first_has_gone() {
    let database = Database::new();
    let first = database.open().await.unwrap();
    first.record(&Author::new().enrolment("alice")).await.unwrap();
    let error = database.open().await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, StoreError::Held { holder } if holder.contains("avouch authority")));
    first.ping().await.unwrap();
    drop(first); // As kill -9 does: nothing is closed in order.
    let second = database.open().await.unwrap();
    assert_eq!(second.edge().await.unwrap().size(), 2);
}

#[tokio::test]
async fn a_moment_needs_no_lease_and_stays_as_it_was() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    stays_as_it_was(&store, async || Postgres::moment(&database.0).await.unwrap()).await;
    edit(&store, Database::NEWER).await;
    let error = Postgres::moment(&database.0).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{error}");
}

/// The lease is a courtesy; the fence is the log's size, even against who never took the lease.
#[tokio::test]
async fn a_writer_without_the_lease_is_found_out() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    edit(&store, "UPDATE tree SET size = 7").await;
    let error = store.record(&author.enrolment("bob")).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { expected: 2, found: 7 }), "{error}");
}

#[tokio::test]
async fn a_store_that_lost_its_lease_does_not_write() {
    let server = Server::new();
    let settings = Settings::parse(&server.database()).unwrap();
    let first = Postgres::open(&settings).await.unwrap();
    let mut author = Author::new();
    first.record(&author.enrolment("alice")).await.unwrap();
    server.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name LIKE 'avouch authority%'",
    );
    let second = Postgres::open(&settings).await.unwrap();
    // The first finds its connection broken, then the lease taken.
    first.record(&author.clone().enrolment("bob")).await.unwrap_err();
    let error = first.record(&author.clone().enrolment("bob")).await.unwrap_err();
    assert!(matches!(error, StoreError::Held { .. }), "{error}");
    second.record(&author.enrolment("carol")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_is_used_again() {
    let server = Server::new();
    let settings = Settings::parse(&server.database()).unwrap();
    let store = Postgres::open(&settings).await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    server.stop();
    let late = author.enrolment("bob");
    assert!(matches!(store.record(&late).await, Err(StoreError::Engine(_))));
    assert!(matches!(store.edge().await, Err(StoreError::Engine(_))));
    assert!(matches!(store.ping().await, Err(StoreError::Engine(_))));
    server.start();
    // What was answered is there, what failed is not; nothing is opened again by hand.
    assert_eq!(store.edge().await.unwrap().size(), 2);
    store.record(&late).await.unwrap();
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
    assert!(store.identity(&uid("bob")).await.unwrap().is_some());
    // One that restarted while nobody asked is not noticed at all.
    server.stop();
    server.start();
    store.record(&author.enrolment("carol")).await.unwrap();
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_hangs_nobody() {
    let server = Server::new();
    let settings = Settings::parse(&server.database()).unwrap();
    let store = Postgres::open(&settings.with_deadline(Duration::from_millis(500))).await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let late = author.enrolment("bob");
    server.freeze();
    assert!(matches!(store.record(&late).await, Err(StoreError::Engine(_))));
    assert!(matches!(store.edge().await, Err(StoreError::Engine(_))));
    assert!(matches!(store.ping().await, Err(StoreError::Engine(_))));
    server.thaw();
    // Whether the frozen group was kept is not known until asked.
    loop {
        match store.record(&late).await {
            Ok(()) | Err(StoreError::Moved { expected: 2, found: 4 }) => break,
            Err(StoreError::Engine(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_nothing_and_heals() {
    let server = Server::new();
    let settings = Settings::parse(&server.database()).unwrap();
    let mut author = Author::new();
    let store = Postgres::open(&settings).await.unwrap();
    store.record(&author.enrolment("alice")).await.unwrap();
    store.close().await;
    // Less than a segment of the write-ahead log (1 MiB) would be the server's end, not ours.
    server.limit_files(Some(1 << 20));
    let store = Postgres::open(&settings).await.unwrap();
    let crl = CrlRow {
        issuer: Author::ISSUER,
        shard: 0,
        number: 1,
        size: 1,
        next_update: 1,
        // Not compressible.
        crl: (0..40_000_u32).flat_map(|n| *wire::Hash32::of(&n.to_be_bytes()).as_bytes()).collect(),
    };
    let before = counts(&store).await;
    let error = store.put_crl(&crl, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert_eq!(counts(&store).await, before);
    server.limit_files(None);
    // The next connection is allowed more; it is made without being asked for.
    assert!(store.put_crl(&crl, None).await.unwrap());
    store.record(&author.enrolment("bob")).await.unwrap();
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

#[test]
fn passwords_are_not_taken_from_urls() {
    for url in [
        "postgres://avouch:secret@db/avouch",
        "postgres://avouch@db/avouch?password=secret",
        "postgresql://:secret@db/avouch?x=1",
        "postgres:///db?sslmode=prefer&password=secret",
        "mysql://db",
    ] {
        let error = Settings::parse(url).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    let settings = Settings::parse("postgres://avouch@db/avouch?sslmode=disable").unwrap();
    let settings = settings.with_password(&SecretString::from("hunter2"));
    assert_eq!(settings.place(), "postgres://avouch@db/avouch?sslmode=disable");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let lease = super::lease::Lease::new(settings.options(), Duration::from_secs(1)).unwrap();
    assert!(!format!("{lease:?}").contains("hunter2"));
}

async fn filled(folder: &tempfile::TempDir) -> (Sqlite, Author) {
    let source = Sqlite::open(&folder.path().join("avouch.db")).await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    for n in 0..1200 {
        author.enrol(&mut group, &format!("user {n}"));
    }
    author.revoke(&mut group, "user 7");
    let group = author.seal(group);
    source.record(&group).await.unwrap();
    source.publish(&certificates(&[(1, b"certificate")])).await.unwrap();
    source.refuse(&[refused("user 3", 5, "no")]).await.unwrap();
    let (issuer, crl) = (Author::ISSUER, vec![1, 2, 3]);
    source
        .put_crl(&CrlRow { issuer, shard: 3, number: 1, size: 2, next_update: 3, crl }, None)
        .await
        .unwrap();
    (source, author)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_same_and_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let (source, mut author) = filled(&folder).await;
    let store = Database::new().open().await.unwrap();
    let copied = copy(&source, &store, |_, _| {}).await.unwrap();
    assert_eq!((copied.size, copied.root), (author.edge.size(), author.edge.root()));
    assert_eq!(counts(&store).await, counts(&source).await);
    let rows: Vec<_> = copied.tables.iter().map(|(table, rows, _)| (*table, *rows)).collect();
    assert!(rows.contains(&("event", 1203)) && rows.contains(&("refusal", 1)), "{rows:?}");

    let user = uid("user 3");
    let (left, right) = (source.history(&user, None, 9).await, store.history(&user, None, 9).await);
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
    assert_eq!(left.unwrap().len(), 2);
    store.record(&author.enrolment("new")).await.unwrap();
    store.refuse(&[refused("user 3", 6, "no again")]).await.unwrap();
    assert_eq!(store.history(&user, None, 9).await.unwrap().len(), 3);

    let error = copy(&source, &store, |_, _| {}).await.unwrap_err();
    assert!(matches!(error, CopyError::NotEmpty { table: "tree" }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_source_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (source, _) = filled(&folder).await;
    let store = Database::new().open().await.unwrap();
    let before = counts(&store).await;
    let first = "UPDATE event SET salt = (SELECT salt FROM event WHERE leaf_index = 900) \
                 WHERE leaf_index = 700";
    edit(&source, first).await;
    let error = copy(&source, &store, |_, _| {}).await.unwrap_err();
    assert!(matches!(error, CopyError::Log { leaf_index: 700, .. }), "{error}");
    edit(&source, "DELETE FROM event WHERE leaf_index = 600").await;
    let error = copy(&source, &store, |_, _| {}).await.unwrap_err();
    assert!(matches!(error, CopyError::Log { leaf_index: 600, .. }), "{error}");
    assert_eq!(counts(&store).await, before);
    assert_eq!(store.edge().await.unwrap().size(), 0);
}

#[test]
fn the_way_to_another_host_is_protected_or_waived() {
    for url in [
        "postgres://avouch@db.example/avouch",
        "postgres://avouch@192.0.2.7/avouch?sslmode=prefer",
        "postgres://avouch@db.example/avouch?sslmode=require",
        "postgres://avouch@db.example/avouch?sslmode=verify-ca",
    ] {
        let error = Settings::parse(url).unwrap_err().to_string();
        assert!(error.contains("sslmode=verify-full"), "{url}: {error}");
    }
    for url in [
        "postgres://avouch@db.example/avouch?sslmode=verify-full",
        "postgres://avouch@db.example/avouch?sslmode=disable",
        "postgres://avouch@localhost/avouch",
        "postgres://avouch@127.0.0.1:5433/avouch",
        "postgres://avouch@[::1]/avouch",
        "postgres://avouch@localhost/avouch?host=/run/postgresql",
    ] {
        Settings::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    }
}

#[tokio::test]
async fn the_server_is_the_one_that_its_certificate_names() {
    let server = Server::with_tls();
    let url = |address: &str, root: &str| {
        let root = server.file(root).display().to_string();
        server.tls_url(address, &format!("sslmode=verify-full&sslrootcert={root}"))
    };
    let open = async |url: String| Postgres::open(&Settings::parse(&url).unwrap()).await;
    let store = open(url(server.named(), "server.pem")).await.unwrap();
    store.record(&Author::new().enrolment("alice")).await.unwrap();
    let encrypted = server.psql(
        "postgres",
        "SELECT bool_and(ssl) FROM pg_stat_ssl AS s \
        JOIN pg_stat_activity AS a ON a.pid = s.pid WHERE a.client_addr IS NOT NULL",
    );
    assert_eq!(encrypted, "t", "every connection over the network");
    store.close().await;
    // Another root; another name than the certificate's.
    for (address, root) in [(server.named(), "other.pem"), (server.unnamed(), "server.pem")] {
        let error = open(url(address, root)).await.unwrap_err();
        assert!(matches!(error, StoreError::Engine(_)), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
