//! What a request knows of the shard that serves it.
//!
//! A shard's thread has a seat, other threads have none: there, nothing is measured and
//! scripts run where they are called.

use std::{
    cell::OnceCell,
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use lusk_router::Pace;
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::meter::Meter;

thread_local! {
    static SEAT: OnceCell<Seat> = const { OnceCell::new() };
}

/// A shard's thread, as its requests see it.
pub(crate) struct Seat {
    /// Where they are counted.
    pub(crate) meter: Arc<Meter>,
    /// Where scripts run that take long.
    pub(crate) scripts: Handle,
}

impl Seat {
    /// Takes this thread, once and for good.
    pub(crate) fn take(self) {
        SEAT.with(|seat| {
            let _ = seat.set(self);
        });
    }

    fn here<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        SEAT.with(|seat| seat.get().map(look))
    }
}

/// The node's own runtime, for work that no caller waits for.
pub(crate) fn runtime() -> Handle {
    Seat::here(|seat| seat.scripts.clone()).unwrap_or_else(Handle::current)
}

/// How long the router itself takes for one request: neither the caller, nor the queue,
/// nor the script.
pub(crate) struct Timing {
    /// None where nothing is measured.
    begun: Option<Instant>,
    /// Nanoseconds that others took.
    others: AtomicU64,
}

impl Timing {
    /// Of a request whose head was read just now.
    pub(crate) fn begin() -> Self {
        Self {
            begun: Seat::here(|_| Instant::now()),
            others: AtomicU64::new(0),
        }
    }

    /// Waits for the caller, or for a slot; what is done meanwhile counts, the waiting does not.
    pub(crate) async fn apart<F: Future>(&self, work: F) -> F::Output {
        if self.begun.is_none() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut since = None;
        std::future::poll_fn(|context| {
            if let Some(since) = since.take() {
                self.leave_out(Instant::elapsed(&since));
            }
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                since = Some(Instant::now());
            }
            polled
        })
        .await
    }

    /// Runs a script that has its slot: in this task, or on the node's own runtime where
    /// a shard's other callers would have to wait for one that usually takes long.
    /// Dropping the future interrupts the script, wherever it runs.
    pub(crate) async fn script<T: Send + 'static>(
        &self,
        pace: &Pace,
        script: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let Some(scripts) = Seat::here(|seat| (!pace.is_short()).then(|| seat.scripts.clone()))
        else {
            return script.await;
        };
        let timed = async {
            let begun = Instant::now();
            (script.await, begun.elapsed())
        };
        let (result, took) = match scripts {
            None => timed.await,
            Some(runtime) => match AbortOnDropHandle::new(runtime.spawn(timed)).await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The node's runtime is going, and everything with it.
                    Err(_) => std::future::pending().await,
                },
            },
        };
        pace.learn(took);
        self.leave_out(took);
        result
    }

    fn leave_out(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.others.fetch_add(nanos, Relaxed);
    }

    /// Counts the request: its answer goes to hyper now.
    pub(crate) fn end(&self) {
        let Some(begun) = self.begun else { return };
        let others = Duration::from_nanos(self.others.load(Relaxed));
        let took = begun.elapsed().saturating_sub(others);
        Seat::here(|seat| seat.meter.record(took));
    }
}
