//! Power failures and killed processes: what was answered is there, nothing is there twice, and
//! nobody has to do anything by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use avouch_tests::{Http, Installation, Role, load_csr, load_key};
use wire::SerialNumber;
use wire::rest::{Certificate, CertificateStatus, Page};

use crate::enrolled;

#[test]
fn a_second_start_goes_on_with_the_folder() {
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

/// What the clients of a load see.
#[derive(Default)]
struct Load {
    /// Answered certificates by user.
    answered: Mutex<BTreeMap<String, Certificate>>,
    changed: Condvar,
    sent: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// One client: enrols one new user after the other, and asks again with the same
    /// `Idempotency-Key` until it has an answer, as the documentation tells clients to.
    fn client(&self, agent: &Http, name: usize) {
        for n in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let uid = format!("user-{name}-{n}");
            let csr = load_csr(&uid, &load_key());
            let certificate = self.until_answered(agent, &uid, &csr);
            self.answered.lock().expect("no panic while held").insert(uid, certificate);
            self.changed.notify_all();
        }
    }

    fn until_answered(&self, agent: &Http, uid: &str, csr: &[u8]) -> Certificate {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_all();
            let seen = match agent.try_enrol_once(uid, csr, uid) {
                Ok(answer) if answer.status == 200 || answer.status == 201 => {
                    return answer.json(answer.status);
                }
                Ok(answer) => {
                    assert!([503, 504].contains(&answer.status), "{uid}: {}", answer.text());
                    assert!(!answer.header("retry-after").is_empty(), "503 says when");
                    answer.text()
                }
                Err(error) => error.to_string(),
            };
            assert!(Instant::now() < patience, "{uid}: no answer for two minutes: {seen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a number of requests has been sent, or of answers been given.
    fn wait(&self, enough: impl Fn(u64, usize) -> bool) {
        let mut answered = self.answered.lock().expect("no panic while held");
        let patience = Instant::now() + Duration::from_secs(150);
        while !enough(self.sent.load(Ordering::Relaxed), answered.len()) {
            assert!(Instant::now() < patience, "the service did not come back");
            let held = self.changed.wait_timeout(answered, Duration::from_millis(50));
            answered = held.expect("no panic while held").0;
        }
    }

    fn totals(&self) -> (u64, usize) {
        let answered = self.answered.lock().expect("no panic while held").len();
        (self.sent.load(Ordering::Relaxed), answered)
    }
}

/// Which moments: another for every round, the same in every run.
fn moments() -> impl Iterator<Item = u64> {
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
fn killed_processes_lose_nothing_and_double_nothing() {
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
        let _over = Over(&load.over);
        for (round, moment) in (0..rounds).zip(moments()) {
            let role = Role::ALL[round % Role::ALL.len()];
            let (sent, _) = load.totals();
            load.wait(|now, _| now > sent + moment % 40);
            (0..moment % 50_000).for_each(|n| {
                std::hint::black_box(n);
            });
            installation.kill(role);
            // The service goes on by itself, for every client.
            let (_, answered) = load.totals();
            load.wait(|_, now| now > answered + 12);
        }
    });
    let answered = load.answered.into_inner().expect("no panic while held");
    holds(&agent, &answered);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every answered certificate is there, once, and nothing else is.
fn holds(agent: &Http, answered: &BTreeMap<String, Certificate>) {
    let mut leaves = BTreeSet::new();
    for (uid, certificate) in answered {
        let path = format!("/api/v1/identities/{uid}/certificates");
        let page: Page<Certificate> = agent.get(&path).json(200);
        assert_eq!(
            page.items,
            std::slice::from_ref(certificate),
            "{uid}: the one that was answered"
        );
        assert_eq!(certificate.status, CertificateStatus::Good);
        let known: Certificate =
            agent.get(&format!("/api/v1/certificates/{}", certificate.serial)).json(200);
        assert_eq!(&known, certificate);
        let serial = SerialNumber::from_hex(&certificate.serial).expect("16 octets");
        assert_eq!(serial.leaf_index(), certificate.leaf_index);
        assert!(leaves.insert(certificate.leaf_index), "leaf {} twice", certificate.leaf_index);
    }
    assert!(!answered.is_empty());
    println!("{} certificates answered, each there once", answered.len());
}
