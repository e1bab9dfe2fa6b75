//! Power failures and killed processes: what was answered is there, nothing is there twice, and
//! nobody has to do anything by hand.

use avouch_tests::{Installation, Load, Role, load_csr, load_key};
use wire::rest::Certificate;

use crate::enrolled;

#[test]
pub(crate) fn a_second_start_goes_on_with_the_folder() {
    let mut installation = Installation::start();
    let root = installation.read("root.pem");
    let csr = load_csr("alice", &load_key());
    let alice: Certificate = installation.agent().enrol_once("alice", &csr, "once").json(201);
    for power_failure in [false, true] {
        installation.restart(power_failure);
        assert_eq!(installation.read("root.pem"), root, "the same authority");
        let agent = installation.agent();
        let path = format!("/api/v1/certificates/{}", alice.serial);
        assert_eq!(agent.get(&path).json::<Certificate>(200), alice);
        let again = agent.enrol_once("alice", &csr, "once");
        assert_eq!(again.json::<Certificate>(again.status).serial, alice.serial);
        let refused = agent.enrol("alice", &load_csr("alice", &load_key())).problem();
        assert_eq!(refused.code, "identity-change-required");
        let uid = format!("after-{power_failure}");
        let _ = enrolled(&installation, &uid, &load_csr(&uid, &load_key()));
    }
}

#[test]
fn children_do_not_outlive_their_supervisor() {
    let mut installation = Installation::start();
    installation.kill_supervisor();
    installation.restart(true);
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
}

#[test]
fn a_clean_stop_leaves_no_process() {
    let installation = Installation::start();
    let pids: Vec<u32> = Role::ALL.iter().flat_map(|role| installation.pids(*role)).collect();
    assert!(pids.len() >= 3, "three processes: {pids:?}");
    let status = installation.stop();
    assert!(status.success(), "{status}");
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is still there");
    }
}

/// Which moments: another for every round, the same in every run.
pub(crate) fn moments() -> impl Iterator<Item = u64> {
    // Marsaglia, «Xorshift RNGs», 2003.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state)
    })
}

#[test]
pub(crate) fn killed_processes_lose_nothing_and_double_nothing() {
    let rounds = if std::env::var_os("AVOUCH_LONG").is_some() { 200 } else { 10 };
    let installation = Installation::start();
    let agent = installation.agent();
    let load = Load::default();
    std::thread::scope(|scope| {
        for name in 0..6 {
            let (load, agent) = (&load, &agent);
            scope.spawn(move || load.client(agent, name));
        }
        // Also when a round panics: otherwise the clients would go on for ever.
        let _over = load.ends();
        for (round, moment) in (0..rounds).zip(moments()) {
            let role = Role::ALL[round % Role::ALL.len()];
            let sent = load.seen().sent;
            load.wait(|seen| seen.sent > sent + moment % 40);
            (0..moment % 50_000).for_each(|n| {
                std::hint::black_box(n);
            });
            installation.kill(role);
            // The service goes on by itself, for every client.
            let answered = load.seen().answered;
            load.wait(|seen| seen.answered > answered + 12);
        }
    });
    load.holds(&agent);
}
