//! From valid encodings to nearly valid ones, by a seed.

/// Bytes of the longest input that is made.
const LEN_MAX: usize = 32 << 10;
/// Changes made to one input at most.
const CHANGES_MAX: u64 = 6;

/// Splitmix64: small, and the same everywhere.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `end`, 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    /// A number that decoders stumble over: an end of a range, a power of two, something near the input's length.
    fn awkward(&mut self, len: usize) -> u64 {
        let near = (self.next() % 3).wrapping_sub(1);
        match self.next() % 6 {
            0 => near,
            1 => u64::from(u16::MAX).wrapping_add(near),
            2 => u64::from(u32::MAX).wrapping_add(near),
            3 => (1_u64 << (self.next() % 64)).wrapping_add(near),
            4 => (len as u64).wrapping_add(near),
            _ => self.next(),
        }
    }
}

/// Makes an input of one of the corpus, now and then with a part of another. Half of them are of the first `own`, so that it does
/// not drift to what is short.
pub(crate) fn mutate(random: &mut Random, corpus: &[Vec<u8>], own: usize, out: &mut Vec<u8>) {
    let among = if random.next().is_multiple_of(2) { own } else { corpus.len() };
    let Some(one) = corpus.get(random.below(among)) else { return };
    out.clear();
    out.extend_from_slice(one);
    for _ in 0..=random.next() % CHANGES_MAX {
        change(random, corpus, out);
    }
    out.truncate(LEN_MAX);
}

fn change(random: &mut Random, corpus: &[Vec<u8>], out: &mut Vec<u8>) {
    let at = random.below(out.len());
    match random.next() % 10 {
        0 | 1 => {
            if let Some(byte) = out.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = out.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        3..=5 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let number = random.awkward(out.len()).to_le_bytes();
            // Half of them big-endian, as in keys.
            let big = random.next().is_multiple_of(2);
            for (place, byte) in out.iter_mut().skip(at).take(width).enumerate() {
                *byte = number[if big { width - 1 - place } else { place }];
            }
        }
        6 => out.truncate(at),
        7 => {
            let end = (at + 1 + random.below(16)).min(out.len());
            out.drain(at.min(end)..end);
        }
        8 => {
            let more: Vec<u8> = (0..=random.below(16)).map(|_| random.next() as u8).collect();
            out.splice(at..at, more);
        }
        _ => {
            let Some(other) = corpus.get(random.below(corpus.len())) else { return };
            let from = random.below(other.len());
            let part = other.get(from..(from + 1 + random.below(256)).min(other.len())).unwrap_or_default();
            let end = (at + part.len()).min(out.len());
            out.splice(at..end, part.iter().copied());
        }
    }
}
