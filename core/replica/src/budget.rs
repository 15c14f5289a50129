//! The memory of one replica: linear memories, tables and host-side tensors
//! are charged to one account.
//!
//! Invariant: what is charged is released when its owner is dropped, so the
//! account of a replica without instances stands at zero.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wasmtime::ResourceLimiter;

/// Bytes charged for one element of a table.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// The account of one replica.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
        })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Charges `bytes`; `None` if the limit does not allow it.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        self.take(bytes).then(|| Charge {
            budget: Arc::clone(self),
            bytes,
        })
    }

    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes held on an account; released on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// What an instance asks before it grows.
#[derive(Debug)]
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    charged: u64,
    latest: u64,
    refused: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            charged: 0,
            latest: 0,
            refused: None,
        }
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Says that a host-side allocation was refused too.
    pub(crate) fn note_refusal(&mut self, bytes: u64) {
        self.refused = Some(bytes);
    }

    /// Bytes that were asked for in vain since the last call.
    pub(crate) fn take_refusal(&mut self) -> Option<u64> {
        self.refused.take()
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let allowed = self.budget.take(bytes);
        if allowed {
            self.charged += bytes;
            self.latest = bytes;
        } else {
            self.refused = Some(bytes);
        }
        allowed
    }

    fn undo_latest(&mut self) {
        let bytes = std::mem::take(&mut self.latest);
        self.charged -= bytes;
        self.budget.give_back(bytes);
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.latest = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo_latest();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.latest = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let elements = desired.saturating_sub(current) as u64;
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo_latest();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_memories_share_one_limit() {
        let budget = Budget::new(100);
        let mut limiter = Limiter::new(Arc::clone(&budget));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.take_refusal(), Some(60));
        assert!(budget.charge(41).is_none());
        drop(limiter);
        assert!(budget.charge(100).is_some());
    }

    #[test]
    fn growth_that_the_system_refused_is_not_charged() {
        let budget = Budget::new(100);
        let mut limiter = Limiter::new(Arc::clone(&budget));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::Error::msg("no memory"))
            .unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
    }

    proptest! {
        #[test]
        fn an_account_never_exceeds_its_limit_and_ends_at_zero(
            sizes in proptest::collection::vec(0_u64..400, 0..40),
            limit in 0_u64..2_000,
        ) {
            let budget = Budget::new(limit);
            let held: Vec<_> = sizes.iter().filter_map(|size| budget.charge(*size)).collect();
            let sum: u64 = held.iter().map(|charge| charge.bytes).sum();
            prop_assert!(sum <= limit);
            drop(held);
            prop_assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        }
    }
}
