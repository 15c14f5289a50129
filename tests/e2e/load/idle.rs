//! Ten thousand connections that say nothing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use rustix::process::{Resource, getrlimit};

use super::{
    books::{Books, Rest},
    crowd::{Crowd, Seen},
    process::{self, MIB},
};
use crate::lusk::{Lusk, constant, skip, tell, until};

const CONNECTIONS: u64 = 10_000;

/// Open files that a node must be allowed for them: it leaves a quarter to other uses.
const FILES: u64 = 13_400;

/// What an idle connection may take of lusk's memory: half again as much as the 4.7 KB
/// that were measured. One that keeps its buffers takes 16 KiB.
const BYTES_EACH: u64 = 7 * 1024;

/// A process of its own, for its files count too. Each connection asks once, and again
/// for each line that comes in.
const HOLDER: &str = r#"
import resource, socket, sys

port, count, request = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

def ask(some):
    for one in some:
        one.sendall(request)
    for one in some:
        answer = b""
        while not answer.endswith(b"\r\n\r\n1"):
            more = one.recv(4096)
            assert more, answer
            answer += more
        assert answer.startswith(b"HTTP/1.1 200 "), answer

held = []
while len(held) < count:
    some = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    ask(some)
    held += some
print(len(held), flush=True)
for line in sys.stdin:
    for first in range(0, count, 100):
        ask(held[first : first + 100])
    print(len(held), flush=True)
"#;

struct Holder {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Holder {
    fn start(lusk: &Lusk, service: &str) -> Self {
        let request = lusk.score_request(service, "x").bytes();
        let mut process = Command::new("python3")
            .args(["-c", HOLDER, &lusk.scoring.port().to_string()])
            .arg(CONNECTIONS.to_string())
            .arg(String::from_utf8(request).expect("a request in words"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let said = BufReader::new(process.stdout.take().expect("stdout"));
        let mut holder = Self { process, said };
        holder.is_answered();
        holder
    }

    /// Waits until each of its connections has its answer.
    fn is_answered(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), CONNECTIONS.to_string());
    }

    fn ask_again(&mut self) {
        let mut stdin = self.process.stdin.as_ref().expect("stdin");
        stdin.write_all(b"again\n").expect("a line");
        self.is_answered();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ten_thousand_idle_connections_disturb_nobody() {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if files < FILES {
        let why = format!("{files} open files are allowed, {FILES} are needed");
        return skip("load::idle", &why);
    }
    let lusk = Lusk::start("idle");
    lusk.deploy("one")
        .wat(&constant("1"))
        .args(&["--mr", "60000"])
        .done();
    lusk.score("one", "x").expect(200);
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);

    let mut holder = Holder::start(&lusk, "one");
    until("all of them are idle", || {
        Books::read(&lusk).value("lusk_connections_idle") == CONNECTIONS
    });
    let taken = process::rss(&lusk).saturating_sub(rest.rss);
    tell(&format!(
        "idle: {} bytes of memory for each of {CONNECTIONS} connections",
        taken / CONNECTIONS
    ));
    assert!(taken <= CONNECTIONS * BYTES_EACH + 4 * MIB, "{taken} bytes");

    let normal = Crowd::of(&lusk, "one", 8).rounds(50);
    let mut seen: Seen = normal.ask(|number| number.to_string(), |_, _| {});
    seen.only(&[200]);
    holder.ask_again();
    drop(holder);
    rest.returns(&lusk, CONNECTIONS * BYTES_EACH + 16 * MIB);
    seen.merge(Seen::of(200, 2 * CONNECTIONS));
    Books::read(&lusk).add_up(&before, "one", &seen);
}
