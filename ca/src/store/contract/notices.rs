//! What people are told: addresses, and the outbox.

use wire::Hash32;
use wire::address::Address;
use wire::body::ChannelKind;

use super::{Author, Harness, counts, reopen, uid};
use crate::store::notices::notice_id;
use crate::store::rows::{Destination, NewNotice, RecordGroup, Settled};
use crate::store::{Store, StoreError};

fn address(kind: ChannelKind, salt: u8, text: &str) -> Address {
    Address::new(kind, [salt; 32], text).unwrap()
}

fn mail() -> Address {
    address(ChannelKind::Mail, 1, "alice@example.org")
}

fn channel(name: &str, address: &Address) -> Destination {
    Destination::Channel { uid: uid(name), channel: address.channel().address }
}

fn tell(group: &mut RecordGroup, to: Destination, at_ms: u64) -> Hash32 {
    let leaf = group.events[0].leaf.leaf_hash();
    let id = notice_id(leaf, &to);
    let notice = format!("at {at_ms}").into_bytes();
    group.notices.outbox.push(NewNotice { id, leaf_index: group.expected_size, to, notice, at_ms });
    id
}

/// A notice is there exactly if its event is; an address given with the event is used by it.
pub(crate) async fn notices_are_recorded_with_their_event(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut late = author.clone().enrolment("bob");
    let mut group = author.enrolment("alice");
    group.notices.addresses.push((uid("alice"), mail()));
    let told = tell(&mut group, channel("alice", &mail()), 1000);
    let to =
        Destination::Address { kind: ChannelKind::Mail, address: "officer@example.org".into() };
    let officer = tell(&mut group, to, 2000);
    // Nobody knows bob's address; and what is known of alice is not bob's.
    tell(&mut group, channel("bob", &mail()), 1000);
    tell(&mut group, channel("alice", &address(ChannelKind::Mail, 2, "a@b")), 1000);
    store.record(&group).await.unwrap();
    let store = reopen(harness, store).await;

    assert_eq!(store.known_channels(&uid("alice")).await.unwrap(), [mail()]);
    assert_eq!(store.known_channels(&uid("bob")).await.unwrap(), []);
    let outbox = store.outbox(1000, 10).await.unwrap();
    let [row] = &outbox.due[..] else { panic!("{outbox:?}") };
    assert_eq!((row.id, row.address.as_str()), (told, "alice@example.org"));
    assert_eq!((row.notice.as_slice(), row.at_ms, row.attempts), (&b"at 1000"[..], 1000, 0));
    assert_eq!((outbox.waiting, outbox.oldest_ms, outbox.given_up), (2, Some(1000), 0));
    let both = store.outbox(2000, 10).await.unwrap().due;
    assert_eq!(both.iter().map(|row| row.id).collect::<Vec<_>>(), [told, officer]);
    assert_eq!(store.outbox(2000, 1).await.unwrap().due.len(), 1);

    // A group that is not recorded tells nobody.
    let before = counts(&store).await;
    tell(&mut late, channel("alice", &mail()), 1000);
    late.notices.addresses.push((uid("bob"), mail()));
    let refused = store.record(&late).await.unwrap_err();
    assert!(matches!(refused, StoreError::Moved { .. }), "{refused}");
    assert_eq!(counts(&store).await, before);
}

pub(crate) async fn a_notice_stays_until_it_is_sent_or_given_up(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.enrolment("alice");
    let mut ids = Vec::new();
    for name in ["a@example.org", "b@example.org", "c@example.org"] {
        let to = Destination::Address { kind: ChannelKind::Mail, address: name.into() };
        ids.push(tell(&mut group, to, 1000));
    }
    store.record(&group).await.unwrap();
    let settled = [
        Settled::Sent { id: ids[0] },
        Settled::Again { id: ids[1], attempts: 1, next_ms: 5000 },
        Settled::GivenUp { id: ids[2], at_ms: 2000 },
    ];
    store.settle(&settled).await.unwrap();
    // Settling again changes nothing.
    store.settle(&settled).await.unwrap();
    store.settle(&[]).await.unwrap();
    let store = reopen(harness, store).await;
    let outbox = store.outbox(4999, 10).await.unwrap();
    assert!(outbox.due.is_empty(), "{outbox:?}");
    assert_eq!((outbox.next_ms, outbox.waiting, outbox.given_up), (Some(5000), 1, 1));
    let due = store.outbox(5000, 10).await.unwrap().due;
    assert_eq!((due.len(), due[0].id, due[0].attempts), (1, ids[1], 1));

    store.forget(0, 2000).await.unwrap();
    assert_eq!(store.outbox(0, 10).await.unwrap().given_up, 1);
    store.forget(0, 2001).await.unwrap();
    let outbox = store.outbox(0, 10).await.unwrap();
    assert_eq!((outbox.waiting, outbox.given_up), (1, 0));
}

pub(crate) async fn addresses_leave_with_their_channels(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let hook = address(ChannelKind::Webhook, 3, "https://hooks.example.org/alice");
    let new = address(ChannelKind::Mail, 4, "alice@elsewhere.example");
    let mut first = author.group();
    author.enrol(&mut first, "alice");
    author.enrol(&mut first, "bob");
    let mut first = author.seal(first);
    first.notices.addresses =
        vec![(uid("alice"), mail()), (uid("alice"), hook.clone()), (uid("bob"), mail())];
    store.record(&first).await.unwrap();

    let mut second = author.group();
    author.renew(&mut second, "alice");
    let mut second = author.seal(second);
    second.notices.leaving = vec![(uid("alice"), 9000)];
    second.notices.addresses = vec![(uid("alice"), new.clone())];
    second.notices.in_use =
        [&hook, &new].map(|address| (uid("alice"), address.channel().address)).to_vec();
    // The old one is told once more, in the same transaction.
    tell(&mut second, channel("alice", &mail()), 1000);
    store.record(&second).await.unwrap();
    assert_eq!(store.outbox(1000, 10).await.unwrap().due.len(), 1);

    let known = async || {
        let mut known = store.known_channels(&uid("alice")).await.unwrap();
        known.sort_by(|a, b| a.address().cmp(b.address()));
        known
    };
    store.forget(9000, 0).await.unwrap();
    assert_eq!(known().await, [new.clone(), mail(), hook.clone()]);
    store.forget(9001, 0).await.unwrap();
    assert_eq!(known().await, [new, hook]);
    assert_eq!(store.known_channels(&uid("bob")).await.unwrap(), [mail()]);
}
