//! Contacts: compared in person, and compared again after a switch.

use avouch_tests::Desk;

#[test]
fn whoever_was_verified_in_person_is_verified_again_after_a_switch() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(1, "contact number alice").says(&["not among the contacts"]);
    desk.run(0, "verify identity alice");
    let own = desk.run(0, "contact number alice --key @alice.key").out;
    assert_eq!(desk.run(0, "contact number alice").out, own, "both have the same digits");
    assert_eq!(own.split_whitespace().count(), 12);
    let number = own.trim();
    let wrong = number.replace('1', "2");
    desk.run(14, &format!("contact verify alice --number \"{wrong}\"")).says(&["do not share"]);
    desk.run(0, &format!("contact verify alice --number \"{number}\""));
    desk.run(0, "contact list").says(&["verified"]);

    desk.run(0, "switch request alice --new-key @new.key");
    for n in [1, 2] {
        desk.run(0, &format!("approve alice --key ca:officer-{n}.key --remark met --yes"));
    }
    desk.hours_ahead(73);
    desk.until(0, "switch status alice");
    desk.run(14, "verify identity alice").says(&["contact verify"]);
    desk.run(14, "contact acknowledge alice").says(&["verified in person"]);
    desk.run(14, &format!("contact verify alice --number \"{number}\""));
    let number = desk.run(0, "contact number alice --key @new.key").out;
    desk.run(0, &format!("contact verify alice --number \"{}\"", number.trim()));
    desk.run(0, "verify identity alice");

    desk.run(0, "contact forget alice");
    desk.run(1, "contact forget alice");
    desk.run(0, "verify identity alice").says(&["first time"]);
}
