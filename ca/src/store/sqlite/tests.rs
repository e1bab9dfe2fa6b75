use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Sqlite, checkpoint};
use crate::store::contract::{Author, Harness, contract_tests, counts, edit, stays_as_it_was, uid};
use crate::store::engine::{Engine, Given, Mode, Session, Source, Value};
use crate::store::rows::{CertificateCursor, CertificateSearch, CertificateState, IdentitySearch};
use crate::store::{Store, StoreError, search};

struct File(tempfile::TempDir);

impl File {
    fn path(&self) -> PathBuf {
        self.0.path().join("avouch.db")
    }
}

impl Harness for File {
    type Engine = Sqlite;

    const NEWER: &'static str = "PRAGMA user_version = 99";

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Result<Sqlite, StoreError> {
        Sqlite::open(&self.path()).await
    }
}

contract_tests!(File);

fn mode(path: &Path, suffix: &str) -> u32 {
    let name = format!("{}{suffix}", path.display());
    std::fs::metadata(name).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_moment_stays_as_it_was() {
    let file = File::new();
    let store = file.open().await.unwrap();
    stays_as_it_was(&store, async || Sqlite::moment(&file.path()).await.unwrap()).await;
    store.close().await;
    // Nobody has it open, and there is no write-ahead log.
    assert_eq!(Sqlite::moment(&file.path()).await.unwrap().edge().await.unwrap().size(), 4);
    edit(&file.open().await.unwrap(), File::NEWER).await;
    let error = Sqlite::moment(&file.path()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{error}");
    let error = Sqlite::moment(&file.0.path().join("none")).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let file = File::new();
    let store = file.open().await.unwrap();
    store.record(&Author::new().enrolment("alice")).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&file.path(), suffix), 0o600, "{suffix:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_file_that_others_could_read_is_closed_to_them() {
    let file = File::new();
    file.open().await.unwrap().close().await;
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = file.open().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(mode(&file.path(), ""), 0o600);
}

#[tokio::test]
async fn a_second_authority_is_found_out() {
    let file = File::new();
    let (first, second) = (file.open().await.unwrap(), file.open().await.unwrap());
    let mut author = Author::new();
    let mut other = author.clone();
    first.record(&author.enrolment("alice")).await.unwrap();
    let error = second.record(&other.enrolment("mallory")).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { expected: 0, found: 2 }), "{error}");
    assert!(first.identity(&uid("mallory")).await.unwrap().is_none());
    first.record(&author.enrolment("bob")).await.unwrap();
}

#[tokio::test]
async fn a_file_that_must_exist_is_not_made() {
    let file = File::new();
    assert!(Sqlite::open_existing(&file.path()).await.is_err());
    assert!(!file.path().exists());
}

/// SQLite answers SQLITE_FULL for a full disk and for a file that may not grow alike.
#[tokio::test]
async fn a_full_disk_keeps_nothing_and_heals() {
    let file = File::new();
    let store = file.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let limit = async |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.writer.lend().await.unwrap().script(sql).await.unwrap();
    };
    limit(1).await; // Becomes what the file has.
    let group = (0..200).fold(author.group(), |mut group, n| {
        author.enrol(&mut group, &format!("user {n}"));
        group
    });
    let group = author.seal(group);
    let before = counts(&store).await;
    let error = store.record(&group).await.unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(counts(&store).await, before);
    assert_eq!(store.edge().await.unwrap().size(), 2);
    limit(u32::MAX - 1).await;
    store.record(&group).await.unwrap();
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

#[tokio::test]
async fn what_is_dropped_half_way_is_undone() {
    let file = File::new();
    let store = file.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let before = counts(&store).await;
    let mut session = store.begin(Mode::Write).await.unwrap();
    session.execute("DELETE FROM event", Given::Values(&[])).await.unwrap();
    drop(session);
    assert_eq!(counts(&store).await, before);
    // The one connection that writes is free again.
    store.record(&author.enrolment("bob")).await.unwrap();
}

/// Whoever commits does not copy the write-ahead log; somebody does.
#[tokio::test]
async fn the_log_beside_the_file_stays_short() {
    let file = File::new();
    let store = file.open().await.unwrap();
    let mut author = Author::new();
    let mut written = 0;
    for n in 0..100 {
        let group = (0..20).fold(author.group(), |mut group, m| {
            author.enrol(&mut group, &format!("user {n} {m}"));
            group
        });
        store.record(&author.seal(group)).await.unwrap();
        let wal = format!("{}-wal", file.path().display());
        written = written.max(std::fs::metadata(wal).unwrap().len());
    }
    let longest = checkpoint::TOO_LONG as u64 + 200;
    assert!(written < longest * 4120, "{written} bytes");
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

/// How SQLite answers a search.
async fn plan(store: &Sqlite, sql: &str, values: &[Value<'_>]) -> String {
    let mut session = store.begin(Mode::Read).await.unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = session.fetch(&sql, Given::Values(values)).await.unwrap();
    rows.iter().map(|row| row.text("detail").unwrap().unwrap()).collect::<Vec<_>>().join("; ")
}

/// A page costs what it shows: each search walks an index in its order, and sorts nothing.
#[tokio::test]
async fn searches_walk_an_index() {
    let file = File::new();
    let store = file.open().await.unwrap();
    let all = CertificateSearch::default;
    let user = Some("al".to_owned());
    let searches = [
        (all(), "certificate"),
        (CertificateSearch { user: user.clone(), ..all() }, "certificate_uid"),
        (CertificateSearch { expires_before: Some(9), ..all() }, "certificate_expiry"),
        (CertificateSearch { issuer: Some(Author::ISSUER), ..all() }, "certificate_issuer"),
        (CertificateSearch { key: Some(Author::ISSUER), ..all() }, "certificate_uid"),
        (
            CertificateSearch { state: Some(CertificateState::Revoked), ..all() },
            "certificate_revocation",
        ),
        (
            CertificateSearch { state: Some(CertificateState::Pending), ..all() },
            "certificate_unfinished",
        ),
    ];
    let after = CertificateCursor { leaf_index: 5, not_after: 7, uid: uid("alice") };
    for (search, index) in searches {
        for after in [None, Some(&after)] {
            let (sql, values) = search::certificates_sql(&search, after, 10);
            let plan = plan(&store, &sql, &values).await;
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{search:?}: {plan}");
        }
    }
    let all = IdentitySearch::default;
    let status = Some(policy::Status::Suspended);
    for (search, index) in [
        (all(), "sqlite_autoindex_identity_1"),
        (IdentitySearch { user, ..all() }, "sqlite_autoindex_identity_1"),
        (IdentitySearch { status, ..all() }, "identity_not_active"),
        (IdentitySearch { key: Some(Author::ISSUER), ..all() }, "sqlite_autoindex_identity_1"),
    ] {
        let (sql, values) = search::identities_sql(&search, Some(&after.uid), 10);
        let plan = plan(&store, &sql, &values).await;
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{search:?}: {plan}");
    }
    store.close().await;
}
