//! How far a model is trusted to compute each row by itself.
//!
//! Nothing in a model's signature says so; only answers can. A batch proves it if
//! its calls alone give outputs that differ from one another and the batch gives
//! the same. Equal calls, or outputs that are all zero, prove nothing, however many
//! there are: mixed rows would look the same.
//!
//! Invariant: until there is [`ENOUGH`] proof, no call is answered from a batch of
//! different calls that was not compared. Equal calls alone are, after [`FIRST`]
//! comparisons of such batches found nothing. With proof, a sample is compared for
//! as long as calls are joined. What remains: a model that mixes its rows for rare
//! data alone can answer wrong until a sample meets such data.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::rows::Span;

/// Batches that prove it, before batches go uncompared.
pub(super) const ENOUGH: u32 = 8;

/// Batches of a kind that are all compared while there is no proof; after so many
/// that proved nothing, comparing all would cost more than joining saves.
pub(super) const FIRST: u64 = 64;

/// Of later batches without proof, one in so many is compared.
pub(super) const AGAIN: u64 = 8;

/// With proof, one batch of a kind in so many is compared.
pub(super) const SAMPLE: u64 = 64;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Joined, and the answers are given as they are.
    Joined,
    /// Joined, and each call computed alone too.
    Compared,
    /// Not joined.
    Apart,
}

/// The trust in one model of one revision.
#[derive(Debug, Default)]
pub(super) struct Trust {
    proofs: AtomicU32,
    /// Batches of equal calls.
    alike: AtomicU64,
    /// Batches of calls that are not all equal.
    unlike: AtomicU64,
    /// Of the inputs of all batches that were compared.
    spans: Mutex<Vec<Span>>,
}

impl Trust {
    /// What to do with the next batch; `alike` if all its calls are equal.
    pub(super) fn plan(&self, alike: bool) -> Plan {
        let kind = if alike { &self.alike } else { &self.unlike };
        let before = kind.fetch_add(1, Ordering::Relaxed);
        if self.proofs.load(Ordering::Relaxed) >= ENOUGH {
            return if before.is_multiple_of(SAMPLE) {
                Plan::Compared
            } else {
                Plan::Joined
            };
        }
        if before < FIRST || before.is_multiple_of(AGAIN) {
            Plan::Compared
        } else if alike {
            Plan::Joined
        } else {
            Plan::Apart
        }
    }

    /// Whether numbers of a batch go beyond those that were compared; from now on
    /// they do not, as the caller is to compare this batch.
    pub(super) fn widens(&self, spans: &[Span]) -> bool {
        let mut known = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        known.resize(spans.len(), Span::NOTHING);
        let mut wider = false;
        for (known, span) in known.iter_mut().zip(spans) {
            let both = known.and(*span);
            wider |= both != *known;
            *known = both;
        }
        wider
    }

    /// A batch that was compared is proof.
    pub(super) fn proved(&self) {
        let more = |proofs: u32| Some(proofs.saturating_add(1));
        let _ = self
            .proofs
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// As after enough proof, with the next sample far off.
    #[cfg(test)]
    pub(super) fn grant(&self) {
        self.proofs.store(ENOUGH, Ordering::Relaxed);
        self.alike.store(1, Ordering::Relaxed);
        self.unlike.store(1, Ordering::Relaxed);
        self.widens(&[Span {
            least: f64::NEG_INFINITY,
            most: f64::INFINITY,
        }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(trust: &Trust, alike: bool, batches: u64) -> Vec<Plan> {
        (0..batches).map(|_| trust.plan(alike)).collect()
    }

    fn compared(plans: &[Plan]) -> u64 {
        plans.iter().filter(|it| **it == Plan::Compared).count() as u64
    }

    #[test]
    fn different_calls_are_never_joined_unseen_without_proof() {
        let trust = Trust::default();
        plans(&trust, true, 10 * FIRST);
        for _ in 1..ENOUGH {
            trust.proved();
        }
        let plans = plans(&trust, false, 10 * FIRST);
        assert!(!plans.contains(&Plan::Joined));
        assert_eq!(compared(&plans), FIRST + 9 * FIRST / AGAIN);
    }

    #[test]
    fn equal_calls_are_joined_when_enough_of_them_were_compared() {
        let trust = Trust::default();
        assert_eq!(compared(&plans(&trust, true, FIRST)), FIRST);
        let later = plans(&trust, true, 10 * AGAIN);
        assert_eq!(compared(&later), 10);
        assert!(!later.contains(&Plan::Apart));
    }

    #[test]
    fn what_was_compared_once_is_not_wider() {
        let trust = Trust::default();
        let span = |least, most| Span { least, most };
        for (given, wider) in [
            (span(0.0, 1.0), true),
            (span(0.5, 1.0), false),
            (span(-1.0, 0.0), true),
            (span(0.0, 2.0), true),
            (span(-1.0, 2.0), false),
            (Span::NOTHING, false),
        ] {
            assert_eq!(trust.widens(&[given]), wider, "{given:?}");
        }
    }

    #[test]
    fn with_proof_a_sample_goes_on() {
        let trust = Trust::default();
        for _ in 0..ENOUGH {
            assert_eq!(trust.plan(false), Plan::Compared);
            trust.proved();
        }
        for alike in [false, true] {
            let later = plans(&trust, alike, 100 * SAMPLE);
            assert_eq!(compared(&later), 100);
            assert!(!later.contains(&Plan::Apart));
        }
    }
}
