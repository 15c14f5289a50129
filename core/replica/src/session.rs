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

use lusk_contract::{BackendError, Session, Signature, Tensor};

use crate::batch::Batcher;

/// Longest expected computation that runs in the caller's task.
const INLINE_LIMIT: Duration = Duration::from_micros(200);

/// A loaded model with its usual speed.
#[derive(Debug)]
pub(crate) struct TimedSession {
    session: Arc<dyn Session>,
    place: String,
    /// Joins calls that come at the same time, if the model asks for it.
    batcher: Option<Arc<Batcher>>,
    /// Moving average of nanoseconds per input byte, times 1024; 0 is unknown.
    pace: AtomicU64,
}

impl TimedSession {
    pub(crate) fn new(session: Arc<dyn Session>, place: String) -> Self {
        Self {
            session,
            place,
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

    /// Device and backend, for a person: `cpu (tract)`.
    pub(crate) fn place(&self) -> &str {
        &self.place
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
                model: self.place.clone(),
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
    use std::thread;

    use super::*;
    use crate::testing::{FakeSession, signature};

    fn timed() -> TimedSession {
        TimedSession::new(
            Arc::new(FakeSession::new(signature(), Ok)),
            "fake".to_owned(),
        )
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
            "fake".to_owned(),
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
