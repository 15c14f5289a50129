//! What the node counts, compared with what the callers saw.

use std::collections::BTreeMap;

use super::{crowd::Seen, process};
use crate::{
    http::Request,
    lusk::{Lusk, until},
};

/// The page of metrics at one moment.
pub struct Books(BTreeMap<String, f64>);

impl Books {
    pub fn read(lusk: &Lusk) -> Self {
        let request = Request::new("GET", "/metrics").bearer(&lusk.token());
        let page = request.send(lusk.admin).expect(200).text();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let value = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(lines.filter_map(value).collect())
    }

    /// The value of a line with this name and these labels.
    pub fn value(&self, name: &str) -> u64 {
        let value = self.0.get(name);
        *value.unwrap_or_else(|| panic!("no {name} in {:#?}", self.0)) as u64
    }

    /// The sum of a family, whatever its labels.
    pub fn sum(&self, family: &str) -> u64 {
        let mut lines = self.0.iter();
        let is_of = |name: &str| name.split('{').next() == Some(family);
        lines
            .by_ref()
            .filter(|(name, _)| is_of(name))
            .map(|(_, value)| *value as u64)
            .sum()
    }

    /// Requests of a service that ended with a status of this class, e.g. `5`.
    fn class(&self, service: &str, class: u16) -> u64 {
        self.value(&format!(
            "lusk_requests_total{{service=\"{service}\",class=\"{class}xx\"}}"
        ))
    }

    /// A counter of a service, e.g. `lusk_requests_abandoned_total`.
    pub fn of(&self, service: &str, family: &str) -> u64 {
        self.value(&format!("{family}{{service=\"{service}\"}}"))
    }

    /// Checks that since `before` the service has counted what its callers saw: each
    /// request once, and nobody who went away.
    pub fn add_up(&self, before: &Self, service: &str, seen: &Seen) {
        let abandoned = "lusk_requests_abandoned_total";
        self.add_up_but(before, service, seen, 0);
        assert_eq!(self.of(service, abandoned), before.of(service, abandoned));
    }

    /// The same where so many more were asked for and not waited for: each of them may
    /// count as answered or as abandoned, but once.
    pub fn add_up_but(&self, before: &Self, service: &str, seen: &Seen, left: u64) {
        let grown = |class| self.class(service, class) - before.class(service, class);
        let abandoned = self.of(service, "lusk_requests_abandoned_total")
            - before.of(service, "lusk_requests_abandoned_total");
        let counted: u64 = (1..=5).map(grown).sum();
        let text = format!("{service}: {seen:?}, abandoned {abandoned}, of {left} who left");
        assert_eq!(counted + abandoned, seen.all() + left, "{text}");
        for class in 1..=5 {
            let (counted, told) = (grown(class), seen.class(class));
            assert!(
                (told..=told + left).contains(&counted),
                "{class}xx: {counted}; {text}"
            );
        }
    }
}

/// What a node at rest has open. Taken after a first request, for some things are
/// opened with it and stay.
pub struct Rest {
    files: usize,
    pub rss: u64,
}

impl Rest {
    pub fn of(lusk: &Lusk) -> Self {
        wait_until_idle(lusk);
        Self {
            files: process::files(lusk),
            rss: process::rss(lusk),
        }
    }

    /// Waits until the node has given back all that requests and connections take;
    /// its memory may have grown by `more` bytes.
    pub fn returns(&self, lusk: &Lusk, more: u64) {
        wait_until_idle(lusk);
        until("the node's files are what they were", || {
            process::files(lusk) <= self.files
        });
        let rss = process::rss(lusk);
        assert!(
            rss <= self.rss + more,
            "memory grew from {} to {rss} bytes, at most {more} more are expected",
            self.rss
        );
    }
}

/// Waits until no slot is busy, nobody waits, no connection is open and no body held.
pub fn wait_until_idle(lusk: &Lusk) {
    until("slots, queues, connections and buffers are empty", || {
        let books = Books::read(lusk);
        let families = [
            "lusk_slots_busy",
            "lusk_queue_depth",
            "lusk_connections_open",
            "lusk_request_bytes_buffered",
        ];
        families.iter().all(|family| books.sum(family) == 0)
    });
}
