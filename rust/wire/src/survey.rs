//! `objects`, `diff` and `check`: what a container holds, how two of its states differ, and whether it is as it was stored.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::{ShardRef, WireError};
use daos_types::{ContainerId, Durability, Epoch, How, KeyDifference, ObjectId};

/// A page of a container's objects on a target.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    /// Which container.
    pub cont: ContainerId,
    /// Those that are there at any of these; [`Epoch::MAX`] is now.
    pub epochs: &'a [Epoch],
    /// Those behind this one, in the order of the ids.
    pub after: Option<ObjectId>,
    /// At most so many.
    pub count_max: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

impl Objects<'_> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.array(&self.cont.0);
        to.list(self.epochs, |to, epoch| to.u64(epoch.0));
        to.option(self.after, Encoder::oid);
        to.at_most(self.count_max);
        to.finish()
    }
}

/// A request for a page of objects as it arrived.
#[derive(Debug)]
pub struct ReadObjects {
    cont: ContainerId,
    epochs: Vec<Epoch>,
    after: Option<ObjectId>,
    count_max: usize,
    durability: Durability,
}

impl ReadObjects {
    /// The request of a message and the header's durability.
    pub fn decode(durability: Durability, body: &[u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (cont, epochs) = (ContainerId(from.array()?), from.list(8, Decoder::epoch)?);
        let (after, count_max) = (from.option(Decoder::oid)?, from.at_most()?);
        from.end()?;
        Ok(Self { cont, epochs, after, count_max, durability })
    }

    /// The request, as it was made.
    pub fn request(&self) -> Objects<'_> {
        let Self { cont, epochs, after, count_max, durability } = self;
        Objects { cont: *cont, epochs, after: *after, count_max: *count_max, durability: *durability }
    }
}

/// What a page of objects holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedObjects {
    /// The ids, ascending.
    pub oids: Vec<ObjectId>,
    /// Go on behind this one, which need not be among them; `None` at the end.
    pub next: Option<ObjectId>,
}

impl ListedObjects {
    /// Its message.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.list(&self.oids, |to, oid| to.oid(*oid));
        to.option(self.next, Encoder::oid);
        to.finish()
    }

    /// The page of a message.
    pub fn decode(body: &[u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (oids, next) = (from.list(16, Decoder::oid)?, from.option(Decoder::oid)?);
        from.end()?;
        Ok(Self { oids, next })
    }
}

/// A part of a check of a container on a target: that all its versions are as they were stored.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// Which container.
    pub cont: ContainerId,
    /// The place where the part before ended; without one, the check begins, with the target's index.
    pub from: Option<&'a [u8]>,
    /// About so many entries.
    pub budget: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

impl<'a> Check<'a> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.array(&self.cont.0);
        to.option(self.from, Encoder::bytes);
        to.at_most(self.budget);
        to.finish()
    }

    /// The request of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (cont, place) = (ContainerId(from.array()?), from.option(Decoder::bytes)?);
        let budget = from.at_most()?;
        from.end()?;
        Ok(Self { cont, from: place, budget, durability })
    }
}

/// What a part of a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Object shards that it came to the end of.
    pub objects: u64,
    /// Entries that were looked at.
    pub entries: u64,
    /// Pages of the index that were read.
    pub pages: u64,
    /// Bytes of values that were read beside them.
    pub bytes: u64,
    /// What is wrong, and of which object where it is of one.
    pub damaged: Vec<(Option<ObjectId>, String)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl Checked {
    /// Its message.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        for count in [self.objects, self.entries, self.pages, self.bytes] {
            to.u64(count);
        }
        to.list(&self.damaged, |to, (oid, what)| {
            to.option(*oid, Encoder::oid);
            to.bytes(what.as_bytes());
        });
        to.option(self.next.as_deref(), Encoder::bytes);
        to.finish()
    }

    /// What was found, of a message.
    pub fn decode(body: &[u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (objects, entries, pages, bytes) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let damaged = from.list(5, |from| Ok((from.option(Decoder::oid)?, from.text()?)))?;
        let next = from.option(Decoder::bytes)?.map(<[u8]>::to_vec);
        from.end()?;
        Ok(Self { objects, entries, pages, bytes, damaged, next })
    }
}

/// A page of the differences of an object shard.
#[derive(Debug, Clone, Copy)]
pub struct Diff<'a> {
    /// Where.
    pub of: ShardRef,
    /// The earlier state.
    pub before: Epoch,
    /// The later state.
    pub after: Epoch,
    /// The place where the page before ended.
    pub from: Option<&'a [u8]>,
    /// At most so many akeys.
    pub count_max: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

impl<'a> Diff<'a> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.u64(self.before.0);
        to.u64(self.after.0);
        to.option(self.from, Encoder::bytes);
        to.at_most(self.count_max);
        to.finish()
    }

    /// The request of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, before, after) = (from.shard()?, from.epoch()?, from.epoch()?);
        let (place, count_max) = (from.option(Decoder::bytes)?, from.at_most()?);
        from.end()?;
        Ok(Self { of, before, after, from: place, count_max, durability })
    }
}

/// What a page of differences holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The akeys, in the order of their keys.
    pub keys: Vec<KeyDifference>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

const ADDED: u8 = 0;
const REMOVED: u8 = 1;
const CHANGED: u8 = 2;

impl Differences {
    /// Its message.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.list(&self.keys, |to, key| {
            to.key(&key.dkey);
            to.key(&key.akey);
            to.u8(match key.how {
                How::Added => ADDED,
                How::Removed => REMOVED,
                How::Changed => CHANGED,
            });
            to.extents(&key.records);
        });
        to.option(self.next.as_deref(), Encoder::bytes);
        to.finish()
    }

    /// The page of a message.
    pub fn decode(body: &[u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let keys = from.list(13, |from| {
            let (dkey, akey) = (from.key()?.to_vec(), from.key()?.to_vec());
            let how = match from.u8()? {
                ADDED => How::Added,
                REMOVED => How::Removed,
                CHANGED => How::Changed,
                _ => return Err(from.wrong("neither added (0) nor removed (1) nor changed (2)")),
            };
            let mut records = Vec::new();
            from.extents(&mut records)?;
            Ok(KeyDifference { dkey, akey, how, records })
        })?;
        let next = from.option(Decoder::bytes)?.map(<[u8]>::to_vec);
        from.end()?;
        Ok(Self { keys, next })
    }
}
