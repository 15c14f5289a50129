//! The node's ledger: what the replicas of each service have reserved.
//!
//! While a service is updated, its old and its new revision live side by side.
//! Both hold memory, so both count in full. Cores count once, at the larger of
//! the two: the new one works only once the old one has stopped, and a full node
//! could never be updated otherwise.
//!
//! Invariant: what the ledger counts is the sum of what lives. A reservation is a
//! value that its replicas' owner keeps; it ends when that owner is gone.

mod refusal;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lusk_domain::{ServiceName, Settings};
use tokio::sync::watch;

use crate::Capacity;
pub use refusal::Both;
pub(crate) use refusal::Shortage;

/// Cores that rounding may lose: a tenth ten times is one.
const ROUNDING: f64 = 1e-6;

/// What one revision holds.
#[derive(Debug, Clone, Copy)]
struct Share {
    id: u64,
    /// Of one replica.
    one: Capacity,
    /// Replicas that serve or start.
    replicas: u32,
    /// Replicas that take no more requests and end the ones they have.
    leaving: u32,
}

impl Share {
    fn whole(&self) -> Capacity {
        times(self.one, self.replicas.saturating_add(self.leaving))
    }

    fn lasting(&self) -> Capacity {
        times(self.one, self.replicas)
    }
}

/// What each service has reserved: one share for each revision that lives.
type Held = BTreeMap<ServiceName, Vec<Share>>;

#[derive(Debug, Default)]
struct Books {
    held: Held,
    last_id: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    total: Capacity,
    books: Mutex<Books>,
    freed: watch::Sender<()>,
}

impl Ledger {
    pub(crate) fn new(total: Capacity) -> Self {
        Self {
            total,
            books: Mutex::default(),
            freed: watch::Sender::new(()),
        }
    }

    /// Hears when something was given back.
    pub(crate) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }

    /// Reserves for `replicas` of a revision of `service`, beside all that lives.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn hold(
        self: &Arc<Self>,
        service: &ServiceName,
        settings: &Settings,
        replicas: u32,
    ) -> Result<Arc<Reservation>, Shortage> {
        self.hold_most(service, settings, replicas..=replicas)
    }

    /// Like [`Ledger::hold`], for as many of `replicas` as there is room for.
    ///
    /// # Errors
    /// What is missing for the fewest of them.
    pub(crate) fn hold_most(
        self: &Arc<Self>,
        service: &ServiceName,
        settings: &Settings,
        replicas: RangeInclusive<u32>,
    ) -> Result<Arc<Reservation>, Shortage> {
        let one = need(settings);
        let (fewest, most) = replicas.into_inner();
        let mut books = self.lock();
        let free = self.free(service, &books.held);
        let replicas = most.min(how_often(one, free));
        if replicas < fewest {
            return Err(Shortage {
                service: service.clone(),
                replicas: fewest,
                need: times(one, fewest),
                free,
                total: self.total,
                holders: holders(&books.held),
            });
        }
        books.last_id += 1;
        let id = books.last_id;
        books.held.entry(service.clone()).or_default().push(Share {
            id,
            one,
            replicas,
            leaving: 0,
        });
        drop(books);
        Ok(Arc::new(Reservation {
            ledger: Arc::clone(self),
            service: service.clone(),
            id,
            one,
        }))
    }

    /// Why so many replicas never find room, not even on an empty node; none when
    /// they may.
    pub(crate) fn never(
        &self,
        service: &ServiceName,
        settings: &Settings,
        replicas: u32,
    ) -> Option<Shortage> {
        let one = need(settings);
        (how_often(one, self.total) < replicas).then(|| {
            let books = self.lock();
            Shortage {
                service: service.clone(),
                replicas,
                need: times(one, replicas),
                free: self.free(service, &books.held),
                total: self.total,
                holders: holders(&books.held),
            }
        })
    }

    /// Why a new revision of a service can never live beside the one that serves,
    /// however long it waits; none when it can. What other services hold only
    /// for the moment of an update of theirs counts as free.
    pub(crate) fn never_both(
        &self,
        serving: &Reservation,
        settings: &Settings,
        replicas: u32,
    ) -> Option<Both> {
        let books = self.lock();
        let others = books
            .held
            .iter()
            .filter(|(name, _)| **name != serving.service);
        let lasting: u64 = others.map(|(_, shares)| lasting_bytes(shares)).sum();
        let free = self.total.bytes.saturating_sub(lasting);
        let old = books.share(serving)?.lasting().bytes;
        let new = times(need(settings), replicas).bytes;
        (old.saturating_add(new) > free).then(|| Both {
            service: serving.service.clone(),
            old,
            new,
            free,
            total: self.total.bytes,
            is_alone: lasting == 0,
        })
    }

    /// What all services hold.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Capacity {
        let books = self.lock();
        let all = holders(&books.held);
        Capacity {
            cores: all.iter().map(|(_, taken)| taken.cores).sum(),
            bytes: all.iter().map(|(_, taken)| taken.bytes).sum(),
        }
    }

    /// Cores that are free beside the other services, and memory that is free
    /// beside everything.
    fn free(&self, service: &ServiceName, held: &Held) -> Capacity {
        let mut free = self.total;
        for (name, shares) in held {
            let taken = taken(shares);
            if name != service {
                free.cores -= taken.cores;
            }
            free.bytes = free.bytes.saturating_sub(taken.bytes);
        }
        free
    }

    fn change<T>(&self, of: &Reservation, change: impl FnOnce(&mut Share) -> T) -> Option<T> {
        let mut books = self.lock();
        let shares = books.held.get_mut(&of.service)?;
        let share = shares.iter_mut().find(|share| share.id == of.id)?;
        Some(change(share))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn share(&self, of: &Reservation) -> Option<Share> {
        let shares = self.held.get(&of.service)?;
        shares.iter().find(|share| share.id == of.id).copied()
    }
}

