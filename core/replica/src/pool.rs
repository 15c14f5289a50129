//! The instances of a replica that wait for work.
//!
//! Callers hold one of the replica's slots, so there is an idle instance for
//! each of them, unless one is being replaced; then they wait for it.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Idle instances, and whether more are to come.
#[derive(Debug)]
pub(crate) struct Pool<I> {
    state: Mutex<State<I>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<I> {
    idle: Vec<I>,
    /// Why no more instances can be made at the moment.
    broken: Option<String>,
}

impl<I> Pool<I> {
    pub(crate) fn new(idle: Vec<I>) -> Self {
        Self {
            state: Mutex::new(State { idle, broken: None }),
            changed: Notify::new(),
        }
    }

    /// Takes an idle instance, the one used last: its memory is warm.
    ///
    /// # Errors
    /// None is idle and none can be made.
    pub(crate) async fn take(&self) -> Result<I, String> {
        if let Some(taken) = self.try_take() {
            return taken;
        }
        loop {
            let mut changed = pin!(self.changed.notified());
            // Enrolled before the second look, so that no `put` goes unheard.
            changed.as_mut().enable();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            changed.await;
        }
    }

    fn try_take(&self) -> Option<Result<I, String>> {
        let mut state = self.state();
        match state.idle.pop() {
            Some(instance) => Some(Ok(instance)),
            None => state.broken.clone().map(Err),
        }
    }

    /// Puts an instance back, or a new one in.
    pub(crate) fn put(&self, instance: I) {
        self.state().idle.push(instance);
        self.changed.notify_one();
    }

    /// Takes one out that will not be lent any more.
    pub(crate) fn remove(&self, chosen: impl Fn(&I) -> bool) -> Option<I> {
        let mut state = self.state();
        let at = state.idle.iter().position(chosen)?;
        Some(state.idle.remove(at))
    }

    /// Says whether instances can be made.
    pub(crate) fn set_broken(&self, reason: Option<String>) {
        self.state().broken = reason;
        self.changed.notify_waiters();
    }

    /// Why no instance can be made at the moment.
    pub(crate) fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    fn state(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_caller_waits_for_a_replacement() {
        let pool = Arc::new(Pool::new(vec![1]));
        assert_eq!(pool.take().await, Ok(1));
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.take().await }
        });
        tokio::task::yield_now().await;
        pool.put(2);
        assert_eq!(waiting.await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn a_caller_of_a_broken_pool_is_told_why() {
        let pool = Arc::new(Pool::<u8>::new(Vec::new()));
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.take().await }
        });
        tokio::task::yield_now().await;
        pool.set_broken(Some("no memory".to_owned()));
        assert_eq!(waiting.await.unwrap(), Err("no memory".to_owned()));
        pool.set_broken(None);
        pool.put(1);
        assert_eq!(pool.take().await, Ok(1));
    }
}
