//! `update`: new values under akeys of one dkey, all or none.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::{ShardRef, WireError};
use daos_types::{Cond, Durability, Extent, Iod, IodSums, IodValue, Origin};
use std::ops::Range;

/// An update of one dkey.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// Where.
    pub of: ShardRef,
    /// The dkey.
    pub dkey: &'a [u8],
    /// What changes below it.
    pub iods: &'a [Iod<'a>],
    /// Only if.
    pub cond: Cond,
    /// What the reply promises.
    pub durability: Durability,
    /// Which change it is, where it may be sent again; it travels in the frame's header.
    pub origin: Option<Origin>,
}

const SINGLE: u8 = 0;
const NO_SINGLE: u8 = 1;
const RECORDS: u8 = 2;
const HOLES: u8 = 3;

/// Bytes of the shortest iod.
const IOD_LEN_MIN: usize = 23;

impl<'a> Update<'a> {
    /// Its message; the durability travels in the frame's header. Values longer than a page stay where they lie.
    pub fn encode(&self) -> Result<Encoded<'a>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.key(self.dkey);
        to.u64(self.cond.0);
        to.list(self.iods, |to, iod| {
            to.key(iod.akey);
            to.u64(iod.cond.0);
            to.iod_sums(iod.sums);
            match iod.value {
                IodValue::Single(data) => {
                    to.u8(SINGLE);
                    to.summed(data, iod.sums.units);
                }
                IodValue::NoSingle => to.u8(NO_SINGLE),
                IodValue::Array { rec_size, recxs, data } => {
                    to.u8(RECORDS);
                    to.u64(rec_size);
                    to.extents(recxs);
                    to.summed(data, iod.sums.units);
                }
                IodValue::Holes(recxs) => {
                    to.u8(HOLES);
                    to.extents(recxs);
                }
            }
        });
        to.finish()
    }
}

/// An update as it arrived: it borrows from the frame.
#[derive(Debug)]
pub struct ReadUpdate<'a> {
    of: ShardRef,
    dkey: &'a [u8],
    cond: Cond,
    durability: Durability,
    iods: Vec<ReadIod<'a>>,
    recxs: Vec<Extent>,
}

#[derive(Debug)]
struct ReadIod<'a> {
    akey: &'a [u8],
    cond: Cond,
    sums: IodSums<'a>,
    value: ReadValue<'a>,
    /// Which payload the value is, if it is one.
    payload: Option<usize>,
}

/// As [`IodValue`], with places in the list of all extents.
#[derive(Debug)]
enum ReadValue<'a> {
    Single(&'a [u8]),
    NoSingle,
    Array { rec_size: u64, recxs: Range<usize>, data: &'a [u8] },
    Holes(Range<usize>),
}

impl<'a> ReadUpdate<'a> {
    /// The update of a message and the header's durability.
    pub fn decode(
        durability: Durability,
        body: &'a [u8],
        payloads: &'a [&'a [u8]],
    ) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, dkey, cond) = (from.shard()?, from.key()?, Cond(from.u64()?));
        let mut recxs = Vec::new();
        let iods = from.list(IOD_LEN_MIN, |from| {
            let (akey, cond) = (from.key()?, Cond(from.u64()?));
            let sums = from.iod_sums()?;
            let before = from.payloads_used();
            let value = match from.u8()? {
                SINGLE => ReadValue::Single(from.value()?),
                NO_SINGLE => ReadValue::NoSingle,
                RECORDS => ReadValue::Array {
                    rec_size: from.rec_size()?,
                    recxs: from.extents(&mut recxs)?,
                    data: from.value()?,
                },
                HOLES => ReadValue::Holes(from.extents(&mut recxs)?),
                _ => return Err(from.wrong("an unknown kind of value")),
            };
            let payload = (from.payloads_used() > before).then_some(before);
            Ok(ReadIod { akey, cond, sums, value, payload })
        })?;
        from.end()?;
        Ok(Self { of, dkey, cond, durability, iods, recxs })
    }

    /// With the sums of the units of its payloads, which whoever took them in has made.
    #[must_use]
    pub fn summed(mut self, units: &[&'a [u32]]) -> Self {
        for iod in &mut self.iods {
            iod.sums.units = iod.payload.and_then(|nth| units.get(nth).copied()).unwrap_or_default();
        }
        self
    }

    /// With the number of the landing where its only payload is.
    #[must_use]
    pub fn landed(mut self, number: u64) -> Self {
        self.iods.iter_mut().filter(|iod| iod.payload == Some(0)).for_each(|iod| iod.sums.landed = number);
        self
    }

    /// Hands the request over, as it was made.
    pub fn with<R>(&self, run: impl FnOnce(&Update<'_>) -> R) -> R {
        let recxs = |range: &Range<usize>| self.recxs.get(range.clone()).unwrap_or_default();
        let iods: Vec<Iod<'_>> = self
            .iods
            .iter()
            .map(|iod| {
                let value = match &iod.value {
                    ReadValue::Single(data) => IodValue::Single(data),
                    ReadValue::NoSingle => IodValue::NoSingle,
                    ReadValue::Array { rec_size, recxs: range, data } => {
                        IodValue::Array { rec_size: *rec_size, recxs: recxs(range), data }
                    }
                    ReadValue::Holes(range) => IodValue::Holes(recxs(range)),
                };
                Iod { akey: iod.akey, cond: iod.cond, value, sums: iod.sums }
            })
            .collect();
        let Self { of, dkey, cond, durability, .. } = *self;
        run(&Update { of, dkey, iods: &iods, cond, durability, origin: None })
    }
}
