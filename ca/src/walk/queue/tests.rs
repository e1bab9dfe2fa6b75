use std::pin::pin;

use futures::poll;
use wire::{Hash32, IdempotencyKey, UserId};

use super::{Group, Guest, Queue, QueueSender, Waits, queue};

#[derive(Debug)]
struct Ask {
    uid: UserId,
    guest: Guest,
}

impl Waits for Ask {
    fn uid(&self) -> &UserId {
        &self.uid
    }

    fn key(&self) -> Option<Hash32> {
        Some(Hash32::of(self.uid.as_str().as_bytes()))
    }

    fn once(&self) -> Option<&IdempotencyKey> {
        None
    }

    fn arrives(&mut self) -> bool {
        self.guest.arrives()
    }
}

fn ask(name: &str, guest: Guest) -> Ask {
    Ask { uid: UserId::parse(name).unwrap(), guest }
}

fn put(sender: &QueueSender<Ask>, name: &str) {
    assert!(sender.put(ask(name, sender.announce())).is_ok());
}

async fn asks(queue: &mut Queue<Ask>) -> Vec<Ask> {
    match queue.next().await.unwrap() {
        Group::Identities(asks) => asks,
        Group::Installation(change) => panic!("{change:?}"),
    }
}

fn names(asks: &[Ask]) -> Vec<String> {
    asks.iter().map(|ask| ask.uid.as_str().to_owned()).collect()
}

#[tokio::test]
async fn all_that_wait_leave_in_order_and_in_shares() {
    let (sender, mut queue) = queue(10, 10);
    for name in ["a", "b", "c", "d", "e"] {
        put(&sender, name);
    }
    let first = asks(&mut queue).await;
    assert!(first.len() < 5, "one group is written while another is signed");
    let mut all = names(&first);
    // While they walk they count; whoever was answered does not.
    drop(first);
    while all.len() < 5 {
        all.extend(names(&asks(&mut queue).await));
    }
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn no_group_is_larger_than_allowed() {
    let (sender, mut queue) = queue(10, 2);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        put(&sender, name);
    }
    assert_eq!(names(&asks(&mut queue).await), ["a", "b"]);
}

#[tokio::test]
async fn a_name_is_in_a_group_once() {
    let (sender, mut queue) = queue(10, 10);
    let _walking = [(); 20].map(|()| {
        let mut guest = sender.announce();
        guest.arrives();
        guest
    });
    for name in ["a", "b", "a", "a", "c"] {
        put(&sender, name);
    }
    assert_eq!(names(&asks(&mut queue).await), ["a", "b", "c"]);
    assert_eq!(names(&asks(&mut queue).await), ["a"]);
    assert_eq!(names(&asks(&mut queue).await), ["a"]);
}

#[tokio::test]
async fn one_alone_does_not_wait() {
    let (sender, mut queue) = queue(10, 10);
    put(&sender, "a");
    let mut next = pin!(queue.next());
    assert!(poll!(&mut next).is_ready());
}

/// The few that are parsed first do not leave without those that came with them.
#[tokio::test]
async fn those_who_are_arriving_are_waited_for() {
    let (sender, mut queue) = queue(10, 10);
    let mut coming: Vec<Guest> = [(); 9].map(|()| sender.announce()).into();
    assert!(sender.put(ask("a", coming.pop().unwrap())).is_ok());
    {
        let mut next = pin!(queue.next());
        assert!(poll!(&mut next).is_pending());
        // A group that is given up loses nobody.
    }
    assert!(sender.put(ask("b", coming.pop().unwrap())).is_ok());
    // Whoever is refused before the queue is not waited for.
    drop(coming);
    assert_eq!(names(&asks(&mut queue).await), ["a"]);
    assert_eq!(names(&asks(&mut queue).await), ["b"]);
}

#[tokio::test]
async fn who_never_arrives_is_not_waited_for_long() {
    let (sender, mut queue) = queue(10, 10);
    let _coming = [(); 9].map(|()| sender.announce());
    put(&sender, "a");
    assert_eq!(names(&asks(&mut queue).await), ["a"]);
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let (sender, _queue) = queue(1, 10);
    put(&sender, "a");
    assert!(sender.put(ask("b", sender.announce())).is_err());
}
