//! Failures in a row: how long to wait after them, and when they are too many.

use std::time::Duration;

/// Failures in a row after which a replica counts as broken.
pub(super) const MAX_FAILURES: u32 = 5;

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long to wait before the next start.
pub(super) fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_PAUSE
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        let millis = [0, 1, 2, 3, 8, 9, u32::MAX].map(|n| pause_after(n).as_millis());
        assert_eq!(millis, [0, 50, 100, 200, 6_400, 10_000, 10_000]);
    }
}
