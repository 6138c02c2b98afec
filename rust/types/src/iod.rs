//! What changes and what is read below a dkey: the same words from the client's request down to the store.

use crate::{Cond, Extent, FetchedSums, IodSums, ValueSum};
use alloc::vec::Vec;
use core::ops::Range;

/// The new value of one akey.
#[derive(Debug, Clone, Copy)]
pub struct Iod<'a> {
    /// The akey.
    pub akey: &'a [u8],
    /// Its own conditions, with [`Cond::PER_AKEY`].
    pub cond: Cond,
    /// The value.
    pub value: IodValue<'a>,
    /// The sums of its data.
    pub sums: IodSums<'a>,
}

impl<'a> Iod<'a> {
    /// On no condition, without sums.
    pub fn new(akey: &'a [u8], value: IodValue<'a>) -> Self {
        Self { akey, cond: Cond::NONE, value, sums: IodSums::default() }
    }
}

/// What an akey gets.
#[derive(Debug, Clone, Copy)]
pub enum IodValue<'a> {
    /// A single value, replaced as a whole.
    Single(&'a [u8]),
    /// No single value any more; the akey stays.
    NoSingle,
    /// Records of an array; what other extents hold stays as it is.
    Array {
        /// Bytes of a record: the same in the whole array as long as it holds anything. At least 1.
        rec_size: u64,
        /// Which records; no two overlap.
        recxs: &'a [Extent],
        /// The records, extent after extent without gaps.
        data: &'a [u8],
    },
    /// These records of an array are there no more.
    Holes(&'a [Extent]),
}

/// What a punch hides.
#[derive(Debug, Clone, Copy)]
pub enum Punched<'a> {
    /// All of the object.
    Object,
    /// A dkey and its akeys.
    Dkey(&'a [u8]),
    /// Akeys of one dkey.
    Akeys(&'a [u8], &'a [&'a [u8]]),
}

/// What is read of one akey, and into what.
#[derive(Debug)]
pub struct FetchIod<'a> {
    /// The akey.
    pub akey: &'a [u8],
    /// The kind of value.
    pub value: FetchValue<'a>,
    /// Answered: the sum of a single value.
    pub sum: ValueSum,
}

impl<'a> FetchIod<'a> {
    /// Nothing answered yet.
    pub fn new(akey: &'a [u8], value: FetchValue<'a>) -> Self {
        Self { akey, value, sum: ValueSum::default() }
    }
}

/// What is read of an akey.
#[derive(Debug)]
pub enum FetchValue<'a> {
    /// Its single value. The sink stays untouched where there is none.
    Single(&'a mut dyn ValueSink),
    /// Records of its array.
    Array(ArrayFetch<'a>),
}

/// A read of records of an array.
#[derive(Debug)]
pub struct ArrayFetch<'a> {
    /// Which records; with none, and no `data`, only the size of a record is told.
    pub recxs: &'a [Extent],
    /// Where they go, extent after extent without gaps. Holes are left as they are.
    pub data: &'a mut [u8],
    /// Given: bytes of a record as `data` is laid out. Answered: as they are stored, 0 where there is no array. Where the two
    /// differ, nothing was read.
    pub rec_size: u64,
    /// Answered: the ranges of `data` that are holes, ascending, neighbours joined.
    pub holes: Vec<Range<usize>>,
    /// Answered: sums of what was read into `data`. What has them counts only once it was compared with them: nobody below
    /// may have.
    pub sums: FetchedSums,
    /// Answered: the CRC-32C of each [unit](crate::unit) of `data`, where that was made while all of it came; else none.
    pub units: Vec<u32>,
}

impl<'a> ArrayFetch<'a> {
    /// Nothing answered yet.
    pub fn new(recxs: &'a [Extent], data: &'a mut [u8], rec_size: u64) -> Self {
        Self { recxs, data, rec_size, holes: Vec::new(), sums: FetchedSums::default(), units: Vec::new() }
    }
}

/// Where a single value goes.
pub trait ValueSink: core::fmt::Debug {
    /// The value, which lies in memory. Must not wait for anything: the memory is held meanwhile.
    fn put(&mut self, value: &[u8]);

    /// Room for a value of so many bytes that is still to be read; `None` refuses it. Nothing is held meanwhile. What the room
    /// holds counts only where the fetch succeeds.
    fn room(&mut self, len: usize) -> Option<&mut [u8]>;

    /// The value of so many bytes that came last, as it lies there: to be verified. `None` where it was not kept.
    fn last(&self, len: usize) -> Option<&[u8]>;
}

impl ValueSink for Vec<u8> {
    fn put(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        let from = self.len();
        self.resize(from + len, 0);
        self.get_mut(from..)
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        self.get(self.len().checked_sub(len)?..)
    }
}
