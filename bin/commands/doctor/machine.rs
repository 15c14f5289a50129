//! Cores and memory: what replicas may reserve, and whether it is there.

use lusk_control::Capacity;
use sysinfo::System;

use super::finding::Finding;
use crate::render::size;

/// Memory that one replica reserves unless it is told otherwise.
const ONE_REPLICA: u64 = 500_000_000;

pub(super) fn check(capacity: Capacity) -> Finding {
    let machine = System::new().map(|mut machine| {
        machine.refresh_memory();
        machine
    });
    let (available, limits) = machine.map_or((0, None), |machine| {
        (machine.available_memory(), machine.cgroup_limits())
    });
    let seen = Seen {
        cores: capacity.cores,
        bytes: capacity.bytes,
        available,
        allowed: limits.map(|limits| limits.total_memory),
    };
    seen.judged()
}

struct Seen {
    cores: f64,
    bytes: u64,
    /// Not in use now.
    available: u64,
    /// Bound of the container or unit that this runs in.
    allowed: Option<u64>,
}

impl Seen {
    fn judged(&self) -> Finding {
        let (all, free) = (size(self.bytes), size(self.available));
        let text = format!(
            "replicas may reserve {} cores and {all}; {free} are free now",
            self.cores
        );
        if self.bytes == 0 {
            return Finding::failed(
                "this system does not tell its memory: no replica would be admitted",
                "mount /proc",
            );
        }
        if let Some(allowed) = self.allowed.filter(|allowed| *allowed < self.bytes) {
            return Finding::warning(
                format!("{text}, but only {} are allowed here", size(allowed)),
                "raise the memory limit of the container or unit, or deploy less than it",
            );
        }
        if self.available < ONE_REPLICA {
            return Finding::warning(
                format!("{text}, less than one replica reserves by default"),
                "stop other programs, or lower `memoryInGB` of services",
            );
        }
        Finding::ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    fn state(bytes: u64, available: u64, allowed: Option<u64>) -> State {
        let seen = Seen {
            cores: 2.0,
            bytes,
            available,
            allowed,
        };
        seen.judged().state
    }

    #[test]
    fn memory_that_is_not_there_is_told() {
        assert_eq!(state(8 << 30, 4 << 30, None), State::Ok);
        assert_eq!(state(8 << 30, 4 << 30, Some(8 << 30)), State::Ok);
        assert_eq!(state(8 << 30, 4 << 30, Some(1 << 30)), State::Warning);
        assert_eq!(state(8 << 30, 1 << 20, None), State::Warning);
        assert_eq!(state(0, 0, None), State::Failed);
    }
}
