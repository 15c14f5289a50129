//! Keeping the threads of a crew awake while a call is computed.
//!
//! An operator that is split takes a tenth of a millisecond in many a network,
//! and a thread that sleeps takes half of that to come. So the others look for
//! work without a pause between the operators of one call. A long operator that
//! nobody can share ends the vigil: after it they sleep, and are woken as usual.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rayon::Yield;

/// After so long without work threads may sleep.
const PATIENCE: Duration = Duration::from_millis(2);

/// Looks for work before the clock is read and other threads get a turn.
const LOOKS: u32 = 256;

/// Pauses of the processor between two looks, which disturb the others.
const PAUSES: u32 = 16;

/// The other threads of the current one's crew are awake as long as this lives.
pub(super) struct Vigil(Arc<AtomicBool>);

impl Vigil {
    /// Begins in a thread of a crew.
    pub(super) fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let caller = rayon::current_thread_index();
        // Not `spawn`: the caller itself could take such a job while it waits
        // for the others, and would watch for its own end.
        rayon::spawn_broadcast(move |context| {
            if caller != Some(context.index()) {
                watch(&watched);
            }
        });
        Self(over)
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does what work there is, until all is over or nothing comes any more.
fn watch(over: &AtomicBool) {
    let mut idle_since = Instant::now();
    let mut looks = 0;
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle_since = Instant::now();
            looks = 0;
            continue;
        }
        for _ in 0..PAUSES {
            hint::spin_loop();
        }
        looks += 1;
        if looks == LOOKS {
            looks = 0;
            if idle_since.elapsed() >= PATIENCE {
                return;
            }
            thread::yield_now();
        }
    }
}
