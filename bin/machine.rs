//! What of this machine is ours: its cores and memory, or less where a container
//! or a unit of the system is given less. Replicas reserve from it.

use std::{fs, path::Path, thread::available_parallelism};

use lusk_control::Capacity;
use sysinfo::System;

/// What replicas may reserve here.
pub(crate) fn capacity() -> Capacity {
    let memory = System::new().map_or(0, |mut machine| {
        machine.refresh_memory();
        machine.total_memory()
    });
    let limits = Limits::read(Path::new("/proc/self"), Path::new("/sys/fs/cgroup"));
    let parallel = available_parallelism().map_or(1, usize::from) as f64;
    Capacity {
        cores: limits.cores(parallel),
        bytes: limits.memory.map_or(memory, |limit| limit.min(memory)),
    }
}

/// What the control groups of this process, and those above, allow it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Limits {
    /// Bytes.
    memory: Option<u64>,
    /// Cores' worth of time.
    quota: Option<f64>,
    /// Cores that it may run on.
    allowed: Option<u32>,
}

impl Limits {
    /// `process` is a folder as `/proc/self`, `groups` one as `/sys/fs/cgroup`.
    fn read(process: &Path, groups: &Path) -> Self {
        let mut limits = Self {
            allowed: allowed_cores(process),
            ..Self::default()
        };
        let table = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        for line in table.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            if controllers.is_empty() {
                limits.take_unified(groups, path);
                continue;
            }
            for controller in controllers.split(',') {
                limits.take_legacy(controller, &groups.join(controllers), path);
            }
        }
        limits
    }

    /// The one hierarchy of version 2.
    fn take_unified(&mut self, root: &Path, path: &str) {
        for_each_group(root, path, |group| {
            self.allow_memory(number(group, "memory.max"));
            let quota = fs::read_to_string(group.join("cpu.max")).unwrap_or_default();
            let mut words = quota.split_whitespace().map(str::parse::<f64>);
            if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
                self.allow_quota(quota, period);
            }
        });
    }

    /// A hierarchy of version 1.
    fn take_legacy(&mut self, controller: &str, root: &Path, path: &str) {
        for_each_group(root, path, |group| match controller {
            "memory" => self.allow_memory(number(group, "memory.limit_in_bytes")),
            "cpu" => {
                let quota = number(group, "cpu.cfs_quota_us");
                if let (Some(quota), Some(period)) = (quota, number(group, "cpu.cfs_period_us")) {
                    self.allow_quota(quota as f64, period as f64);
                }
            }
            _ => {}
        });
    }

    fn allow_memory(&mut self, bytes: Option<u64>) {
        self.memory = [self.memory, bytes].into_iter().flatten().min();
    }

    fn allow_quota(&mut self, quota: f64, period: f64) {
        let cores = quota / period;
        if cores.is_finite() && cores > 0.0 {
            self.quota = Some(self.quota.map_or(cores, |known| known.min(cores)));
        }
    }

    /// Exact where the system tells; `parallel`, which counts whole cores, else.
    fn cores(&self, parallel: f64) -> f64 {
        let whole = self.allowed.map_or(parallel, f64::from);
        match self.quota {
            Some(quota) => quota.min(whole),
            None => whole.min(parallel),
        }
    }
}

/// The group of this path and all above it, the root of what is seen included: in
/// a container the path may be one of the machine outside.
fn for_each_group(root: &Path, path: &str, mut look: impl FnMut(&Path)) {
    let path = Path::new(path.trim_start_matches('/'));
    for group in path.ancestors() {
        look(&root.join(group));
    }
}

/// A number of a file; none where it says `max`, or -1.
fn number(group: &Path, file: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    text.trim().parse().ok()
}

/// Cores in the affinity mask.
fn allowed_cores(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
    let words = mask.trim().split(',');
    let bits: Result<Vec<_>, _> = words.map(|word| u64::from_str_radix(word, 16)).collect();
    let count = bits.ok()?.into_iter().map(u64::count_ones).sum();
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up machine: files and what is in them.
    fn limits(files: &[(&str, &str)]) -> Limits {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limits::read(&folder.path().join("proc"), &folder.path().join("groups"))
    }

    #[test]
    fn the_tightest_group_counts() {
        let seen = limits(&[
            ("proc/cgroup", "0::/system.slice/lusk.service\n"),
            ("proc/status", "Name:\tlusk\nCpus_allowed:\tff\n"),
            ("groups/system.slice/memory.max", "2000000000\n"),
            ("groups/system.slice/lusk.service/memory.max", "max\n"),
            ("groups/system.slice/cpu.max", "max 100000\n"),
            (
                "groups/system.slice/lusk.service/cpu.max",
                "150000 100000\n",
            ),
        ]);
        assert_eq!(seen.memory, Some(2_000_000_000));
        assert_eq!(seen.cores(8.0), 1.5);
    }

    #[test]
    fn a_container_sees_its_group_as_the_root() {
        let seen = limits(&[
            ("proc/cgroup", "0::/kubepods/pod1/abc\n"),
            ("groups/memory.max", "1073741824"),
            ("groups/cpu.max", "50000 100000"),
        ]);
        assert_eq!(seen.memory, Some(1 << 30));
        assert_eq!(seen.cores(4.0), 0.5);
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let seen = limits(&[
            (
                "proc/cgroup",
                "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/x\n",
            ),
            (
                "groups/memory/docker/a/memory.limit_in_bytes",
                "9223372036854771712",
            ),
            ("groups/memory/memory.limit_in_bytes", "500000000"),
            ("groups/cpu,cpuacct/docker/a/cpu.cfs_quota_us", "250000"),
            ("groups/cpu,cpuacct/docker/a/cpu.cfs_period_us", "100000"),
            ("groups/cpu,cpuacct/cpu.cfs_quota_us", "-1"),
            ("groups/cpu,cpuacct/cpu.cfs_period_us", "100000"),
        ]);
        assert_eq!(seen.memory, Some(500_000_000));
        assert_eq!(seen.cores(16.0), 2.5);
    }

    #[test]
    fn a_machine_without_groups_is_ours_whole() {
        let seen = limits(&[("proc/status", "Cpus_allowed:\t00000000,0000000f\n")]);
        assert_eq!(seen.memory, None);
        assert_eq!((seen.cores(4.0), seen.cores(2.0)), (4.0, 2.0));
        assert_eq!(limits(&[]).cores(3.0), 3.0);
    }
}
