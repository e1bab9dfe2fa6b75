//! Whoever can write to the whole database: nothing he wrote is signed. (A state rolled back by one
//! event stands in `e2e/tamper.rs`; a record with his own TBS before a crash in `ca/tests/crash.rs`.)

use avouch_tests::database::tamper;
use avouch_tests::patiently;
use avouch_tests::people::{Holder, Town};
use wire::Encoded;
use wire::event::EventKind as K;
use wire::rules::Rules;
use wire::statement::Role;

const DAY: u64 = 86_400;

fn row(town: &Town) -> Vec<String> {
    let columns = "status, sequence, hex(head), hex(key_hash), key_number, hex(details), \
                   hex(pending), coalesce(due_ms, 0)";
    let select = format!("SELECT {columns} FROM identity WHERE uid = 'alice'");
    tamper(&town.installation.file("avouch.db"), &[&select]).remove(0)
}

fn put_back(town: &Town, row: &[String]) {
    let update = format!(
        "UPDATE identity SET status = {}, sequence = {}, head = x'{}', key_hash = x'{}', \
         key_number = {}, details = x'{}', pending = x'{}', due_ms = {} WHERE uid = 'alice'",
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
    );
    tamper(&town.installation.file("avouch.db"), &[&update]);
}

#[test]
fn a_vetoed_switch_that_is_put_back_does_not_take_effect() {
    let town = Town::new();
    let (alice, mallory) = (Holder::new(), Holder::new());
    town.enrol("alice", &alice, None);
    let switch = town.request_switch("alice", &mallory);
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    let approved = row(&town);
    town.veto(&switch, Role::CurrentKey, &alice).unwrap();
    put_back(&town, &approved);
    town.clock_at(4 * DAY);
    // The authority asks itself, since the row says that it is due, and finds that out.
    let doctor = || {
        let config = town.installation.file("avouch.toml");
        let config = config.to_str().expect("a plain path");
        let doctor = town.installation.avouch(&["doctor", "--config", config]);
        String::from_utf8_lossy(&doctor.stdout).into_owned()
    };
    patiently("the alarm", || doctor().contains("row of this identity").then_some(()));
    let certificates = "SELECT count(*) FROM certificate";
    let count = tamper(&town.installation.file("avouch.db"), &[certificates]);
    assert_eq!(count[0][0], "1", "alice's own, and no other");
}

#[test]
fn a_wait_that_the_database_says_is_over_is_not() {
    let town = Town::new();
    let (alice, new) = (Holder::new(), Holder::new());
    town.enrol("alice", &alice, None);
    let switch = town.request_switch("alice", &new);
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    tamper(&town.installation.file("avouch.db"), &["UPDATE identity SET due_ms = 1"]);
    let looked = || town.installation.log().contains("its wait is not over");
    patiently("the authority to look and wait on", || {
        town.clock_at(1);
        looked().then_some(())
    });
    assert_eq!(town.key("alice"), Some(alice.hash()));
    // Nothing is broken: it takes effect in its time.
    town.clock_at(3 * DAY + 600);
    patiently("the switch", || (town.key("alice") == Some(new.hash())).then_some(()));
}

#[test]
fn a_change_of_policy_is_not_taken_back_by_deleting_it() {
    let town = Town::new();
    let alice = Holder::new();
    town.enrol("alice", &alice, None);
    let dev =
        Rules { allow_transport_evidence: true, allow_software_token: true, ..Rules::standard() };
    let tighter = Rules { cooldown: 30 * DAY, wait: 7 * DAY, ..dev };
    let intent = town.change_intent(K::PolicyChange, &tighter.to_canonical());
    let leaf = town.change(&intent, 2).unwrap().leaf_index;
    assert!(town.installation.stop().success());
    let database = town.installation.file("avouch.db");
    tamper(&database, &[&format!("UPDATE event SET kind = NULL WHERE leaf_index = {leaf}")]);
    let config = town.installation.file("avouch.toml");
    let config = config.to_str().expect("a plain path");
    let start = town.installation.avouch(&["authority", "--config", config]);
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(!start.status.success(), "{said}");
    assert!(said.contains("the installation's events"), "{said}");
}

#[test]
fn an_officer_who_was_written_into_the_roster_is_none() {
    use wire::body::Roster;
    use wire::genesis::Keyholder;
    let town = Town::new();
    town.enrol("alice", &Holder::new(), None);
    let (fourth, mallory) = (Holder::new(), Holder::new());
    let officers = town.officers.iter().chain([&fourth]).enumerate();
    let officers = officers.map(|(n, officer)| Keyholder {
        name: format!("officer-{}", n + 1),
        spki: wire::octets(officer.spki()),
        scope: Vec::new(),
    });
    let roster = Roster { version: 1, officers: officers.collect() }.to_canonical();
    let leaf = town.change(&town.change_intent(K::RosterChange, &roster), 2).unwrap().leaf_index;
    assert!(town.installation.stop().success());
    // The roster is in the event that changes it. He puts his key in the place of the fourth's.
    let (database, hex) = (town.installation.file("avouch.db"), |bytes: &[u8]| -> String {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    });
    let select = format!("SELECT hex(event) FROM event WHERE leaf_index = {leaf}");
    let event = tamper(&database, &[&select]).remove(0).remove(0);
    let edited = event.replace(&hex(fourth.spki()), &hex(mallory.spki()));
    assert_ne!(event, edited);
    tamper(
        &database,
        &[&format!("UPDATE event SET event = x'{edited}' WHERE leaf_index = {leaf}")],
    );
    let config = town.installation.file("avouch.toml");
    let config = config.to_str().expect("a plain path");
    let start = town.installation.avouch(&["authority", "--config", config]);
    let said = String::from_utf8_lossy(&start.stderr).into_owned();
    assert!(!start.status.success(), "{said}");
    assert!(said.contains(&format!("leaf {leaf} does not commit")), "{said}");
}
