//! Looks after what limits cannot bound: the memory of all processes of a
//! replica together, and the bytes in a worker's folder.
//!
//! Between two looks a replica can take more than it may; that is the bound
//! that the machine has.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use super::{
    life::{Blame, Life},
    table,
};
use crate::{engine::Repeater, folder, wording};

/// Pause between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// The workers of one replica and what they may have together.
#[derive(Debug)]
pub(super) struct Ward {
    memory: u64,
    workers: Mutex<Vec<Weak<Life>>>,
}

type Wards = Arc<Mutex<Vec<Weak<Ward>>>>;

/// The thread that looks.
pub(super) struct Watch {
    wards: Wards,
    _thread: Repeater,
}

impl Watch {
    pub(super) fn start() -> io::Result<Self> {
        let wards = Wards::default();
        let thread = Repeater::start("lusk-watch", PERIOD, {
            let wards = Arc::clone(&wards);
            move || look(&wards)
        })?;
        Ok(Self {
            wards,
            _thread: thread,
        })
    }

    /// A replica that may have so many bytes.
    pub(super) fn ward(&self, memory: u64) -> Arc<Ward> {
        let ward = Arc::new(Ward {
            memory,
            workers: Mutex::default(),
        });
        let mut wards = self.wards.lock().unwrap_or_else(PoisonError::into_inner);
        wards.push(Arc::downgrade(&ward));
        ward
    }
}

impl Ward {
    /// Takes a worker in.
    pub(super) fn add(&self, worker: &Arc<Life>) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::downgrade(worker));
    }

    fn living(&self) -> Vec<(i32, Arc<Life>)> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.strong_count() > 0);
        let workers = workers.iter().filter_map(Weak::upgrade);
        workers
            .filter_map(|worker| Some((worker.pid()?, worker)))
            .collect()
    }

    fn check(&self, all: &[table::Process], workers: &[(i32, Arc<Life>)]) {
        let mut families = Vec::new();
        for (pid, worker) in workers {
            if worker.is_over_its_folder() {
                let most = wording::bytes(folder::MAX_BYTES);
                worker.kill(Blame::Limit(format!(
                    "it has more than {most} in its temporary folder, or too many files there"
                )));
            }
            let family = table::family(all, *pid, &worker.relatives());
            worker.note_relatives(&family);
            families.push((family, worker));
        }
        let sum = |measure: fn(&[&table::Process]) -> u64| {
            families
                .iter()
                .map(|(family, _)| measure(family))
                .sum::<u64>()
        };
        if sum(table::memory) <= self.memory {
            return;
        }
        let held = sum(table::shared_memory_once);
        let largest = families
            .iter()
            .max_by_key(|(family, _)| table::memory(family));
        if let (true, Some((_, worker))) = (held > self.memory, largest) {
            worker.kill(Blame::Memory(format!(
                "over its memory limit of {}: the replica's processes held {}",
                wording::bytes(self.memory),
                wording::bytes(held)
            )));
        }
    }
}

fn look(wards: &Wards) {
    let wards: Vec<Arc<Ward>> = {
        let mut wards = wards.lock().unwrap_or_else(PoisonError::into_inner);
        wards.retain(|ward| ward.strong_count() > 0);
        wards.iter().filter_map(Weak::upgrade).collect()
    };
    let living: Vec<_> = wards.iter().map(|ward| (ward, ward.living())).collect();
    if living.iter().all(|(_, workers)| workers.is_empty()) {
        return;
    }
    let all = table::processes();
    for (ward, workers) in living {
        ward.check(&all, &workers);
    }
}
