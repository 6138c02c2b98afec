//! `punch`: hides an object, a dkey or akeys from now on.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::{ShardRef, WireError};
use daos_types::{Cond, Durability, Origin, Punched};

/// A punch.
#[derive(Debug, Clone, Copy)]
pub struct Punch<'a> {
    /// Where.
    pub of: ShardRef,
    /// What.
    pub what: Punched<'a>,
    /// Only if.
    pub cond: Cond,
    /// What the reply promises.
    pub durability: Durability,
    /// Which change it is, where it may be sent again; it travels in the frame's header.
    pub origin: Option<Origin>,
}

const OBJECT: u8 = 0;
const DKEY: u8 = 1;
const AKEYS: u8 = 2;

impl Punch<'_> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.u64(self.cond.0);
        match self.what {
            Punched::Object => to.u8(OBJECT),
            Punched::Dkey(dkey) => {
                to.u8(DKEY);
                to.key(dkey);
            }
            Punched::Akeys(dkey, akeys) => {
                to.u8(AKEYS);
                to.key(dkey);
                to.list(akeys, |to, akey| to.key(akey));
            }
        }
        to.finish()
    }
}

/// A punch as it arrived: it borrows from the frame.
#[derive(Debug)]
pub struct ReadPunch<'a> {
    of: ShardRef,
    cond: Cond,
    durability: Durability,
    kind: u8,
    dkey: &'a [u8],
    akeys: Vec<&'a [u8]>,
}

impl<'a> ReadPunch<'a> {
    /// The punch of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, cond, kind) = (from.shard()?, Cond(from.u64()?), from.u8()?);
        if kind > AKEYS {
            return Err(from.wrong("neither an object (0) nor a dkey (1) nor akeys (2)"));
        }
        let dkey = if kind == OBJECT { &[][..] } else { from.key()? };
        let akeys = if kind == AKEYS { from.list(4, Decoder::key)? } else { Vec::new() };
        from.end()?;
        Ok(Self { of, cond, durability, kind, dkey, akeys })
    }

    /// The request, as it was made.
    pub fn request(&self) -> Punch<'_> {
        let what = match self.kind {
            OBJECT => Punched::Object,
            DKEY => Punched::Dkey(self.dkey),
            _ => Punched::Akeys(self.dkey, &self.akeys),
        };
        Punch { of: self.of, what, cond: self.cond, durability: self.durability, origin: None }
    }
}
