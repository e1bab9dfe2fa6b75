//! A stolen phone: the thief holds alice's current key and does with it what it lets him do. She
//! gets her identity back, in the time that the documents say.

use avouch_tests::patiently;
use avouch_tests::people::{Holder, Town};
use wire::event::EventKind as K;
use wire::problem::ProblemCode;
use wire::rest::IdentityStatus;
use wire::statement::Role;

const DAY: u64 = 86_400;

fn rekey(town: &Town, from: &Holder, to: &Holder) -> Result<(), wire::problem::Problem> {
    let (intent, csr) = town.move_to(K::Rekey, "alice", to);
    let statements =
        vec![town.signed(&intent, Role::CurrentKey, from), town.signed(&intent, Role::NewKey, to)];
    town.ask(&intent, Some(csr), statements, &[]).map(|_| ())
}

fn recommit(town: &Town, by: &Holder, to: &Holder) -> Result<(), wire::problem::Problem> {
    let mut intent = town.intent(K::RecoveryCommitmentChange, "alice");
    intent.recovery_commitment = Some(to.commitment());
    let statements = vec![town.signed(&intent, Role::CurrentKey, by)];
    town.ask(&intent, None, statements, &[]).map(|_| ())
}

#[test]
fn the_owner_with_her_recovery_key_takes_it_back_at_once() {
    let town = Town::new();
    let (alice, recovery, thief) = (Holder::new(), Holder::new(), Holder::new());
    town.enrol("alice", &alice, Some(&recovery));
    // He moves the identity to a key of his own, twice, and sets his own recovery key.
    let (second, his_recovery) = (Holder::new(), Holder::new());
    rekey(&town, &alice, &thief).unwrap();
    recommit(&town, &thief, &his_recovery).unwrap();
    rekey(&town, &thief, &second).unwrap();
    // She finds out two days later: within the window her recovery key wins over all of it.
    town.clock_at(2 * DAY);
    let (hers, next) = (Holder::new(), Holder::new());
    let (mut intent, csr) = town.move_to(K::Recover, "alice", &hers);
    intent.recovery_commitment = Some(next.commitment());
    let statements = vec![
        town.signed(&intent, Role::RecoveryKey, &recovery),
        town.signed(&intent, Role::NewKey, &hers),
    ];
    town.ask(&intent, Some(csr), statements, &[&recovery]).unwrap();
    assert_eq!(town.key("alice"), Some(hers.hash()));
    // His key and his recovery key are worth nothing now, also after the window.
    assert!(rekey(&town, &second, &Holder::new()).is_err());
    town.clock_at(9 * DAY);
    let (mut intent, csr) = town.move_to(K::Recover, "alice", &thief);
    intent.recovery_commitment = Some(Holder::new().commitment());
    let statements = vec![
        town.signed(&intent, Role::RecoveryKey, &his_recovery),
        town.signed(&intent, Role::NewKey, &thief),
    ];
    assert!(town.ask(&intent, Some(csr), statements, &[&his_recovery]).is_err());
    assert_eq!(town.key("alice"), Some(hers.hash()));
}

#[test]
fn the_owner_with_officers_alone_takes_it_back_after_two_waits() {
    let town = Town::new();
    let (alice, thief) = (Holder::new(), Holder::new());
    town.enrol("alice", &alice, None);
    rekey(&town, &alice, &thief).unwrap();
    // One officer suspends: he can move it no further.
    let suspend = town.intent(K::Suspend, "alice");
    let by_one = vec![town.signed(&suspend, Role::Officer, &town.officers[0])];
    town.ask(&suspend, None, by_one, &[]).unwrap();
    assert!(rekey(&town, &thief, &Holder::new()).is_err());
    assert_eq!(town.identity("alice").status, IdentityStatus::Suspended);

    let hers = Holder::new();
    let switch = town.request_switch("alice", &hers);
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    // He objects. While an officer's suspension stands that slows the switch, once.
    town.veto(&switch, Role::CurrentKey, &thief).unwrap();
    let again = town.veto(&switch, Role::CurrentKey, &thief);
    assert_eq!(again.unwrap_err().code, ProblemCode::AlreadyDone);
    // He alone retires nothing and resumes nothing.
    for verb in [K::Retire, K::Resume] {
        let intent = town.intent(verb, "alice");
        let statements = vec![town.signed(&intent, Role::CurrentKey, &thief)];
        assert!(town.ask(&intent, None, statements, &[]).is_err(), "{verb}");
    }
    town.clock_at(3 * DAY + 60);
    assert_eq!(town.key("alice"), Some(thief.hash()), "one more approval, and twice the wait");
    town.approve(&switch, &town.officers[2]).unwrap();
    town.clock_at(6 * DAY + 120);
    patiently("the switch to take effect", || {
        (town.key("alice") == Some(hers.hash())).then_some(())
    });
    assert_eq!(town.identity("alice").status, IdentityStatus::Active);
    assert!(rekey(&town, &thief, &Holder::new()).is_err());
}
