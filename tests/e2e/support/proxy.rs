//! A TCP proxy that loses the answer to one request.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Forwards to a port on the loopback. The first request that contains `trigger` reaches the server, `later` packets after
/// it as well, and then the connection is cut without an answer to the last of them.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(server: u16, trigger: &'static str, later: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = lost.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, lost) = (client.unwrap(), counted.clone());
                thread::spawn(move || pass(&client, server, trigger, later, &lost));
            }
        });
        Self { port, lost }
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

fn pass(client: &TcpStream, server: u16, trigger: &str, later: usize, lost: &AtomicUsize) {
    let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { return };
    let silent = Arc::new(AtomicBool::new(false));
    let (mut from, mut to, mute) = (upstream.try_clone().unwrap(), client.try_clone().unwrap(), silent.clone());
    let answers = thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read) = from.read(&mut buffer) {
            if read == 0 || (!mute.load(Ordering::SeqCst) && to.write_all(&buffer[..read]).is_err()) {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    let mut buffer = [0; 65536];
    let mut armed: Option<usize> = None;
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&buffer[..read]);
        if armed.is_none() && lost.load(Ordering::SeqCst) == 0 && text.contains(trigger) {
            armed = Some(later);
        }
        let last = armed == Some(0);
        if last {
            silent.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if last {
            lost.fetch_add(1, Ordering::SeqCst);
            // The server gets the time to carry the request out; nobody hears of it.
            thread::sleep(Duration::from_millis(700));
            break;
        }
        armed = armed.map(|left| left - 1);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = answers.join();
}
