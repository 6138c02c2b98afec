//! `query`: the extreme keys and records of an object.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::{ShardRef, WireError};
use daos_types::{AkeyQuery, Durability, Epoch, KeyFound, KeyQuery};

/// A query.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Where.
    pub of: ShardRef,
    /// What.
    pub what: KeyQuery<'a>,
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

const NONE: u8 = 0;
const EXTREME: u8 = 1;
const GIVEN: u8 = 2;

impl<'a> Query<'a> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.u64(self.epoch.0);
        to.bool(self.what.greatest);
        to.option(self.what.dkey, Encoder::key);
        match self.what.akey {
            AkeyQuery::None => to.u8(NONE),
            AkeyQuery::Extreme => to.u8(EXTREME),
            AkeyQuery::Given(akey) => {
                to.u8(GIVEN);
                to.key(akey);
            }
        }
        to.bool(self.what.recx);
        to.finish()
    }

    /// The query of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, epoch, greatest) = (from.shard()?, from.epoch()?, from.bool()?);
        let dkey = from.option(Decoder::key)?;
        let akey = match from.u8()? {
            NONE => AkeyQuery::None,
            EXTREME => AkeyQuery::Extreme,
            GIVEN => AkeyQuery::Given(from.key()?),
            _ => return Err(from.wrong("neither no akey (0) nor the extreme one (1) nor a given one (2)")),
        };
        let recx = from.bool()?;
        from.end()?;
        Ok(Self { of, what: KeyQuery { greatest, dkey, akey, recx }, epoch, durability })
    }
}

/// The message of what a query found.
pub fn encode_found(found: Option<&KeyFound>) -> Result<Encoded<'static>, WireError> {
    let mut to = Encoder::new();
    to.option(found, |to, found| {
        to.option(found.dkey, Encoder::u64);
        to.option(found.akey, Encoder::u64);
        to.option(found.recx, Encoder::extent);
        to.u64(found.rec_size);
    });
    to.finish()
}

/// What a query found, of its message.
pub fn decode_found(body: &[u8], payloads: &[&[u8]]) -> Result<Option<KeyFound>, WireError> {
    let mut from = Decoder::new(body, payloads)?;
    let found = from.option(|from| {
        Ok(KeyFound {
            dkey: from.option(Decoder::u64)?,
            akey: from.option(Decoder::u64)?,
            recx: from.option(Decoder::extent)?,
            rec_size: from.rec_size()?,
        })
    })?;
    from.end()?;
    Ok(found)
}
