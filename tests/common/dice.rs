//! Randomness of the reliability tests, and how much of it a run gets.

/// A small generator of its own, so that a failing seed can be named and run again.
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// A number from 0, below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// The items in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// How much a run does; the longer runs of `scripts/reliability` set the variable.
pub fn amount(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usual)
}

/// Some bytes with a change, or some: bytes set, taken out, put in, pieces repeated, cut off, or taken from `words`.
pub fn mutated(bytes: &[u8], words: &[&str], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    loop {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(40)).min(bytes.len());
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] = dice.bits() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, *dice.pick(b"[]{}.,=\"'\n\r\t#$0 -\\\0\xff")),
            4 => drop(bytes.drain(at.min(end)..end)),
            5 => {
                let piece = bytes[at.min(end)..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            6 => bytes.truncate(at.max(1)),
            7 if at + 8 <= bytes.len() => {
                let number = *dice.pick(&[0, 1, u64::MAX, 1 << 60, 1 << 31]);
                bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            _ if !words.is_empty() => {
                let word = dice.pick(words).bytes();
                bytes.splice(at..at, word);
            }
            _ => {}
        }
        // Every other one is left at one change: most of what many changes leave is refused for the first.
        if dice.below(2) == 0 {
            return bytes;
        }
    }
}
