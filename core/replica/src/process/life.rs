//! The life of one worker's process, from its start to the last thing it left
//! behind.
//!
//! A thread waits for its end. The process is not reaped before its group was
//! killed, so neither the pid nor the group can be somebody else's by then.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::watch;

use super::table;
use crate::folder::InstanceFolder;

/// Why lusk ended a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nobody waits for its answer, or the replica ends.
    Abandoned,
    /// It was over its memory limit.
    Memory(String),
    /// It was over another limit, or broke the channel's rules.
    Limit(String),
}

/// How a worker's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// In one sentence.
    pub(super) cause: String,
    /// What lusk had against it.
    pub(super) blame: Option<Blame>,
}

/// A worker's process as all see it who do not own it.
#[derive(Debug)]
pub(super) struct Life {
    /// None when the process was reaped.
    pid: Mutex<Option<Pid>>,
    blame: Mutex<Option<Blame>>,
    death: watch::Sender<Option<Death>>,
    folder: Weak<InstanceFolder>,
    /// Processes that came of it, pid and start, as far as they were seen.
    relatives: Mutex<Vec<(i32, u64)>>,
}

impl Life {
    /// Follows a process, the leader of its group, in a thread. `mark` is in
    /// the environment of all that it starts. The folder goes after the last
    /// of them.
    pub(super) fn follow(
        child: Child,
        mark: String,
        folder: Arc<InstanceFolder>,
    ) -> io::Result<Arc<Self>> {
        let life = Arc::new(Self {
            pid: Mutex::new(Some(Pid::from_child(&child))),
            blame: Mutex::default(),
            death: watch::Sender::new(None),
            folder: Arc::downgrade(&folder),
            relatives: Mutex::default(),
        });
        let followed = Arc::clone(&life);
        let started = thread::Builder::new()
            .name("lusk-worker".to_owned())
            .spawn(move || {
                followed.see_out(child);
                for (pid, started) in followed.relatives().drain(..) {
                    table::kill_if_same(pid, started);
                }
                table::sweep(|found| found == mark);
                drop(folder);
            });
        if let Err(error) = started {
            life.kill(Blame::Abandoned);
            return Err(error);
        }
        Ok(life)
    }

    /// Its pid, while it lives.
    pub(super) fn pid(&self) -> Option<i32> {
        self.held_pid().map(Pid::as_raw_pid)
    }

    /// Ends the process and its group now. The first blame stays.
    pub(super) fn kill(&self, blame: Blame) {
        let pid = self.held_pid();
        if let Some(pid) = *pid {
            let mut first = self.blame.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(blame);
            // Only a group without members is refused.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.death.borrow().is_some()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Death {
        let mut death = self.death.subscribe();
        let ended = death.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|it| it.clone());
        // The sender lives as long as `self`.
        ended.unwrap_or_else(|| Death {
            cause: "it vanished".to_owned(),
            blame: None,
        })
    }

    pub(super) fn is_over_its_folder(&self) -> bool {
        self.folder.upgrade().is_some_and(|folder| folder.is_over())
    }

    /// Remembers processes that came of it, for those that hide their mark.
    pub(super) fn note_relatives(&self, family: &[&table::Process]) {
        let mut relatives = self.relatives();
        let own = self.pid();
        let others = family.iter().filter(|each| Some(each.pid) != own);
        *relatives = others.map(|each| (each.pid, each.started)).collect();
    }

    fn see_out(&self, mut child: Child) {
        let pid = Pid::from_child(&child);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let status = {
            let mut held = self.held_pid();
            *held = None;
            let _ = kill_process_group(pid, Signal::KILL);
            child.wait()
        };
        let blame = self.blame.lock();
        let blame = blame.unwrap_or_else(PoisonError::into_inner).take();
        let death = Death {
            cause: cause(&status, blame.as_ref()),
            blame,
        };
        self.death.send_replace(Some(death));
    }

    fn held_pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes that were seen to come of it, pid and start.
    pub(super) fn relatives(&self) -> MutexGuard<'_, Vec<(i32, u64)>> {
        self.relatives
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn cause(status: &io::Result<ExitStatus>, blame: Option<&Blame>) -> String {
    let signal = status.as_ref().ok().and_then(ExitStatusExt::signal);
    match (status, blame, signal) {
        (_, Some(Blame::Memory(text) | Blame::Limit(text)), Some(9)) => text.clone(),
        (_, Some(Blame::Abandoned), Some(9)) => "nobody waited for its answer".to_owned(),
        (_, None, Some(9)) => {
            "killed by SIGKILL, perhaps because the machine is out of memory".to_owned()
        }
        (_, _, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (Ok(status), _, None) => match status.code() {
            Some(code) => format!("it exited with status {code}"),
            None => format!("it ended: {status}"),
        },
        (Err(error), _, None) => format!("it ended, nobody knows how: {error}"),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        11 => "SIGSEGV, a segmentation fault",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_one_that_worked() {
        let memory = Blame::Memory("over".to_owned());
        for (raw, blame, words) in [
            (9, Some(&memory), "over"),
            (9, Some(&Blame::Abandoned), "nobody waited for its answer"),
            (11, Some(&memory), "killed by SIGSEGV, a segmentation fault"),
            (3 << 8, Some(&memory), "it exited with status 3"),
            (0, None, "it exited with status 0"),
            (15, None, "killed by SIGTERM"),
            (40, None, "killed by signal 40"),
        ] {
            assert_eq!(cause(&Ok(ExitStatus::from_raw(raw)), blame), words);
        }
    }
}
