//! An HTTP gate before an S3 server: it sees every request, and refuses what a test wants refused.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as far as a test may judge it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// `/bucket/key?query`.
    pub(crate) path: String,
    /// The access key that it is signed with.
    pub(crate) key: String,
    /// Whether it is a copy within the store.
    pub(crate) copies: bool,
}

/// Forwards to a port on the loopback what is not refused.
pub(crate) struct Gate {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Gate {
    /// Starts one; a request that `refuse` is true for is answered with 403.
    pub(crate) fn start(server: u16, refuse: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, refuse) = (seen.clone(), Arc::new(refuse));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, kept, refuse) = (client.unwrap(), kept.clone(), refuse.clone());
                thread::spawn(move || {
                    let _ = pass(client, server, &kept, refuse.as_ref());
                });
            }
        });
        Self { port, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request a connection: both sides are told to close it.
fn pass(
    mut client: TcpStream,
    server: u16,
    seen: &Mutex<Vec<Request>>,
    refuse: &dyn Fn(&Request) -> bool,
) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut words = text.split(' ');
    let request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        key: header("authorization")
            .and_then(|value| Some(value.split_once("Credential=")?.1.split('/').next()?.to_owned()))
            .unwrap_or_default(),
        copies: header("x-amz-copy-source").is_some(),
    };
    seen.lock().unwrap().push(request.clone());
    let length: u64 = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if refuse(&request) {
        std::io::copy(&mut client.try_clone()?.take(length), &mut std::io::sink())?;
        let body = "<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>";
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n",
            body.len()
        );
        client.write_all(answer.as_bytes())?;
        if request.method != "HEAD" {
            client.write_all(body.as_bytes())?;
        }
        return client.shutdown(Shutdown::Both);
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
    let closing = text.trim_end().to_owned() + "\r\nConnection: close\r\n\r\n";
    upstream.write_all(closing.as_bytes())?;
    std::io::copy(&mut client.try_clone()?.take(length), &mut upstream)?;
    std::io::copy(&mut upstream, &mut client)?;
    client.shutdown(Shutdown::Both)
}
