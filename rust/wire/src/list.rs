//! `list`: one page of dkeys or akeys, or of the pairs of a flat key-value object.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::pairs::push_sum;
use crate::{ShardRef, WireError};
use daos_types::{Durability, Epoch, Packed};

/// A page of a listing.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// Where.
    pub of: ShardRef,
    /// The akeys of this dkey; `None` lists the object's dkeys.
    pub dkey: Option<&'a [u8]>,
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// The place where the page before ended.
    pub from: Option<&'a [u8]>,
    /// At most so many keys.
    pub count_max: usize,
    /// Stop after so many bytes of keys, and of values where they are listed.
    pub bytes_max: usize,
    /// Descending.
    pub reverse: bool,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

impl<'a> List<'a> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.u64(self.epoch.0);
        to.option(self.dkey, Encoder::key);
        to.option(self.from, Encoder::bytes);
        to.at_most(self.count_max);
        to.at_most(self.bytes_max);
        to.bool(self.reverse);
        to.finish()
    }

    /// The listing of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, epoch) = (from.shard()?, from.epoch()?);
        let (dkey, place) = (from.option(Decoder::key)?, from.option(Decoder::bytes)?);
        let (count_max, bytes_max, reverse) = (from.at_most()?, from.at_most()?, from.bool()?);
        from.end()?;
        Ok(Self { of, dkey, epoch, from: place, count_max, bytes_max, reverse, durability })
    }
}

/// What a page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedKeys {
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl ListedKeys {
    /// Its message.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.list(&self.keys, |to, key| to.key(key));
        to.option(self.next.as_deref(), Encoder::bytes);
        to.finish()
    }

    /// The page of a message.
    pub fn decode(body: &[u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let keys = from.list(4, |from| Ok(from.key()?.to_vec()))?;
        let next = from.option(Decoder::bytes)?.map(<[u8]>::to_vec);
        from.end()?;
        Ok(Self { keys, next })
    }
}

/// What a page of pairs holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPairs {
    /// The keys.
    pub keys: Packed,
    /// The value of each.
    pub values: Packed,
    /// The sum of each value: the number of its algorithm (1), the sum; empty for one that has none.
    pub sums: Packed,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl ListedPairs {
    /// Its message. Values longer than a page stay where they lie.
    pub fn encode(&self) -> Result<Encoded<'_>, WireError> {
        let mut to = Encoder::new();
        to.list(self.keys.iter().zip(self.values.iter()).zip(self.sums.iter()), |to, ((key, value), sum)| {
            to.key(key);
            to.data(value);
            to.packed_sum(sum);
        });
        to.option(self.next.as_deref(), Encoder::bytes);
        to.finish()
    }

    /// The page of a message.
    pub fn decode<'a>(body: &'a [u8], payloads: &'a [&'a [u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let mut page = Self::default();
        for _ in 0..from.count(9)? {
            page.keys.push(from.key()?);
            page.values.push(from.value()?);
            push_sum(&mut page.sums, from.sum()?);
        }
        page.next = from.option(Decoder::bytes)?.map(<[u8]>::to_vec);
        from.end()?;
        Ok(page)
    }
}
