//! Clients that never stop asking, for what is to happen under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use wire::SerialNumber;
use wire::rest::{Certificate, CertificateStatus, Page};

use crate::{Http, load_csr, load_key};

/// What the clients of a load see.
#[derive(Default)]
pub struct Load {
    /// Answered certificates by user.
    answered: Mutex<BTreeMap<String, Certificate>>,
    changed: Condvar,
    sent: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
    over: AtomicBool,
}

/// Totals of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Requests sent.
    pub sent: u64,
    /// Users who have their certificate.
    pub answered: usize,
    /// Answers by which a client was told to ask again, by problem code.
    pub refused: BTreeMap<String, u64>,
}

/// Ends a load when it is dropped.
pub struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// One client: enrols one new user after the other, and asks again with the same
    /// `Idempotency-Key` until it has an answer, as the documentation tells clients to.
    ///
    /// # Panics
    /// When an answer is neither a certificate nor a 503 or 504 that says when to ask again.
    pub fn client(&self, agent: &Http, name: usize) {
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

    /// Has all clients end with the request they are at, once this is dropped.
    #[must_use]
    pub fn ends(&self) -> Ends<'_> {
        Ends(&self.over)
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
                    let code = answer.problem().code;
                    *self.refused.lock().expect("no panic while held").entry(code).or_default() +=
                        1;
                    self.changed.notify_all();
                    answer.text()
                }
                Err(error) => error.to_string(),
            };
            assert!(Instant::now() < patience, "{uid}: no answer for two minutes: {seen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until enough was seen.
    ///
    /// # Panics
    /// When that does not happen for very long.
    pub fn wait(&self, enough: impl Fn(&Seen) -> bool) {
        let patience = Instant::now() + Duration::from_secs(150);
        loop {
            let seen = self.seen();
            if enough(&seen) {
                return;
            }
            assert!(Instant::now() < patience, "the service did not come back: {seen:?}");
            let held = self.answered.lock().expect("no panic while held");
            drop(self.changed.wait_timeout(held, Duration::from_millis(50)));
        }
    }

    /// Totals so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let answered = self.answered.lock().expect("no panic while held").len();
        let refused = self.refused.lock().expect("no panic while held").clone();
        Seen { sent: self.sent.load(Ordering::Relaxed), answered, refused }
    }

    /// The certificates that were answered.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        self.answered.lock().expect("no panic while held").values().cloned().collect()
    }

    /// Every answered certificate is there, once, and nothing else is.
    ///
    /// # Panics
    /// When that is not so, or nobody was answered.
    pub fn holds(&self, agent: &Http) {
        let answered = self.answered.lock().expect("no panic while held");
        let mut leaves = BTreeSet::new();
        for (uid, certificate) in &*answered {
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
}
