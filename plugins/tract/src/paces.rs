//! Which calls are long enough to be worth several threads.
//!
//! To hand a call to a crew and to hear that it is done wakes two threads, which
//! takes as long as many a small model takes in the caller's thread. So the first
//! calls of each size are timed there, and only what takes several times the
//! price of handing over goes to a crew from then on.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Shorter calls stay in the caller's thread.
const LONG: Duration = Duration::from_micros(150);

/// How many calls of a size are timed; the first ones touch their memory first.
const TIMED: u64 = 3;

/// The low bits of an entry count its calls.
const COUNT_BITS: u32 = 2;

/// These bits.
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// How long calls take in one thread, by the size of their inputs.
#[derive(Debug)]
pub(crate) struct Paces {
    /// By the number of bits of the size: how many calls were timed, and above
    /// these bits the shortest time in nanoseconds.
    sizes: [AtomicU64; usize::BITS as usize + 1],
}

impl Paces {
    /// Nothing was timed yet.
    pub(crate) fn new() -> Self {
        Self {
            sizes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Whether calls with so many numbers are worth several threads; `None` if
    /// this call should be timed, in one thread.
    pub(crate) fn is_long(&self, size: usize) -> Option<bool> {
        self.shortest(size).map(|shortest| shortest >= LONG)
    }

    /// The shortest time of the calls with so many numbers; `None` if more of
    /// them should be timed.
    pub(crate) fn shortest(&self, size: usize) -> Option<Duration> {
        let known = self.entry(size).load(Ordering::Relaxed);
        (known & COUNT == TIMED).then(|| Duration::from_nanos(known >> COUNT_BITS))
    }

    /// Notes how long a call took in one thread. An update that is lost between
    /// threads is made up for by the next call.
    pub(crate) fn learn(&self, size: usize, took: Duration) {
        let entry = self.entry(size);
        let known = entry.load(Ordering::Relaxed);
        let count = known & COUNT;
        let longest = u64::MAX >> COUNT_BITS;
        let took = u64::try_from(took.as_nanos()).map_or(longest, |nanos| nanos.min(longest));
        let shortest = match count {
            0 => took,
            _ => took.min(known >> COUNT_BITS),
        };
        let count = (count + 1).min(TIMED);
        entry.store(shortest << COUNT_BITS | count, Ordering::Relaxed);
    }

    fn entry(&self, size: usize) -> &AtomicU64 {
        &self.sizes[(usize::BITS - size.leading_zeros()) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(20);
    const SLOW: Duration = Duration::from_millis(2);

    #[test]
    fn the_shortest_of_three_calls_decides() {
        for (times, long) in [
            ([SLOW, SLOW, SLOW], true),
            ([SLOW, SHORT, SLOW], false),
            ([SLOW, SLOW, LONG], true),
        ] {
            let paces = Paces::new();
            for took in times {
                assert_eq!(paces.is_long(100), None);
                paces.learn(100, took);
            }
            assert_eq!(paces.is_long(100), Some(long), "{times:?}");
        }
    }

    #[test]
    fn each_size_is_known_by_itself() {
        let paces = Paces::new();
        for _ in 0..TIMED {
            paces.learn(0, SHORT);
            paces.learn(64, SHORT);
            paces.learn(usize::MAX, SLOW);
        }
        assert_eq!(paces.is_long(64), Some(false));
        // As many bits.
        assert_eq!(paces.is_long(127), Some(false));
        assert_eq!(paces.is_long(0), Some(false));
        assert_eq!(paces.is_long(usize::MAX), Some(true));
        assert_eq!(paces.is_long(128), None);
    }
}
