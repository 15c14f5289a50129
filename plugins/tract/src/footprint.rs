//! How much memory a piece of work takes.
//!
//! What is told is by how much the whole process grew: the most resident memory
//! that was seen while the work went on, less what there was before. So memory
//! that others take at the same time counts too, and memory that the allocator
//! had left over from before does not. It is looked at every millisecond; what
//! comes and goes in between is not seen.

use std::{
    fs,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How often the memory is looked at.
const INTERVAL: Duration = Duration::from_millis(1);

/// What `work` returns, and by how many bytes the process grew at most; none if
/// the system does not tell. `work` must not panic.
pub(crate) fn watched<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let Some(before) = resident() else {
        return (work(), None);
    };
    let mut most = before;
    let (done, end) = channel::<()>();
    let seen = &mut most;
    let result = thread::scope(|scope| {
        let watcher = thread::Builder::new()
            .name("footprint".to_owned())
            .spawn_scoped(scope, move || {
                while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(INTERVAL) {
                    *seen = (*seen).max(resident().unwrap_or(0));
                }
            });
        if let Err(error) = watcher {
            tracing::debug!(%error, "no thread to watch the memory");
        }
        let result = work();
        drop(done);
        result
    });
    let most = most.max(resident().unwrap_or(0));
    (result, Some(most - before))
}

/// Bytes of this process in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn memory_that_was_given_back_is_seen() {
        let ((), grown) = watched(|| {
            let memory = vec![1u8; 256 << 20];
            thread::park_timeout(Duration::from_millis(50));
            drop(black_box(memory));
        });
        assert!(grown.unwrap() > 128 << 20, "{grown:?}");
    }
}
