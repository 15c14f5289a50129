//! Many callers at a time.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use crate::{
    http::{Connection, Reply, Request},
    lusk::Lusk,
};

/// Most threads of a crowd; with more connections each has several, whose requests
/// are all sent before the first answer is read.
const MAX_THREADS: usize = 64;

/// What callers saw.
#[derive(Debug, Default)]
pub struct Seen {
    by_status: BTreeMap<u16, u64>,
}

impl Seen {
    /// As many answers with this status.
    pub fn of(status: u16, count: u64) -> Self {
        Self {
            by_status: BTreeMap::from([(status, count)]),
        }
    }

    /// Notes an answer, after a look at what every failure must say.
    pub fn note(&mut self, reply: &Reply) {
        check(reply);
        *self.by_status.entry(reply.status).or_default() += 1;
    }

    pub fn merge(&mut self, other: Self) {
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
    }

    pub fn all(&self) -> u64 {
        self.by_status.values().sum()
    }

    pub fn count(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Answers with a status of this class, e.g. `5`.
    pub fn class(&self, class: u16) -> u64 {
        let of_class = self
            .by_status
            .iter()
            .filter(|(status, _)| *status / 100 == class);
        of_class.map(|(_, count)| count).sum()
    }

    /// Checks that there was no other status.
    pub fn only(&self, statuses: &[u16]) {
        assert!(
            self.by_status
                .keys()
                .all(|status| statuses.contains(status)),
            "{self:?}"
        );
    }
}

/// Each failure has a sentence in JSON; who shall come again is told when.
fn check(reply: &Reply) {
    if reply.status >= 400 {
        assert!(!reply.message().is_empty(), "{reply:?}");
    }
    if reply.status == 503 {
        let after = reply.header("retry-after").map(str::parse::<u32>);
        assert!(matches!(after, Some(Ok(_))), "{reply:?}");
    }
}

/// Callers that ask one service again and again.
pub struct Crowd {
    to: SocketAddr,
    head: Request,
    connections: usize,
    rounds: usize,
    close_each: usize,
}

impl Crowd {
    /// As many callers of a service, each with a connection of its own.
    pub fn of(lusk: &Lusk, service: &str, connections: usize) -> Self {
        Self {
            to: lusk.scoring,
            head: lusk.score_request(service, ""),
            connections,
            rounds: 1,
            close_each: usize::MAX,
        }
    }

    /// How often each asks.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Every so many requests one closes its connection.
    pub fn closing_each(mut self, requests: usize) -> Self {
        self.close_each = requests;
        self
    }

    /// Asks with the bodies that `body` gives for the numbers of the requests, which
    /// begin with 0; `judge` sees every answer. A request without an answer ends the test.
    pub fn ask(
        &self,
        body: impl Fn(usize) -> String + Sync,
        judge: impl Fn(usize, &Reply) + Sync,
    ) -> Seen {
        let threads = self.connections.min(MAX_THREADS);
        let mut seen = Seen::default();
        thread::scope(|scope| {
            let callers: Vec<_> = (0..threads)
                .map(|first| {
                    let (body, judge) = (&body, &judge);
                    scope.spawn(move || self.caller(first, threads, body, judge))
                })
                .collect();
            for caller in callers {
                seen.merge(caller.join().expect("a caller"));
            }
        });
        assert_eq!(seen.all(), (self.connections * self.rounds) as u64);
        seen
    }

    fn caller(
        &self,
        first: usize,
        threads: usize,
        body: &(impl Fn(usize) -> String + Sync),
        judge: &(impl Fn(usize, &Reply) + Sync),
    ) -> Seen {
        let mut lines: Vec<_> = (first..self.connections)
            .step_by(threads)
            .map(|number| (number, Line::new(self.to)))
            .collect();
        let mut seen = Seen::default();
        for round in 0..self.rounds {
            let number = |lane: usize| round * self.connections + lane;
            for (lane, line) in &mut lines {
                let number = number(*lane);
                let mut request = self.head.clone().body(body(number));
                if number % self.close_each == self.close_each - 1 {
                    request = request.header("Connection", "close");
                }
                let sent = line.send(&request);
                sent.unwrap_or_else(|error| panic!("request {number} was not taken: {error}"));
            }
            for (lane, line) in &mut lines {
                let number = number(*lane);
                let reply = line.reply();
                let reply =
                    reply.unwrap_or_else(|error| panic!("request {number} got no answer: {error}"));
                seen.note(&reply);
                judge(number, &reply);
            }
        }
        seen
    }
}

/// A connection that is kept as long as both sides want it.
pub struct Line {
    to: SocketAddr,
    open: Option<Connection>,
}

impl Line {
    pub fn new(to: SocketAddr) -> Self {
        Self { to, open: None }
    }

    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let connection = match &mut self.open {
            Some(connection) => connection,
            closed => closed.insert(Connection::open(self.to)?),
        };
        connection.write(&request.bytes())
    }

    pub fn reply(&mut self) -> io::Result<Reply> {
        let connection = self.open.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let reply = connection.reply("POST")?;
        if reply.header("connection") == Some("close") {
            self.open = None;
        }
        Ok(reply)
    }
}

/// Callers that ask until they are told to stop.
pub fn ask_until_told(
    lusk: &Lusk,
    service: &str,
    callers: usize,
    answered: &AtomicU64,
    meanwhile: impl FnOnce(),
) -> Seen {
    let request = lusk.score_request(service, "1");
    let stop = AtomicU64::new(0);
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let caller = || {
            let mut line = Line::new(lusk.scoring);
            let mut seen = Seen::default();
            while stop.load(Relaxed) == 0 {
                line.send(&request).expect("a request");
                seen.note(&line.reply().expect("an answer"));
                answered.fetch_add(1, Relaxed);
            }
            seen
        };
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        stop.store(1, Relaxed);
        for caller in callers {
            seen.merge(caller.join().expect("a caller"));
        }
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
    seen
}