/// What one revision of a service holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    ledger: Arc<Ledger>,
    service: ServiceName,
    id: u64,
    one: Capacity,
}

impl Reservation {
    /// Replicas that it is for, those that are leaving not counted.
    pub(crate) fn replicas(&self) -> u32 {
        let books = self.ledger.lock();
        books.share(self).map_or(0, |share| share.replicas)
    }

    /// Further replicas that the node has room for.
    pub(crate) fn room(&self) -> u32 {
        self.room_in(&self.ledger.lock())
    }

    /// What is missing for one replica more, and who holds it.
    pub(crate) fn lacks(&self) -> Option<String> {
        let books = self.ledger.lock();
        let free = self.free_in(&books);
        let missing = (how_often(self.one, free) == 0).then(|| Shortage {
            service: self.service.clone(),
            replicas: 1,
            need: self.one,
            free,
            total: self.ledger.total,
            holders: holders(&books.held),
        });
        missing.map(|missing| missing.to_string())
    }

    /// Reserves for up to `wanted` further replicas; says for how many.
    pub(crate) fn add(&self, wanted: u32) -> u32 {
        let mut books = self.ledger.lock();
        let granted = wanted.min(self.room_in(&books));
        let shares = books.held.get_mut(&self.service);
        let share = shares.and_then(|all| all.iter_mut().find(|share| share.id == self.id));
        match share {
            Some(share) => {
                share.replicas = share.replicas.saturating_add(granted);
                granted
            }
            None => 0,
        }
    }

    /// One replica takes no more requests; its room is free once [`Self::left`]
    /// is called.
    pub(crate) fn leave(&self) {
        self.ledger.change(self, |share| {
            if share.replicas > 0 {
                share.replicas -= 1;
                share.leaving = share.leaving.saturating_add(1);
            }
        });
    }

    /// One replica that was leaving is gone.
    pub(crate) fn left(&self) {
        let change = |share: &mut Share| share.leaving = share.leaving.saturating_sub(1);
        self.ledger.change(self, change);
        self.ledger.freed.send_replace(());
    }

    /// One replica did not come to life.
    pub(crate) fn release(&self) {
        let change = |share: &mut Share| share.replicas = share.replicas.saturating_sub(1);
        self.ledger.change(self, change);
        self.ledger.freed.send_replace(());
    }

    fn room_in(&self, books: &Books) -> u32 {
        how_often(self.one, self.free_in(books))
    }

    fn free_in(&self, books: &Books) -> Capacity {
        let mut free = self.ledger.free(&self.service, &books.held);
        let own = books.share(self).map(|share| share.whole());
        free.cores -= own.map_or(0.0, |own| own.cores);
        free
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        {
            let mut books = self.ledger.lock();
            if let Some(shares) = books.held.get_mut(&self.service) {
                shares.retain(|share| share.id != self.id);
                if shares.is_empty() {
                    books.held.remove(&self.service);
                }
            }
        }
        self.ledger.freed.send_replace(());
    }
}

/// What a service holds with all its revisions.
fn taken(shares: &[Share]) -> Capacity {
    let whole = shares.iter().map(Share::whole);
    whole.fold(NOTHING, |sum, one| Capacity {
        cores: sum.cores.max(one.cores),
        bytes: sum.bytes.saturating_add(one.bytes),
    })
}

/// What a service holds in any case: while it is updated it will give one of its
/// two shares back.
fn lasting_bytes(shares: &[Share]) -> u64 {
    let bytes = shares.iter().map(|share| share.lasting().bytes);
    bytes.min().unwrap_or(0)
}

fn holders(held: &Held) -> Vec<(ServiceName, Capacity)> {
    held.iter()
        .map(|(name, shares)| (name.clone(), taken(shares)))
        .collect()
}

const NOTHING: Capacity = Capacity {
    cores: 0.0,
    bytes: 0,
};

fn need(settings: &Settings) -> Capacity {
    Capacity {
        cores: settings.resources.cpu,
        bytes: (settings.resources.memory_in_gb * 1e9).round() as u64,
    }
}

/// How often `one` fits into what is `free`.
fn how_often(one: Capacity, free: Capacity) -> u32 {
    // What takes nothing has room without end; the cast saturates.
    let by_cores = match one.cores {
        one if one > 0.0 => ((free.cores + ROUNDING) / one).max(0.0) as u32,
        _ => u32::MAX,
    };
    let by_bytes = free.bytes.checked_div(one.bytes);
    let by_bytes = by_bytes.map_or(u32::MAX, |times| u32::try_from(times).unwrap_or(u32::MAX));
    by_cores.min(by_bytes)
}

fn times(one: Capacity, replicas: u32) -> Capacity {
    Capacity {
        cores: one.cores * f64::from(replicas),
        bytes: one.bytes.saturating_mul(replicas.into()),
    }
}
