//! Real servers on the loopback, started and stopped by the tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{available, cache};

/// A server process; it ends with its owner.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // PostgreSQL's fast shutdown is SIGINT, the others take it too; SIGKILL follows where that is not enough.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Owns a process and waits until it listens; one that never does is ended with the failing test.
    fn start(child: Child, port: u16, dir: tempfile::TempDir, what: &str) -> Self {
        let mut server = Self { child, port, _dir: dir };
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            assert!(server.child.try_wait().unwrap().is_none(), "{what} ended at once");
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what} does not listen on port {port}");
    }
}

fn postgres_bin() -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql");
    std::fs::read_dir(versions)
        .ok()
        .and_then(|entries| entries.flatten().map(|e| e.path().join("bin")).max())
        .unwrap_or_else(|| versions.join("15/bin"))
}

/// A program of PostgreSQL, as user `postgres` when we are root (it refuses to run as root).
fn as_postgres(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let mut command = if root { Command::new("runuser") } else { Command::new(program) };
    if root {
        command.args(["-u", "postgres", "--"]).arg(program);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A folder that any user may write to.
fn open_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

fn start_postgres(bin: &Path, data: &Path, dir: tempfile::TempDir) -> Server {
    let port = free_port();
    let child = as_postgres(&bin.join("postgres"))
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c"])
        .arg(format!("unix_socket_directories={}", dir.path().display()))
        .spawn()
        .unwrap();
    let server = Server::start(child, port, dir, "PostgreSQL");
    // It listens a moment before it lets anybody in.
    std::thread::sleep(Duration::from_millis(500));
    server
}

/// PostgreSQL from Debian's package.
pub(crate) fn postgres() -> Option<Server> {
    let bin = postgres_bin();
    if !available("PostgreSQL", &bin.join("initdb")) {
        return None;
    }
    let dir = open_folder();
    let data = dir.path().join("data");
    let made = as_postgres(&bin.join("initdb"))
        .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(made.success(), "initdb failed");
    Some(start_postgres(&bin, &data, dir))
}

/// A hot standby of a primary, following it from now on.
pub(crate) fn standby(primary: &Server) -> Server {
    let bin = postgres_bin();
    let dir = open_folder();
    let data = dir.path().join("data");
    let copied = as_postgres(&bin.join("pg_basebackup"))
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &primary.port.to_string(),
            "-U",
            "postgres",
            "-X",
            "stream",
            "-c",
            "fast",
            "-R",
            "-D",
        ])
        .arg(&data)
        .status()
        .unwrap();
    assert!(copied.success(), "pg_basebackup failed");
    start_postgres(&bin, &data, dir)
}

/// What one statement answers.
pub(crate) fn sql(port: u16, statement: &str) -> String {
    let out = Command::new(postgres_bin().join("psql"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-At", "-c", statement])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// moto's S3 server, with a bucket called `lake`.
pub(crate) fn s3() -> Option<Server> {
    let program = cache().join("venv/bin/moto_server");
    if !available("moto's S3 server", &program) {
        return None;
    }
    let port = free_port();
    let child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server::start(child, port, tempfile::tempdir().unwrap(), "moto");
    let answer = http(port, "PUT /lake HTTP/1.1");
    assert!(answer.contains(" 200 "), "{answer}");
    Some(server)
}

/// Iceberg's reference REST catalog, with its warehouse in `folder`.
pub(crate) fn rest(folder: &Path) -> Option<Server> {
    if !available("the reference REST catalog", &cache().join("rest-fixture-1.10.0/complete")) {
        return None;
    }
    let port = free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/rest-fixture.sh");
    let child = Command::new(script)
        .args(["serve", &port.to_string()])
        .arg(folder)
        .env("ICEWRIGHT_CACHE", cache())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Server::start(child, port, tempfile::tempdir().unwrap(), "the REST catalog"))
}

/// VictoriaMetrics from Debian's package; what is pushed can be queried at once.
pub(crate) fn victoria_metrics() -> Option<Server> {
    let program = Path::new("/usr/bin/victoria-metrics");
    if !available("VictoriaMetrics", program) {
        return None;
    }
    let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
    let child = Command::new(program)
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .arg(format!("-storageDataPath={}", dir.path().display()))
        .args(["-search.latencyOffset=0s", "-loggerLevel=ERROR"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Server::start(child, port, dir, "VictoriaMetrics"))
}

/// The body (and head) of a GET on the loopback.
pub(crate) fn get(port: u16, path: &str) -> String {
    http(port, &format!("GET {path} HTTP/1.1"))
}

/// One bare HTTP request.
pub(crate) fn http(port: u16, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("{request}\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    answer
}
