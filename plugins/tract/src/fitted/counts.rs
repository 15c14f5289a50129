//! Which extents are common among the latest calls.

use tract_onnx::prelude::TVec;

/// What the open extents of a call are.
pub(crate) type Extents = TVec<usize>;

/// Calls that are looked at together.
const WINDOW: u32 = 256;

/// With so many calls of a window, extents are common.
const COMMON: u32 = WINDOW / 8;

/// Different extents that are counted in a window, more than can be common.
const MAX_COUNTED: usize = 32;

/// The calls since the window began.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    calls: u32,
    seen: Vec<(Extents, u32)>,
}

impl Counts {
    /// Counts a call. At the end of a window, tells which extents were common.
    pub(crate) fn count(&mut self, extents: &Extents) -> Option<Vec<Extents>> {
        self.calls += 1;
        if let Some((_, count)) = self.seen.iter_mut().find(|(known, _)| known == extents) {
            *count += 1;
        } else if self.seen.len() < MAX_COUNTED {
            self.seen.push((extents.clone(), 1));
        }
        if self.calls < WINDOW {
            return None;
        }
        self.calls = 0;
        let seen = self.seen.drain(..);
        Some(
            seen.filter(|(_, count)| *count >= COMMON)
                .map(|(extents, _)| extents)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of calls with these extents and counts, in turns.
    fn common(calls: &[(usize, u32)]) -> Vec<usize> {
        let mut counts = Counts::default();
        let mut told = None;
        let most = calls.iter().map(|(_, count)| *count).max().unwrap();
        for turn in 0..most {
            for (extent, count) in calls {
                if turn < *count {
                    assert_eq!(told, None);
                    told = counts.count(&Extents::from_slice(&[*extent]));
                }
            }
        }
        let mut told: Vec<usize> = told.unwrap().iter().map(|extents| extents[0]).collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn extents_of_an_eighth_of_the_calls_are_common() {
        assert_eq!(common(&[(8, 256)]), [8]);
        assert_eq!(common(&[(8, 32), (4, 193), (2, 31)]), [4, 8]);
    }

    #[test]
    fn among_many_sizes_none_is_common() {
        let calls: Vec<_> = (0..128).map(|extent| (extent, 2)).collect();
        assert!(common(&calls).is_empty());
    }

    #[test]
    fn windows_are_apart() {
        let mut counts = Counts::default();
        let mut call = |extent| counts.count(&Extents::from_slice(&[extent]));
        for _ in 0..255 {
            assert_eq!(call(8), None);
        }
        assert_eq!(call(8).unwrap().len(), 1);
        for _ in 0..255 {
            assert_eq!(call(3), None);
        }
        assert_eq!(call(8), Some(vec![Extents::from_slice(&[3])]));
    }
}
