//! A SoftHSM behind the fault shim, in use.
#![allow(dead_code, reason = "each test program uses a part of this")]

use crate::common::{LABEL, MODULE, SoftHsm, pin, spec};
use avouch_pkcs11::{
    Algorithm, Hsm, HsmError, HsmState, KeyInfo, TokenConfig, TokenSelector, WorkerCommand,
};
use pkcs11_shim::{Call, Shim};
use std::path::Path;
use std::time::Duration;

/// Longest wait for something that has to happen. Nothing is asserted about how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Shimmed {
    pub(crate) soft: SoftHsm,
    pub(crate) shim: Shim,
    pub(crate) hsm: Hsm,
    pub(crate) key: KeyInfo,
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) processes: u64,
    pub(crate) sessions: u64,
    pub(crate) logins: u64,
}

impl Counts {
    /// What has been done since.
    pub(crate) fn since(self, before: Counts) -> Counts {
        Counts {
            processes: self.processes - before.processes,
            sessions: self.sessions - before.sessions,
            logins: self.logins - before.logins,
        }
    }
}

pub(crate) fn command(soft: &SoftHsm, shim: &Shim) -> WorkerCommand {
    shim.env().into_iter().fold(soft.command(), |command, (name, value)| command.env(name, value))
}

pub(crate) fn config() -> TokenConfig {
    TokenConfig::token(Shim::module().unwrap(), TokenSelector::Label(LABEL.to_owned()))
}

impl Shimmed {
    /// With one worker of two sessions.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut TokenConfig)) -> Self {
        let soft = SoftHsm::new().await;
        let shim = Shim::new(soft.dir.path(), Path::new(MODULE)).unwrap();
        let mut config = config();
        change(&mut config);
        let hsm = Hsm::start(command(&soft, &shim), config, pin()).await.unwrap();
        let key = hsm.generate(spec(Algorithm::P256, 1)).await.unwrap();
        Shimmed { soft, shim, hsm, key }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            processes: self.hsm.status().workers.iter().map(|worker| worker.started).sum(),
            sessions: self.shim.calls(Call::OpenSession).unwrap(),
            logins: self.shim.calls(Call::Login).unwrap(),
        }
    }

    /// Signs, and checks what comes out: no answer is wrong, whatever happens.
    pub(crate) async fn sign(&self, message: Vec<u8>) -> Result<(), HsmError> {
        let key = self.key.clone();
        let check = |signature: &[u8]| key.verify(&message, signature);
        self.hsm.sign_with(&key.id, message.clone(), check).await
    }

    /// Several requests at once: `find` looks the key up, else it signs.
    pub(crate) async fn load(&self, find: bool, requests: u8) -> Vec<HsmError> {
        let all = (0..requests).map(|number| async move {
            if find {
                self.hsm.find(&self.key.id).await.map(|found| {
                    let found = found.expect("the key is there");
                    assert_eq!(
                        (found.id, found.spki_der),
                        (self.key.id.clone(), self.key.spki_der.clone())
                    );
                })
            } else {
                self.sign(vec![number; 40]).await
            }
        });
        let ended = futures_join(all).await;
        ended.into_iter().filter_map(Result::err).collect()
    }

    /// Waits until it signs again, whatever refusals come meanwhile: they must be transient.
    pub(crate) async fn recovered(&self) {
        let again = async {
            self.hsm.wait_ready().await.unwrap();
            while let Err(error) = self.sign(b"recovered".to_vec()).await {
                assert!(error.is_transient(), "{error}");
                self.hsm.wait_ready().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("it signs again");
    }

    /// Waits for a state.
    pub(crate) async fn until(&self, wanted: impl Fn(&HsmState) -> bool) -> HsmState {
        let reached = async {
            loop {
                let state = self.hsm.status().state;
                if wanted(&state) {
                    return state;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the state is reached")
    }

    /// Ends the worker as the system might, and so has another one opened.
    pub(crate) fn kill_worker(&self) {
        let pid = self.hsm.status().workers[0].pid.expect("a worker is running");
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Runs all of them at once, on this task.
async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        let mut open = false;
        for (future, value) in &mut waiting {
            if value.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *value = Some(ready),
                    std::task::Poll::Pending => open = true,
                }
            }
        }
        if open {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(waiting.iter_mut().filter_map(|(_, value)| value.take()).collect())
    })
    .await
}
