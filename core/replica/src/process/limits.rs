//! What a worker may use of the machine.
//!
//! - Memory: `RLIMIT_DATA` bounds what each process allocates privately (heap
//!   and anonymous mappings, untouched ones too), so that a script sees a
//!   `MemoryError`. It does not bound what several processes hold together,
//!   shared memory, and mapped files; `watch` bounds the first two, within its
//!   period, and the third is the system's page cache.
//! - Cores: the affinity is set to as many cores as the limit, rounded up. The
//!   fraction is not enforced. All workers are nicer than the router.
//! - Core dumps are off.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::{
    process::{
        Pid, Resource, Rlimit, getpriority_process, getrlimit, prlimit, setpriority_process,
    },
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// How much nicer than lusk a worker is.
const NICER: i32 = 5;

/// Memory for each thread of a numeric library where no cores are named: each
/// reserves a stack and buffers of tens of MiB, and that counts.
const BYTES_PER_THREAD: u64 = 128 << 20;

/// The nicest that there is.
const NICEST: i32 = 19;

/// The limits of one replica's workers.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Bytes.
    pub(super) memory: u64,
    /// The cores; all where none are named.
    cores: Option<CpuSet>,
    /// How many threads numeric libraries are to start, where that is bounded.
    pub(super) threads: Option<usize>,
}

impl Limits {
    /// Limits for a replica with this many bytes and cores. `turn` spreads
    /// replicas over the machine.
    pub(super) fn new(memory: u64, cpu_limit: Option<f64>, turn: &AtomicUsize) -> Self {
        let mut limits = Self {
            memory,
            cores: None,
            threads: None,
        };
        let Ok(allowed) = sched_getaffinity(None) else {
            return limits;
        };
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        let Some(wanted) = cpu_limit else {
            let fitting = usize::try_from(memory / BYTES_PER_THREAD).unwrap_or(usize::MAX);
            limits.threads = (fitting < allowed.len()).then_some(fitting.max(1));
            return limits;
        };
        // The conversion saturates; a limit below one core is one core.
        let count = (wanted.ceil() as usize).clamp(1, allowed.len().max(1));
        limits.threads = Some(count);
        if count < allowed.len() {
            let first = turn.fetch_add(count, Ordering::Relaxed);
            let mut cores = CpuSet::new();
            for step in 0..count {
                cores.set(allowed[(first + step) % allowed.len()]);
            }
            limits.cores = Some(cores);
        }
        limits
    }

    /// Puts them on a process that has one thread and has not begun to work.
    pub(super) fn apply(&self, pid: Pid) -> io::Result<()> {
        let bound = |bytes| Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        // What lusk itself may not have it cannot give.
        let own = getrlimit(Resource::Data).maximum.unwrap_or(u64::MAX);
        prlimit(Some(pid), Resource::Core, bound(0))?;
        prlimit(Some(pid), Resource::Data, bound(self.memory.min(own)))?;
        if let Some(cores) = &self.cores {
            sched_setaffinity(Some(pid), cores)?;
        }
        let own = getpriority_process(None)?;
        setpriority_process(Some(pid), (own + NICER).min(NICEST))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_rounded_up_and_handed_out_in_turn() {
        let allowed = sched_getaffinity(None).unwrap().count() as usize;
        let turn = AtomicUsize::new(0);
        assert_eq!(Limits::new(u64::MAX, None, &turn).threads, None);
        let limits = |limit| Limits::new(1, limit, &turn);
        assert_eq!(limits(Some(0.2)).threads, Some(1));
        assert_eq!(limits(Some(1e9)).threads, Some(allowed));
        assert_eq!(limits(Some(1e9)).cores, None);
        assert_eq!(limits(None).cores, None);
        if allowed > 1 {
            assert_eq!(limits(None).threads, Some(1));
            let first = limits(Some(1.0)).cores.unwrap();
            let second = limits(Some(0.5)).cores.unwrap();
            assert_eq!((first.count(), second.count()), (1, 1));
            assert_ne!(first, second);
        }
    }
}
