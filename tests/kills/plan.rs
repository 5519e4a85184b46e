//! Where a kill falls, and when the next run is: dice that come again with their seed.

use std::time::Duration;

/// Numbers that look random and come again with their seed (xorshift64*).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// How long nobody runs anything: mostly near what the guards wait for.
    pub fn gap(&mut self) -> Duration {
        let (from, to) = match self.below(20) {
            0..=3 => (1, 60),
            4..=12 => (60, 300),
            13..=18 => (300, 1_200),
            _ => (3_600, 18_000),
        };
        Duration::from_secs(from + self.below(to - from))
    }
}

/// How a run is to be killed.
#[derive(Clone, Debug)]
pub enum Kill {
    /// At so many boundaries passed, of all or of one kind.
    At(String),
    /// So long after it was started.
    After(Duration),
    Never,
}
