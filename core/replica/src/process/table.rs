//! The machine's processes, as `/proc` shows them.
//!
//! What cannot be read, or vanishes meanwhile, is left out.

use std::{collections::HashSet, fs};

use rustix::process::{Pid, Signal, kill_process};

use super::environment::MARK;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// When it was started; with the pid, its identity.
    pub(super) started: u64,
}

/// All processes.
pub(super) fn processes() -> Vec<Process> {
    pids().filter_map(process).collect()
}

/// One process, by its number.
pub(super) fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The one that runs this code.
pub(super) fn own() -> Option<Process> {
    process(i32::try_from(std::process::id()).ok()?)
}

/// A leader, its group and session, `others` that came of it (pid and start),
/// and the descendants of all of these.
pub(super) fn family<'a>(
    all: &'a [Process],
    leader: i32,
    others: &[(i32, u64)],
) -> Vec<&'a Process> {
    let others: HashSet<_> = others.iter().copied().collect();
    let still = |each: &&Process| others.contains(&(each.pid, each.started));
    let mut known: HashSet<i32> = all.iter().filter(still).map(|each| each.pid).collect();
    known.insert(leader);
    loop {
        let before = known.len();
        for each in all {
            if known.contains(&each.parent) || each.group == leader || each.session == leader {
                known.insert(each.pid);
            }
        }
        if known.len() == before {
            return all
                .iter()
                .filter(|each| known.contains(&each.pid))
                .collect();
        }
    }
}

/// Bytes of memory that only these processes hold: their own and what they
/// share with each other, not what files could give back.
pub(super) fn memory(family: &[&Process]) -> u64 {
    family.iter().map(|each| resident(each.pid)).sum()
}

/// As [`memory`], but what several of them share counts once. Slower.
pub(super) fn shared_memory_once(family: &[&Process]) -> u64 {
    let proportional = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        Some(kilobytes(&text, "Pss:"))
    };
    let one = |pid| proportional(pid).map_or_else(|| resident(pid), |pss| pss.min(resident(pid)));
    family.iter().map(|each| one(each.pid)).sum()
}

fn resident(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kilobytes(&text, "RssAnon:") + kilobytes(&text, "RssShmem:")
}

fn kilobytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let figure = line.and_then(|line| line.split_whitespace().next());
    figure.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Ends a process if it is still the one that was started then.
pub(super) fn kill_if_same(pid: i32, started: u64) {
    if process(pid).is_some_and(|now| now.started == started) {
        kill(pid);
    }
}

/// Passes over all processes after which those that are left are given up:
/// the system does not let them go.
const MAX_PASSES: u32 = 200;

/// Ends every process whose mark is chosen, until there is none.
pub(super) fn sweep(chosen: impl Fn(&str) -> bool) {
    let own = std::process::id();
    for _ in 0..MAX_PASSES {
        let found = pids()
            .filter(|pid| pid.unsigned_abs() != own && mark(*pid).is_some_and(|it| chosen(&it)))
            .map(kill)
            .count();
        if found == 0 {
            return;
        }
        std::thread::yield_now();
    }
    tracing::warn!("processes of a replica could not be ended");
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The mark in a process's environment.
fn mark(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entries = environment.split(|byte| *byte == 0);
    let value = entries
        .filter_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))
        .next()?;
    String::from_utf8(value.to_vec()).ok()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The name in the second field may hold anything, parentheses and blanks too.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process {
            pid,
            parent,
            group,
            session,
            started: 0,
        }
    }

    #[test]
    fn names_do_not_confuse_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 25 5 1 0 99 1000 10";
        let expected = Process {
            started: 99,
            ..one(7, 1, 7, 7)
        };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (a S 1"), None);
    }

    #[test]
    fn a_family_is_all_that_came_of_its_leader() {
        let all = [
            one(9, 8, 9, 9), // grandchild in a session of its own
            one(8, 7, 7, 7), // child
            one(7, 1, 7, 1), // leader
            one(6, 1, 7, 1), // orphan, still in the group
            one(5, 1, 5, 5), // a stranger
        ];
        let of = |others: &[(i32, u64)]| -> Vec<i32> {
            let family = family(&all, 7, others);
            family.iter().map(|each| each.pid).collect()
        };
        assert_eq!(of(&[]), [9, 8, 7, 6]);
        // One that was seen before stays in it, unless its number is another's now.
        assert_eq!(of(&[(5, 0)]), [9, 8, 7, 6, 5]);
        assert_eq!(of(&[(5, 1)]), [9, 8, 7, 6]);
    }

    #[test]
    fn this_process_is_there_and_holds_memory() {
        let own = own().unwrap();
        assert!(processes().contains(&own));
        assert!(memory(&[&own]) > 1 << 16);
    }
}
