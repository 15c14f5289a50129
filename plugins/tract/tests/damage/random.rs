//! Numbers that are the same in every run.

/// A generator of the kind "splitmix".
pub(crate) struct Random(u64);

impl Random {
    /// The generator of one case of one model.
    pub(crate) fn new(model: &str, case: usize) -> Self {
        let name = model
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self(name ^ (case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % (end.max(1) as u64)) as usize
    }

    /// One of `choices`.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number that programs stumble over.
    pub(crate) fn awkward(&mut self) -> i64 {
        const NUMBERS: [i64; 22] = [
            0,
            1,
            2,
            3,
            7,
            16,
            100,
            1000,
            65_535,
            1 << 20,
            1 << 24,
            (1 << 31) - 1,
            1 << 31,
            1 << 33,
            1 << 40,
            1 << 62,
            i64::MAX,
            -1,
            -2,
            -1000,
            -(1 << 31),
            i64::MIN,
        ];
        self.one_of(&NUMBERS)
    }
}
