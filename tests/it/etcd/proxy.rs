//! What is between a node and etcd, and may be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes everything on, holds everything back, or ends all connections.
pub struct Proxy {
    pub address: SocketAddr,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Whole,
    /// Nothing passes, and nobody is told.
    Silent,
    /// No connection stays.
    Refused,
}

impl Way {
    fn set(&self, state: State) {
        *self.state.lock().expect("nobody panics") = state;
        self.changed.notify_all();
    }

    fn is_refused(&self) -> bool {
        *self.state.lock().expect("nobody panics") == State::Refused
    }

    /// Waits while nothing passes; returns whether anything passes then.
    fn wait(&self) -> bool {
        let state = self.state.lock().expect("nobody panics");
        let state = self
            .changed
            .wait_while(state, |state| *state == State::Silent);
        *state.expect("nobody panics") == State::Whole
    }
}

impl Proxy {
    /// A way to this address.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(Way::default());
        let of_connections = Arc::clone(&way);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if of_connections.is_refused() {
                    continue;
                }
                let Ok(far) = TcpStream::connect(to) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let way = Arc::clone(&of_connections);
                    if let (Ok(from), Ok(to)) = (from, to) {
                        thread::spawn(move || pass(from, to, &way));
                    }
                }
            }
        });
        Proxy { address, way }
    }

    /// Nothing passes from now on, and who is cut sees no connection end.
    pub fn cut(&self) {
        self.way.set(State::Silent);
    }

    /// From now on connections end as soon as anything is to pass, and new ones at once.
    pub fn refuse(&self) {
        self.way.set(State::Refused);
    }

    /// What was held back passes, and everything else.
    pub fn heal(&self) {
        self.way.set(State::Whole);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.heal();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if !way.wait() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    way.wait();
    let _ = to.shutdown(Shutdown::Write);
}
