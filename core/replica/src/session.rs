//! A session that knows how long it takes, to choose where to compute.
//!
//! Handing work to another thread costs more than a small model's inference,
//! so what is usually short runs in the caller's task; anything else goes to
//! the blocking pool, where it holds up nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lusk_contract::{BackendError, Loading, Session, Signature, Tensor};

use crate::{batch::Batcher, wording};

/// Longest expected computation that runs in the caller's task.
const INLINE_LIMIT: Duration = Duration::from_micros(200);

/// A loaded model with its usual speed.
#[derive(Debug)]
pub(crate) struct TimedSession {
    session: Arc<dyn Session>,
    device: String,
    backend: &'static str,
    /// Joins calls that come at the same time, if the model asks for it.
    batcher: Option<Arc<Batcher>>,
    /// Moving average of nanoseconds per input byte, times 1024; 0 is unknown.
    pace: AtomicU64,
}

impl TimedSession {
    pub(crate) fn new(session: Arc<dyn Session>, device: String, backend: &'static str) -> Self {
        Self {
            session,
            device,
            backend,
            batcher: None,
            pace: AtomicU64::new(0),
        }
    }

    /// The session with calls joined by `batcher`.
    pub(crate) fn joined_by(mut self, batcher: Option<Arc<Batcher>>) -> Self {
        self.batcher = batcher;
        self
    }

    /// Who joins the calls, if somebody does.
    pub(crate) fn batcher(&self) -> Option<&Batcher> {
        self.batcher.as_deref()
    }

    pub(crate) fn signature(&self) -> &Signature {
        self.session.signature()
    }

    /// Where it computes and what was chosen for it, for a person: `loaded on cpu
    /// (tract, 2 threads) in 41 ms, 12.3 MiB at most`.
    pub(crate) fn told(&self, took: Duration) -> String {
        let Loading {
            threads,
            shared,
            peak_bytes,
            choices,
        } = self.session.loading();
        let plural = if threads.get() == 1 { "" } else { "s" };
        let place = format!(
            "{} ({}, {threads} thread{plural})",
            self.device, self.backend
        );
        let mut told = if shared {
            format!("found loaded on {place}, its weights are shared")
        } else {
            format!("loaded on {place} in {}", wording::duration(took))
        };
        if let Some(bytes) = peak_bytes {
            told += &format!(", {} at most", wording::bytes(bytes));
        }
        for choice in choices {
            told += ", ";
            told += &choice;
        }
        told
    }

    /// Computes the outputs, together with other calls where the model asks for
    /// it. `held` lives until the computation ends, also when the caller is gone
    /// before.
    pub(crate) async fn infer<K: Send + Sync + 'static>(
        self: &Arc<Self>,
        inputs: Vec<Tensor>,
        held: K,
    ) -> Result<Vec<Tensor>, BackendError> {
        match &self.batcher {
            Some(batcher) if batcher.is_active() => batcher.infer(self, inputs, held).await,
            _ => self.infer_alone(inputs, held).await,
        }
    }

    /// Computes the outputs by a call of the backend of its own.
    pub(crate) async fn infer_alone<K: Send + Sync + 'static>(
        self: &Arc<Self>,
        inputs: Vec<Tensor>,
        held: K,
    ) -> Result<Vec<Tensor>, BackendError> {
        if self.is_short(input_bytes(&inputs)) {
            return self.infer_here(&inputs);
        }
        let session = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let outputs = session.infer_here(&inputs);
            drop(held);
            outputs
        })
        .await
        .unwrap_or_else(|error| {
            Err(BackendError::Failed {
                model: self.backend.to_owned(),
                reason: format!("the computation broke off: {error}"),
            })
        })
    }

    fn infer_here(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let started = Instant::now();
        let outputs = self.session.infer(inputs)?;
        self.learn(input_bytes(inputs), started.elapsed());
        Ok(outputs)
    }

    fn is_short(&self, bytes: u64) -> bool {
        let pace = self.pace.load(Ordering::Relaxed);
        pace != 0 && u128::from(pace) * u128::from(bytes) / 1024 < INLINE_LIMIT.as_nanos()
    }

    /// Lost updates between threads only make the average a little older.
    fn learn(&self, bytes: u64, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let seen = (nanos.saturating_mul(1024) / bytes).max(1);
        let old = self.pace.load(Ordering::Relaxed);
        let new = if old == 0 {
            seen
        } else {
            old - old / 8 + seen / 8
        };
        self.pace.store(new.max(1), Ordering::Relaxed);
    }
}

