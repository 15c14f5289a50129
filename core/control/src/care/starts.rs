//! Starts of replicas that are under way, of which some may be given up.

use std::future::Future;

use tokio::task::{AbortHandle, JoinError, JoinSet};

/// See the module. All of them end when it is dropped.
#[derive(Debug)]
pub(super) struct Starts<T> {
    tasks: JoinSet<T>,
    /// Those that are not given up, the newest last.
    wanted: Vec<AbortHandle>,
}

impl<T: Send + 'static> Starts<T> {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            wanted: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, start: impl Future<Output = T> + Send + 'static) {
        self.wanted.push(self.tasks.spawn(start));
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Gives up to `count` of them up, the newest first; says how many.
    pub(super) fn give_up(&mut self, count: usize) -> usize {
        let kept = self.wanted.len().saturating_sub(count);
        let given_up = self.wanted.split_off(kept);
        given_up.iter().for_each(AbortHandle::abort);
        given_up.len()
    }

    /// The next one that ended, one that was given up included; none when nothing
    /// is under way. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.wanted.retain(|start| start.id() != id);
        Some(ended.map(|(_, result)| result))
    }
}
