//! What is between a node and etcd, and may be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes everything on, or holds everything back: who is cut sees no connection end.
pub struct Proxy {
    pub address: SocketAddr,
    cut: Arc<Cut>,
}

#[derive(Default)]
struct Cut {
    is_cut: Mutex<bool>,
    healed: Condvar,
}

impl Cut {
    fn set(&self, is_cut: bool) {
        *self.is_cut.lock().expect("nobody panics") = is_cut;
        self.healed.notify_all();
    }

    /// Waits until nothing is cut.
    fn wait(&self) {
        let is_cut = self.is_cut.lock().expect("nobody panics");
        let _whole = self
            .healed
            .wait_while(is_cut, |is_cut| *is_cut)
            .expect("nobody panics");
    }
}

impl Proxy {
    /// A way to this address.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let cut = Arc::new(Cut::default());
        let of_connections = Arc::clone(&cut);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(to) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let cut = Arc::clone(&of_connections);
                    if let (Ok(from), Ok(to)) = (from, to) {
                        thread::spawn(move || pass(from, to, &cut));
                    }
                }
            }
        });
        Proxy { address, cut }
    }

    /// Nothing passes from now on.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// What was held back passes, and everything else.
    pub fn heal(&self) {
        self.cut.set(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.heal();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: &Cut) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        cut.wait();
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    cut.wait();
    let _ = to.shutdown(Shutdown::Write);
}