/// Bytes of all inputs, at least 1.
fn input_bytes(inputs: &[Tensor]) -> u64 {
    let bytes: usize = inputs.iter().map(|tensor| tensor.data().len()).sum();
    (bytes as u64).max(1)
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, thread};

    use super::*;
    use crate::testing::{FakeSession, signature};

    fn timed() -> TimedSession {
        TimedSession::new(
            Arc::new(FakeSession::new(signature(), Ok)),
            "cpu".to_owned(),
            "fake",
        )
    }

    #[test]
    fn a_session_tells_how_it_came_to_be() {
        let told = |loading: Loading| {
            let session = FakeSession::new(signature(), Ok).loaded(loading);
            let timed = TimedSession::new(Arc::new(session), "cpu".to_owned(), "fake");
            timed.told(Duration::from_millis(41))
        };
        assert_eq!(
            told(Loading::default()),
            "loaded on cpu (fake, 1 thread) in 41 ms"
        );
        let loading = Loading {
            threads: NonZeroUsize::new(2).unwrap(),
            peak_bytes: Some(13_002_342),
            choices: vec!["53 of 53 convolutions blocked".to_owned()],
            ..Loading::default()
        };
        assert_eq!(
            told(loading.clone()),
            "loaded on cpu (fake, 2 threads) in 41 ms, 12.4 MiB at most, \
             53 of 53 convolutions blocked"
        );
        let shared = Loading {
            shared: true,
            peak_bytes: None,
            choices: Vec::new(),
            ..loading
        };
        assert_eq!(
            told(shared),
            "found loaded on cpu (fake, 2 threads), its weights are shared"
        );
    }

    #[test]
    fn an_unknown_session_is_not_short() {
        assert!(!timed().is_short(1));
    }

    #[tokio::test]
    async fn only_what_is_short_runs_in_the_callers_thread() {
        let thread_of = |session: Arc<TimedSession>| async move {
            match session.infer(Vec::new(), ()).await.unwrap_err() {
                BackendError::Failed { reason, .. } => reason,
                other => panic!("{other:?}"),
            }
        };
        let session = Arc::new(TimedSession::new(
            Arc::new(FakeSession::new(signature(), |_| {
                Err(BackendError::Failed {
                    model: String::new(),
                    reason: format!("{:?}", thread::current().id()),
                })
            })),
            "cpu".to_owned(),
            "fake",
        ));
        let here = format!("{:?}", thread::current().id());
        assert_ne!(thread_of(Arc::clone(&session)).await, here);
        session.learn(1, Duration::from_micros(10));
        assert_eq!(thread_of(Arc::clone(&session)).await, here);
        session.learn(1, Duration::from_secs(10));
        assert_ne!(thread_of(session).await, here);
    }

    #[test]
    fn expectation_grows_with_the_input() {
        let session = timed();
        session.learn(256, Duration::from_micros(10));
        assert!(session.is_short(256));
        assert!(!session.is_short(256 * 100));
    }

    #[test]
    fn one_slow_run_does_not_make_a_fast_session_slow() {
        let session = timed();
        for _ in 0..20 {
            session.learn(256, Duration::from_micros(10));
        }
        session.learn(256, Duration::from_micros(500));
        assert!(session.is_short(256));
    }
}
