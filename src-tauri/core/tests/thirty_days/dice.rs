//! Numbers that a seed decides (SplitMix64).

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `most`.
    pub fn below(&mut self, most: i64) -> i64 {
        let most = u64::try_from(most.max(1)).unwrap_or(1);
        i64::try_from(self.next() % most).unwrap_or_default()
    }

    pub fn one_in(&mut self, many: i64) -> bool {
        self.below(many) == 0
    }
}
