//! What a node takes of the machine.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::lusk::Lusk;

pub const MIB: u64 = 1 << 20;

/// Bytes in memory.
pub fn rss(lusk: &Lusk) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", lusk.pid())).expect("a process");
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .expect("VmRSS");
    kilobytes * 1024
}

/// Open files.
pub fn files(lusk: &Lusk) -> usize {
    let folder = format!("/proc/{}/fd", lusk.pid());
    fs::read_dir(folder).expect("a process").count()
}

/// Processes that the node has started and that have not ended.
pub fn children(lusk: &Lusk) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("processes");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(lusk.pid()))
        .collect()
}

/// None of a process that has ended, be it that nobody has asked for its end yet.
fn parent(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// `kill -9`; false when there was nobody.
pub fn kill(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}
