//! A way to a server that can be held up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Passes on what it is sent, byte for byte, unless it is held up.
pub struct Proxy {
    address: SocketAddr,
    held: Arc<Gate>,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Held,
    Ended,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    /// Waits until something may pass; whether anything may.
    fn passes(&self) -> bool {
        let mut state = self.lock();
        while *state == State::Held {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state == State::Open
    }
}

impl Proxy {
    /// A way to `http://HOST:PORT`, whoever is there at the time.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let there = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let held = Arc::new(Gate { state: Mutex::new(State::Open), changed: Condvar::new() });
        let gate = Arc::clone(&held);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                if *gate.lock() == State::Ended {
                    return;
                }
                let Ok(there) = TcpStream::connect(&there) else { continue };
                let ways = here.try_clone().and_then(|h| Ok((h, there.try_clone()?)));
                let Ok((here_again, there_again)) = ways else { continue };
                for (from, to) in [(here, there), (there_again, here_again)] {
                    let gate = Arc::clone(&gate);
                    std::thread::spawn(move || pass(from, to, &gate));
                }
            }
        });
        Self { address, held }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Keeps everything back that comes from now on, in both directions.
    pub fn hold(&self) {
        self.held.set(State::Held);
    }

    /// Lets everything pass, what was kept back first.
    pub fn release(&self) {
        self.held.set(State::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.held.set(State::Ended);
        // The listener waits for one more.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if !gate.passes() || to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
