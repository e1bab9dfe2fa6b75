//! The contract's tests: what [`Store`] promises, held against every engine.

mod author;
pub(super) mod bench;
pub(super) mod concurrency;
pub(super) mod cosign;
pub(super) mod faults;
pub(super) mod log;
pub(super) mod notices;
pub(super) mod reading;
pub(super) mod searching;
pub(super) mod writing;

use super::engine::{Engine, Mode, NOTHING, Session};
use super::{Store, StoreError};

pub(crate) use author::{Author, certificates, key, refused, uid};

/// Makes stores of one kind.
pub(super) trait Harness {
    type Engine: Engine + 'static;

    /// SQL that makes the schema one of a newer program.
    const NEWER: &'static str;

    /// A place for a database, empty.
    fn new() -> Self;

    /// Opens it.
    async fn open(&self) -> Result<Self::Engine, StoreError>;
}

/// Closes a store and opens it again, as a new process does.
async fn reopen<H: Harness>(harness: &H, store: H::Engine) -> H::Engine {
    store.close().await;
    harness.open().await.unwrap()
}

/// Alters the database behind the store's back.
pub(super) async fn edit<E: Engine>(engine: &E, sql: &str) {
    let mut session = engine.begin(Mode::Write).await.unwrap();
    session.execute(sql, NOTHING).await.unwrap();
    session.commit().await.unwrap();
}

/// A moment sees nothing of what is written after it was opened, while a new one does; it writes
/// nothing.
pub(super) async fn stays_as_it_was<E: Engine>(
    store: &E,
    moment: impl AsyncFn() -> std::sync::Arc<dyn Store>,
) {
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let before = moment().await;
    store.record(&author.enrolment("bob")).await.unwrap();
    assert_eq!(before.edge().await.unwrap().size(), 2);
    let events = async |store: &dyn Store, name| store.events_of(&uid(name)).await.unwrap().len();
    assert_eq!((events(&*before, "alice").await, events(&*before, "bob").await), (1, 0));
    let after = moment().await;
    assert_eq!((after.edge().await.unwrap().size(), events(&*after, "bob").await), (4, 1));
    let refused = before.record(&author.enrolment("carol")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unfit(_)), "{refused}");
    before.close().await;
    assert!(before.edge().await.is_err());
    after.close().await;
    assert_eq!(store.edge().await.unwrap().size(), 4);
}

/// Rows in all tables: equal before and after a call that must write nothing.
pub(super) async fn counts<E: Engine>(engine: &E) -> Vec<u64> {
    let mut counts = Vec::new();
    let mut session = engine.begin(Mode::Snapshot).await.unwrap();
    for table in super::sheet::TABLES {
        let sql = format!("SELECT count(*) AS n FROM {}", table.name);
        let rows = session.fetch(&sql, NOTHING).await.unwrap();
        counts.push(super::columns::Columns::of(table.name, &rows[0]).u64("n").unwrap());
    }
    session.commit().await.unwrap();
    counts
}

/// A test of each promise for a harness.
macro_rules! contract_tests {
    ($harness:ty) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "figures to read"]
        async fn records_per_second() {
            let harness = <$harness as $crate::store::contract::Harness>::new();
            $crate::store::contract::bench::records_per_second(&harness).await;
        }

        $crate::store::contract::contract_tests! { @ $harness;
            writing::what_was_recorded_is_there_after_reopening,
            writing::who_read_another_size_writes_nothing,
            writing::of_two_at_once_one_wins,
            writing::keys_ids_and_idempotency_keys_are_unique,
            writing::a_failed_group_leaves_nothing,
            writing::the_first_signature_stays,
            writing::a_publication_and_a_group_go_together,
            writing::a_group_that_is_not_written_leaves_its_neighbours_to_be_published,
            writing::what_a_group_revokes_of_its_own_is_revoked,
            writing::publishing_what_is_not_recorded_is_nothing,
            writing::an_identity_twice_in_a_group_ends_as_its_last,
            writing::a_revocation_marks_every_certificate_over_the_key,
            writing::the_first_revocation_stays,
            writing::crl_numbers_only_grow,
            writing::refusals_of_strangers_are_dropped_and_of_others_capped,
            writing::a_ping_changes_nothing,
            reading::an_empty_store_is_empty,
            reading::the_genesis_event_is_leaf_0,
            reading::unfinished_is_paged,
            reading::a_history_is_read_in_pages_and_an_event_by_its_leaf,
            reading::certificates_are_paged_newest_first,
            reading::a_history_merges_events_and_refusals,
            reading::revoked_ones_leave_with_their_expiry,
            reading::the_edge_is_that_of_the_leaves,
            reading::books_hold_what_was_wanted,
            reading::ids_compare_bytewise,
            reading::the_largest_cursor_is_harmless,
            searching::certificates_are_found_by_each_property,
            searching::pages_of_each_order_join_without_gap_or_repetition,
            searching::identities_are_found_with_what_is_shown_of_them,
            log::the_first_note_of_a_size_stays,
            log::old_checkpoints_go,
            log::leaves_and_hashes_are_found_by_place,
            log::pages_of_the_map_change_together,
            log::the_secret_is_written_once,
            cosign::the_earliest_and_the_latest_word_stay,
            cosign::words_are_found_by_leaf_and_from_the_end,
            cosign::what_is_not_kept_goes_with_its_checkpoint,
            notices::notices_are_recorded_with_their_event,
            notices::a_notice_stays_until_it_is_sent_or_given_up,
            notices::addresses_leave_with_their_channels,
            faults::corrupt_rows_are_named,
            faults::a_missing_piece_of_evidence_is_named,
            faults::evidence_that_is_not_what_the_event_names_is_refused,
            faults::a_newer_schema_is_refused,
            faults::a_closed_store_fails,
            concurrency::books_are_of_one_moment,
            concurrency::conflicting_writers_make_one_history,
        }
    };
    (@ $harness:ty; $($module:ident::$name:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let harness = <$harness as $crate::store::contract::Harness>::new();
            $crate::store::contract::$module::$name(&harness).await;
        }
    )*};
}
pub(super) use contract_tests;
