//! Everything at once for one identity, from many connections: each step of the history has one
//! winner, and the whole of it replays.

use std::sync::Barrier;

use avouch_tests::people::{Holder, Town, der, id};
use serde_bytes::ByteBuf;
use wire::event::{EventKind as K, RevocationReason, Revoked};
use wire::socket::{RequestBody, Signed};
use wire::statement::Role;
use wire::{Encoded, octets};

const DAY: u64 = 86_400;

/// Rekey against another rekey, a renewal, a revocation, a suspension and the switch that is due,
/// all made for the same state of the identity.
pub(crate) fn everything_at_once(town: &Town, uid: &str) {
    let (key, new) = (Holder::new(), Holder::new());
    town.enrol(uid, &key, None);
    let switch = town.request_switch(uid, &new);
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).expect("an approval");
    }
    let rekeys: Vec<RequestBody> = (0..2)
        .map(|_| {
            let next = Holder::new();
            let (intent, csr) = town.move_to(K::Rekey, uid, &next);
            let statements = vec![
                town.signed(&intent, Role::CurrentKey, &key),
                town.signed(&intent, Role::NewKey, &next),
            ];
            ask(uid, Some(csr), &intent, statements)
        })
        .collect();
    let renewal = {
        let (intent, csr) = town.move_to(K::Renew, uid, &key);
        let statements = vec![town.signed(&intent, Role::CurrentKey, &key)];
        let signed = Signed { intent: der(&intent), statements, ..Signed::default() };
        let csr = ByteBuf::from(csr);
        RequestBody::Issue { uid: id(uid), csr, idempotency_key: None, signed }
    };
    let revocation = {
        let serial = town.identity(uid).serial.expect("a certificate");
        let reason = RevocationReason::KeyCompromise;
        let number = wire::SerialNumber::from_hex(&serial).expect("a serial number");
        let body = Revoked { version: 1, serial: octets(number.as_bytes()), reason };
        let mut intent = town.intent(K::Revoke, uid);
        intent.body = Some(octets(&body.to_canonical()));
        let statements = vec![town.signed(&intent, Role::CurrentKey, &key)];
        let signed = Signed { intent: der(&intent), statements, ..Signed::default() };
        RequestBody::Revoke { serial, reason: reason.name().to_owned(), signed }
    };
    let suspension = {
        let intent = town.intent(K::Suspend, uid);
        ask(uid, None, &intent, vec![town.signed(&intent, Role::Officer, &town.officers[0])])
    };
    let mut bodies = rekeys;
    bodies.extend([renewal, revocation, suspension]);

    let barrier = Barrier::new(bodies.len() + 1);
    let done: Vec<bool> = std::thread::scope(|scope| {
        let asked: Vec<_> = bodies
            .into_iter()
            .map(|body| {
                let (barrier, mut socket) = (&barrier, town.gateway());
                scope.spawn(move || {
                    barrier.wait();
                    socket.ask(body).result.is_ok()
                })
            })
            .collect();
        barrier.wait();
        town.clock_at(3 * DAY + 60);
        asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert!(done[..2] != [true, true], "two rekeys of one key: {done:?}");
    // Whatever the order was, it is one history with one number for each key.
    let path = format!("/api/v1/identities/{uid}/history");
    let history: wire::rest::Page<wire::rest::HistoryEntry> =
        town.installation.stranger().get(&path).json(200);
    let accepted = history.items.iter().filter(|e| e.outcome == wire::rest::Outcome::Accepted);
    let mut numbers: Vec<u64> = accepted.filter_map(|entry| entry.sequence).collect();
    numbers.reverse();
    let count = u64::try_from(numbers.len()).expect("a small number");
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

/// The log with everything that happened is replayed, beside the running authority and after it.
pub(crate) fn replays(town: &Town) {
    verified(town);
    assert!(town.installation.stop().success());
    verified(town);
}

fn verified(town: &Town) {
    let config = town.installation.file("avouch.toml");
    let config = config.to_str().expect("a plain path");
    let verified = town.installation.avouch(&["log", "verify", "--config", config]);
    let said = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    assert!(verified.status.success(), "{said}");
}

fn ask(
    uid: &str,
    csr: Option<Vec<u8>>,
    intent: &wire::intent::Intent,
    statements: Vec<ByteBuf>,
) -> RequestBody {
    let signed = Signed { intent: der(intent), statements, ..Signed::default() };
    RequestBody::Ask { uid: id(uid), csr: csr.map(ByteBuf::from), signed, idempotency_key: None }
}

#[test]
pub(crate) fn each_step_has_one_winner() {
    let town = Town::new();
    for round in 0..6 {
        town.clock_at(0);
        everything_at_once(&town, &format!("user-{round}"));
    }
    replays(&town);
}
