//! Callers who move to another shard between two requests.
//!
//! Those who stay connected stay where they were let in: a new shard would get none of
//! them, and one that stops would keep them. So a shard is told how many of its callers
//! to give to which others; the next ones that end a request go. What they have sent
//! goes with them.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedSender, error::SendError},
};

use super::shard::Order;
use crate::books::Place;

/// A caller on the way, known to no runtime.
pub(crate) struct Moved {
    pub(crate) stream: std::net::TcpStream,
    /// What was read of its next request.
    pub(crate) ahead: Bytes,
    pub(crate) place: Place,
}

/// Where callers of one shard go.
#[derive(Debug)]
pub(crate) struct Moves {
    /// How many are still to go.
    left: AtomicUsize,
    /// Who takes how many of them.
    takers: Mutex<Vec<(UnboundedSender<Order>, usize)>>,
    /// The shard itself, for whom nobody takes.
    home: UnboundedSender<Order>,
}

impl Moves {
    pub(crate) fn new(home: UnboundedSender<Order>) -> Self {
        Self {
            left: AtomicUsize::new(0),
            takers: Mutex::default(),
            home,
        }
    }

    /// From now on these take so many each; what was said before is void.
    pub(crate) fn set(&self, takers: Vec<(UnboundedSender<Order>, usize)>) {
        let mut all = self.lock();
        self.left
            .store(takers.iter().map(|(_, count)| count).sum(), Relaxed);
        *all = takers;
    }

    /// Whether a caller who is between two requests is to go. Who gets a yes must go.
    pub(crate) fn claim(&self) -> bool {
        // The usual case costs one look.
        self.left.load(Relaxed) > 0
            && self
                .left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
    }

    /// Sends one on its way; it comes back when nobody takes it any more.
    pub(crate) fn send(&self, stream: TcpStream, ahead: Bytes, place: Place) -> Option<Moved> {
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a caller who was to move is lost");
                return None;
            }
        };
        let moved = Moved {
            stream,
            ahead,
            place,
        };
        match self.taker().send(Order::Take(moved)) {
            Err(SendError(Order::Take(moved))) => Some(moved),
            _ => None,
        }
    }

    fn taker(&self) -> UnboundedSender<Order> {
        let mut all = self.lock();
        match all.iter_mut().find(|(_, count)| *count > 0) {
            Some((taker, count)) => {
                *count -= 1;
                taker.clone()
            }
            None => self.home.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(UnboundedSender<Order>, usize)>> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many callers each shard is to give to which others, so that those that run have
/// equally many and those that rest none: `(from, to, count)`. Small differences stay,
/// for they would come back.
pub(crate) fn balance(callers: &[usize], running: usize) -> Vec<(usize, usize, usize)> {
    let running = running.clamp(1, callers.len().max(1));
    let total: usize = callers.iter().sum();
    let fair = total.div_ceil(running);
    let surplus = |at: usize, count: usize| {
        let (keeps, bears) = match at < running {
            true => (fair, fair / 4 + 1),
            false => (0, 0),
        };
        count.checked_sub(keeps).filter(|more| *more > bears)
    };
    let mut lacks: Vec<_> = callers
        .iter()
        .take(running)
        .map(|count| fair.saturating_sub(*count))
        .collect();
    let mut moves = Vec::new();
    for (from, count) in callers.iter().copied().enumerate() {
        let mut left = surplus(from, count).unwrap_or(0);
        for (to, lack) in lacks.iter_mut().enumerate() {
            let goes = left.min(*lack);
            if goes > 0 && to != from {
                moves.push((from, to, goes));
                *lack -= goes;
                left -= goes;
            }
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_shard_gets_its_part_and_one_that_rests_gives_all() {
        assert_eq!(balance(&[64, 0], 2), [(0, 1, 32)]);
        assert_eq!(balance(&[30, 30, 0], 3), [(0, 2, 10), (1, 2, 10)]);
        assert_eq!(balance(&[10, 12], 1), [(1, 0, 12)]);
        assert_eq!(balance(&[4, 4, 8], 2), [(2, 0, 4), (2, 1, 4)]);
        assert_eq!(balance(&[0, 0, 1], 2), [(2, 0, 1)]);
    }

    #[test]
    fn small_differences_stay() {
        for callers in [[33, 31], [1, 0], [2, 0], [100, 80], [0, 0]] {
            assert_eq!(balance(&callers, 2), [], "{callers:?}");
        }
        assert_eq!(balance(&[], 3), []);
    }

    #[test]
    fn nobody_gives_more_than_it_has_or_gets_more_than_its_part() {
        for seed in 0..2_000_usize {
            let callers: Vec<_> = (0..4).map(|at| seed * 31 / (at + 1) % 97).collect();
            let running = 1 + seed % 4;
            let fair = callers.iter().sum::<usize>().div_ceil(running);
            let mut after = callers.clone();
            for (from, to, count) in balance(&callers, running) {
                after[from] = after[from].checked_sub(count).expect("no more than it has");
                after[to] += count;
                assert!(to < running && after[to] <= fair.max(callers[to]));
            }
            assert!(after[running..].iter().all(|count| *count == 0));
        }
    }
}
