use policy::Status;
use wire::address::Address;
use wire::event::Event;
use wire::octets;

use super::*;
use crate::store::contract::{Author, uid};

/// A notice of an event of alice's.
pub(super) fn notice(event: &str) -> Notice {
    Notice {
        realm: "example.org".into(),
        uid: Some(uid("alice")),
        event: event.into(),
        at_ms: 1_795_000_000_000,
        sequence: 3,
        leaf_index: 17,
        switch: None,
        key: None,
        not_before_ms: None,
        until_ms: None,
        by: None,
        detail: None,
        announced: false,
    }
}

fn notices(officers: &[&str]) -> Notices {
    let officers = officers.iter().map(|officer| (*officer).to_owned()).collect();
    let settings = NoticeSettings { officers, ..NoticeSettings::default() };
    Notices::new(settings, AddressKey::derive(&[7; 32]))
}

/// An event of alice's of a kind, with a body.
fn event(kind: EventKind, body: &[u8]) -> NewEvent {
    let mut new = Author::new().enrolment("alice").events.remove(0);
    new.event = Event { kind, body: octets(body), ..new.event };
    new
}

/// Without channels and officers nothing is written: most events of most installations.
#[test]
fn nobody_is_told_where_nobody_asked_to_be() {
    let rows = notices(&[]).rows("example.org", 60, &[event(EventKind::Rekey, b"")]);
    assert!(rows.outbox.is_empty() && rows.addresses.is_empty() && rows.leaving.is_empty());
}

#[test]
fn officers_are_told_of_what_they_may_have_to_act_on() {
    let notices = notices(&["olga@example.org", "omar@example.org"]);
    for (kind, told) in [
        (EventKind::SwitchRequest, true),
        (EventKind::Veto, true),
        (EventKind::Suspend, true),
        (EventKind::RosterChange, true),
        (EventKind::Renew, false),
        (EventKind::Enrol, false),
    ] {
        let rows = notices.rows("example.org", 60, &[event(kind, b"")]);
        let to: Vec<_> = rows.outbox.iter().map(|new| &new.to).collect();
        assert_eq!(to.len(), if told { 2 } else { 0 }, "{kind}: {to:?}");
    }
    let rows = notices.rows("example.org", 60, &[event(EventKind::Veto, b"")]);
    assert_ne!(rows.outbox[0].id, rows.outbox[1].id, "a name for each destination");
    let again = notices.rows("example.org", 60, &[event(EventKind::Veto, b"")]);
    assert_eq!(rows.outbox[0].id, again.outbox[0].id, "and the same whenever it is made");
}

#[test]
fn a_change_of_channels_keeps_the_old_addresses_for_their_wait() {
    let mail = Address::new(ChannelKind::Mail, [1; 32], "alice@new.example").unwrap();
    let body = Channels { version: 1, channels: vec![mail.channel()] }.to_canonical();
    let mut new = event(EventKind::ChannelChange, &body);
    new.addresses = vec![mail.clone()];
    let at = new.event.time_ms;
    let rows = notices(&[]).rows("example.org", 60, &[new]);
    assert_eq!(rows.addresses, [(uid("alice"), mail.clone())]);
    assert_eq!(rows.in_use, [(uid("alice"), mail.channel().address)]);
    let [(whose, until)] = &rows.leaving[..] else { panic!("{rows:?}") };
    assert_eq!(*whose, uid("alice"));
    assert!(*until > at + 60_000, "at least the wait");
}

fn asked(approved: &[&str]) -> Vec<u8> {
    let approval = |name: &&str| wire::body::Approval {
        officer: wire::Hash32::of(name.as_bytes()),
        remark: wire::Hash32::of(b"met"),
    };
    let body = SwitchRequested {
        version: 1,
        intent: wire::Hash32::of(b"intent"),
        spki: wire::Hash32::of(b"key"),
        approvals: 2,
        wait: 60,
        expires_ms: 0,
        approved: approved.iter().map(approval).collect(),
    };
    body.to_canonical()
}

/// Strangers file as many as they like; whatever leads on is told.
#[test]
fn strangers_requests_do_not_fill_mailboxes_and_approvals_are_always_told() {
    let notices = notices(&["olga@example.org"]);
    let told = |kind, body: &[u8], later_ms: u64| {
        let mut new = event(kind, body);
        new.event.time_ms += later_ms;
        let rows = notices.rows("example.org", 60, &[new]);
        rows.outbox.iter().map(|new| String::from_utf8(new.notice.clone()).unwrap()).next()
    };
    for _ in 1..REQUESTS_TOLD {
        assert!(!told(EventKind::SwitchRequest, &asked(&[]), 0).unwrap().contains("one by one"));
    }
    assert!(told(EventKind::SwitchRequest, &asked(&[]), 0).unwrap().contains("one by one"));
    assert_eq!(told(EventKind::SwitchRequest, &asked(&[]), 0), None);
    // With an officer behind it, or an approval afterwards: told.
    assert!(told(EventKind::SwitchRequest, &asked(&["olga"]), 0).is_some());
    assert!(told(EventKind::SwitchApprove, b"", 0).is_some());
    assert!(told(EventKind::SwitchRequest, &asked(&[]), 3_600_000).is_some(), "the next hour");
}

/// An identity that has ended keeps no address.
#[test]
fn the_end_of_an_identity_is_the_end_of_its_addresses() {
    for (phase, leaving) in [(Phase::Announced, 0), (Phase::Effective, 1)] {
        let body = Ended { version: 1, phase }.to_canonical();
        let mut new = event(EventKind::Retire, &body);
        if let Some(row) = &mut new.identity {
            row.identity.status = Status::Retired;
        }
        let rows = notices(&[]).rows("example.org", 60, &[new]);
        assert_eq!((rows.leaving.len(), rows.in_use.len()), (leaving, 0), "{phase}");
    }
}

#[test]
fn operators_are_told_that_nobody_is() {
    assert_eq!(notices(&[]).warnings().len(), 1);
    let settings = NoticeSettings { ways: vec![ChannelKind::Mail], ..NoticeSettings::default() };
    assert!(Notices::new(settings, AddressKey::derive(&[7; 32])).warnings().is_empty());
}
