//! `put pairs` and `get values`: many keys of a flat key-value object in one message.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::limits::{PAIRS_BYTES_MAX, PAIRS_MAX};
use crate::{ShardRef, WireError};
use daos_types::{ChecksumKind, Durability, Epoch, Origin, Packed, Pair};

/// Values that are put under keys of one shard of a flat key-value object, on no condition: all or none. Of a key that comes twice
/// the later value stays.
///
/// No more than [`PAIRS_MAX`], and of [`PAIRS_BYTES_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct PutPairs<'a> {
    /// Where.
    pub of: ShardRef,
    /// The keys, and what they get.
    pub pairs: &'a [Pair<'a>],
    /// What the reply promises.
    pub durability: Durability,
    /// Which change it is, where it may be sent again; it travels in the frame's header.
    pub origin: Option<Origin>,
}

/// Bytes of the shortest pair.
const PAIR_LEN_MIN: usize = 18;

impl<'a> PutPairs<'a> {
    /// Its message; the durability travels in the frame's header. Values longer than a page stay where they lie.
    pub fn encode(&self) -> Result<Encoded<'a>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.list(self.pairs, |to, pair| {
            to.key(pair.key);
            to.iod_sums(pair.sums);
            to.data(pair.value);
        });
        to.finish()
    }
}

/// Pairs as they arrived: they borrow from the frame.
#[derive(Debug)]
pub struct ReadPutPairs<'a> {
    of: ShardRef,
    pairs: Vec<Pair<'a>>,
    durability: Durability,
}

impl<'a> ReadPutPairs<'a> {
    /// The pairs of a message and the header's durability.
    pub fn decode(
        durability: Durability,
        body: &'a [u8],
        payloads: &'a [&'a [u8]],
    ) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let of = from.shard()?;
        let mut bytes = 0;
        let pairs = from.list(PAIR_LEN_MIN, |from| {
            let (key, sums, value) = (from.key()?, from.iod_sums()?, from.value()?);
            let pair = Pair { key, value, sums };
            bytes += pair.bytes();
            Ok(pair)
        })?;
        if pairs.len() > PAIRS_MAX || bytes > PAIRS_BYTES_MAX {
            return Err(from.wrong("more pairs than go into one change"));
        }
        from.end()?;
        Ok(Self { of, pairs, durability })
    }

    /// The request, as it was made.
    pub fn request(&self) -> PutPairs<'_> {
        PutPairs { of: self.of, pairs: &self.pairs, durability: self.durability, origin: None }
    }
}

/// The values of keys of one shard of a flat key-value object. They are read one after the other, not all at one moment.
#[derive(Debug, Clone, Copy)]
pub struct GetValues<'a> {
    /// Where.
    pub of: ShardRef,
    /// The keys.
    pub keys: &'a [&'a [u8]],
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// Stop after so many bytes of values; the first is answered whatever its length.
    pub bytes_max: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

impl GetValues<'_> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.u64(self.epoch.0);
        to.at_most(self.bytes_max);
        to.list(self.keys, |to, key| to.key(key));
        to.finish()
    }
}

/// The keys of a message: they borrow from the frame.
#[derive(Debug)]
pub struct ReadGetValues<'a> {
    of: ShardRef,
    keys: Vec<&'a [u8]>,
    epoch: Epoch,
    bytes_max: usize,
    durability: Durability,
}

impl<'a> ReadGetValues<'a> {
    /// The keys of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, epoch, bytes_max) = (from.shard()?, from.epoch()?, from.at_most()?);
        let keys = from.list(4, Decoder::key)?;
        from.end()?;
        Ok(Self { of, keys, epoch, bytes_max, durability })
    }

    /// The request, as it was made.
    pub fn request(&self) -> GetValues<'_> {
        let Self { of, epoch, bytes_max, durability, .. } = *self;
        GetValues { of, keys: &self.keys, epoch, bytes_max, durability }
    }
}

/// What [`GetValues`] found: of its first keys, at least one, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GotValues {
    /// Whether the key is there.
    pub there: Vec<bool>,
    /// The value of each; empty where it is not there.
    pub values: Packed,
    /// The sum of each value: the number of its algorithm (1), the sum; empty for one that has none.
    pub sums: Packed,
}

impl GotValues {
    /// Its message. Values longer than a page stay where they lie.
    pub fn encode(&self) -> Result<Encoded<'_>, WireError> {
        let mut to = Encoder::new();
        to.list(self.there.iter().zip(self.values.iter().zip(self.sums.iter())), |to, (there, found)| {
            to.option(there.then_some(found), |to, (value, sum)| {
                to.packed_sum(sum);
                to.data(value);
            });
        });
        to.finish()
    }

    /// The values of a message.
    pub fn decode<'a>(body: &'a [u8], payloads: &'a [&'a [u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let mut got = Self::default();
        for _ in 0..from.count(1)? {
            let found = from.option(|from| Ok((from.sum()?, from.value()?)))?;
            let (sum, value) = found.unwrap_or_default();
            got.push(found.is_some(), value, sum);
        }
        from.end()?;
        Ok(got)
    }

    /// Appends what was found of the next key.
    pub fn push(&mut self, there: bool, value: &[u8], sum: Option<(ChecksumKind, &[u8])>) {
        self.there.push(there);
        self.values.push(value);
        push_sum(&mut self.sums, sum);
    }
}

/// Appends a sum: the number of its algorithm, its bytes; nothing where there is none.
pub fn push_sum(to: &mut Packed, sum: Option<(ChecksumKind, &[u8])>) {
    match sum {
        None => to.push(&[]),
        Some((kind, sum)) => {
            if let Some((number, rest)) = to.push_room(1 + sum.len()).split_first_mut() {
                *number = kind as u8;
                rest.copy_from_slice(sum);
            }
        }
    }
}
