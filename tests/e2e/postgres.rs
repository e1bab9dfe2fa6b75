//! What the product does, on PostgreSQL: the same tests as on SQLite.

use avouch_tests::on_store;

#[path = "../../ca/tests/support/postgres.rs"]
pub(crate) mod server;
use server::Server;

/// Tests of other modules, each with a database of its own on one server.
macro_rules! as_on_sqlite {
    ($($module:ident$(::$inner:ident)? => $name:ident,)*) => {$(
        #[test]
        fn $name() {
            on_store(&Server::shared().database(), crate::$module$(::$inner)?::$name);
        }
    )*};
}

as_on_sqlite! {
    issue => every_key_kind_as_der_and_as_pem,
    issue => ids_outside_of_ascii_are_taken_byte_for_byte,
    issue => a_repeated_request_gives_the_same_certificate,
    identity => another_key_for_an_existing_identity_is_refused_and_remembered,
    identity => the_same_key_may_be_certified_again,
    identity => a_race_has_one_winner,
    identity => history_comes_in_pages,
    revoke => a_revoked_certificate_is_in_the_list_and_refused,
    revoke => every_certificate_over_a_revoked_key_falls,
    people => a_share_opens_for_its_recipients_and_in_openssl,
    people => a_person_enrols_renews_and_revokes_with_the_command_line,
    crash => a_second_start_goes_on_with_the_folder,
    crash => killed_processes_lose_nothing_and_double_nothing,
    log => a_bundle_is_verified_offline_and_every_part_of_it_counts,
    moves::race => each_step_has_one_winner,
    moves::lives => whoever_lost_every_key_gets_the_identity_back_by_officers_and_a_wait,
    moves::lives => what_loosens_waits_and_what_tightens_holds_at_once_and_both_outlast_a_restart,
}
