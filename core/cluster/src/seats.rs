//! Which outside replica of a revision stands behind which of lusk's.
//!
//! Replicas are numbered on and on, outside ones are a list: a new replica gets
//! the one that the fewest stand for, so that all are used and a replacement gets
//! the place of the one that it replaces.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use lusk_contract::Revision;
use lusk_domain::ReplicaUrl;

/// The outside replicas of one revision.
#[derive(Debug)]
struct Row {
    revision: Weak<Revision>,
    seats: Mutex<Vec<Seat>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    taken: u32,
    /// It answered once, so a silence is an outage and no wrong URL.
    was_ready: bool,
}

/// All revisions.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Vec<Arc<Row>>>);

impl Seats {
    /// A place for a new replica; none when the revision names no outside replica.
    pub(crate) fn take(&self, revision: &Arc<Revision>) -> Option<Place> {
        let row = self.row(revision);
        let mut seats = lock(&row.seats);
        let free = seats.iter().map(|seat| seat.taken).enumerate();
        let (index, _) = free.min_by_key(|(_, taken)| *taken)?;
        seats[index].taken += 1;
        drop(seats);
        Some(Place {
            url: revision.remote.get(index)?.clone(),
            row,
            index,
            held: AtomicBool::new(true),
        })
    }

    fn row(&self, revision: &Arc<Revision>) -> Arc<Row> {
        let mut rows = lock(&self.0);
        // A weak reference keeps the address taken.
        let known = rows
            .iter()
            .find(|row| row.revision.as_ptr() == Arc::as_ptr(revision));
        if let Some(row) = known {
            return Arc::clone(row);
        }
        rows.retain(|row| row.revision.strong_count() > 0);
        let row = Arc::new(Row {
            revision: Arc::downgrade(revision),
            seats: Mutex::new(vec![Seat::default(); revision.remote.len()]),
        });
        rows.push(Arc::clone(&row));
        row
    }
}

/// An outside replica that is stood for; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    url: ReplicaUrl,
    row: Arc<Row>,
    index: usize,
    held: AtomicBool,
}

impl Place {
    /// Where the outside replica is.
    pub(crate) fn url(&self) -> &ReplicaUrl {
        &self.url
    }

    /// Whether it ever answered.
    pub(crate) fn was_ready(&self) -> bool {
        self.seats()[self.index].was_ready
    }

    /// It answers.
    pub(crate) fn set_ready(&self) {
        let mut seats = self.seats();
        seats[self.index].was_ready = true;
        if !self.held.swap(true, Ordering::Relaxed) {
            seats[self.index].taken += 1;
        }
    }

    /// It does not answer: who replaces the replica that holds this place shall
    /// get it, although requests may still hold that one.
    pub(crate) fn give_up(&self) {
        let mut seats = self.seats();
        if self.held.swap(false, Ordering::Relaxed) {
            seats[self.index].taken -= 1;
        }
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        lock(&self.row.seats)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
