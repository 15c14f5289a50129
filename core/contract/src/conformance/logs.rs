//! Promises of [`ServiceLogs`](crate::ServiceLogs).

use lusk_domain::ServiceName;

use crate::{LogStream, ServiceLogs};

/// Runs every check against `logs`, which is empty.
pub fn suite(logs: &dyn ServiceLogs) {
    lines_come_back_in_order(logs);
    a_tail_is_the_end(logs);
    a_line_stays_one_line(logs);
    a_long_line_is_cut(logs);
    services_do_not_mix(logs);
    a_removed_log_is_empty(logs);
    many_writers_lose_nothing(logs);
}

fn service(name: &str) -> ServiceName {
    name.parse().expect("a good name")
}

/// What follows time, replica and stream.
fn texts(tail: &str) -> Vec<&str> {
    let text = |line| str::splitn(line, 4, ' ').nth(3).expect("four fields");
    tail.lines().map(text).collect()
}

fn lines_come_back_in_order(logs: &dyn ServiceLogs) {
    let log = logs.open(&service("order"));
    assert_eq!(log.tail(10), "");
    log.line(0, LogStream::Out, "hello from init");
    log.line(1, LogStream::Err, "a warning");
    log.line(0, LogStream::Host, "replica is ready");
    let tail = log.tail(10);
    let fields: Vec<Vec<&str>> = tail
        .lines()
        .map(|line| line.splitn(4, ' ').collect())
        .collect();
    assert_eq!(fields.len(), 3, "{tail}");
    assert_eq!(fields[0][1..], ["0", "out", "hello from init"]);
    assert_eq!(fields[1][1..], ["1", "err", "a warning"]);
    assert_eq!(fields[2][1..], ["0", "host", "replica is ready"]);
    for line in &fields {
        assert!(
            line[0].ends_with('Z') && line[0].len() == 24,
            "not RFC 3339 in ms: {}",
            line[0]
        );
        line[0].parse::<jiff::Timestamp>().expect("a time");
    }
}

fn a_tail_is_the_end(logs: &dyn ServiceLogs) {
    let log = logs.open(&service("tail"));
    for number in 0..500 {
        log.line(0, LogStream::Out, &format!("line {number}"));
    }
    assert_eq!(log.tail(0), "");
    assert_eq!(texts(&log.tail(2)), ["line 498", "line 499"]);
    assert_eq!(texts(&log.tail(100_000)).len(), 500);
}

fn a_line_stays_one_line(logs: &dyn ServiceLogs) {
    let log = logs.open(&service("one-line"));
    log.line(0, LogStream::Out, "first\nsecond\r\nthird");
    log.line(0, LogStream::Out, "");
    log.line(0, LogStream::Out, "größer ≥ 1");
    let tail = log.tail(10);
    assert_eq!(texts(&tail).len(), 3, "{tail}");
    assert_eq!(texts(&tail)[1..], ["", "größer ≥ 1"]);
}

fn a_long_line_is_cut(logs: &dyn ServiceLogs) {
    let log = logs.open(&service("long"));
    log.line(0, LogStream::Out, &"ä".repeat(100_000));
    let tail = log.tail(1);
    assert!(tail.len() <= 17 * 1024, "{} bytes", tail.len());
    assert!(texts(&tail)[0].starts_with("ääää"));
}

fn services_do_not_mix(logs: &dyn ServiceLogs) {
    logs.open(&service("mine")).line(0, LogStream::Out, "mine");
    logs.open(&service("yours"))
        .line(0, LogStream::Out, "yours");
    assert_eq!(texts(&logs.open(&service("mine")).tail(10)), ["mine"]);
}

fn a_removed_log_is_empty(logs: &dyn ServiceLogs) {
    let name = service("removed");
    let late = logs.open(&name);
    late.line(0, LogStream::Out, "old");
    logs.remove(&name);
    late.line(0, LogStream::Out, "late");
    assert_eq!(logs.open(&name).tail(10), "");
    logs.remove(&service("never-there"));
}

fn many_writers_lose_nothing(logs: &dyn ServiceLogs) {
    let log = logs.open(&service("many"));
    std::thread::scope(|scope| {
        for replica in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..250 {
                    log.line(replica, LogStream::Out, &format!("{replica}-{number}"));
                }
            });
        }
    });
    let tail = log.tail(2_000);
    let mut seen = texts(&tail);
    assert_eq!(seen.len(), 1_000);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 1_000, "a line was torn");
}
