//! Rows shared among the threads that compute a call.
//!
//! Who wants a call computed by several threads runs it inside a pool of rayon's;
//! elsewhere all rows are computed in the caller's thread.

use rayon::{iter::IndexedParallelIterator, prelude::*};

/// Nanoseconds of work that are over before another thread has woken up.
const TOO_SHORT: usize = 50_000;

/// Rows that are computed together are not shared.
const TOGETHER: usize = 8;

/// A table of as many values in each row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) columns: usize,
}

impl<T: Sync> Rows<'_, T> {
    fn count(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// Lets `each` compute `width` scores for each row, given as many rows as a
    /// thread gets; what it returns comes in the order of the rows.
    /// `nanoseconds` is what a row takes about.
    pub(crate) fn share<S: Send, R: Send>(
        &self,
        scores: &mut [S],
        width: usize,
        nanoseconds: usize,
        each: impl Fn(&[T], &mut [S]) -> R + Sync,
    ) -> Vec<R> {
        let rows = self.count();
        let is_short = rows.saturating_mul(nanoseconds) < TOO_SHORT;
        if is_short || rayon::current_thread_index().is_none() {
            return vec![each(self.values, scores)];
        }
        let share = rows.div_ceil(rayon::current_num_threads());
        let share = share.next_multiple_of(TOGETHER);
        let values = self.values.par_chunks(share * self.columns.max(1));
        values
            .zip(scores.par_chunks_mut(share * width.max(1)))
            .map(|(values, scores)| each(values, scores))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row's sum, and how many rows each share had.
    fn sums(rows: usize, nanoseconds: usize) -> (Vec<u64>, Vec<usize>) {
        let values: Vec<u64> = (0..rows as u64 * 3).collect();
        let table = Rows {
            values: &values,
            columns: 3,
        };
        let mut sums = vec![0; rows];
        let shares = table.share(&mut sums, 1, nanoseconds, |values, sums| {
            for (sum, row) in sums.iter_mut().zip(values.chunks_exact(3)) {
                *sum = row.iter().sum();
            }
            sums.len()
        });
        (sums, shares)
    }

    #[test]
    fn every_row_is_computed_once_whoever_shares() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let pool = pool.unwrap();
        for rows in [0, 1, 7, 8, 9, 100] {
            let (alone, _) = sums(rows, TOO_SHORT);
            let (shared, shares) = pool.install(|| sums(rows, TOO_SHORT));
            assert_eq!(alone, shared);
            assert_eq!(shares.iter().sum::<usize>(), rows);
        }
    }

    #[test]
    fn only_long_work_inside_a_pool_is_shared() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let pool = pool.unwrap();
        assert_eq!(sums(64, TOO_SHORT).1, [64]);
        assert_eq!(pool.install(|| sums(64, 1)).1, [64]);
        assert_eq!(pool.install(|| sums(64, TOO_SHORT)).1, [32, 32]);
    }
}
