//! Questions for the extreme keys and records of an object: what sizes of arrays are made of.

use crate::Extent;

/// What is asked for. Keys that are asked for must be integers.
#[derive(Debug, Clone, Copy)]
pub struct KeyQuery<'a> {
    /// The greatest, or the least.
    pub greatest: bool,
    /// In this dkey; `None` asks for the extreme dkey in which the rest finds something.
    pub dkey: Option<&'a [u8]>,
    /// Which akey.
    pub akey: AkeyQuery<'a>,
    /// Ask for the extreme record of the array as well.
    pub recx: bool,
}

/// Which akey a query is about.
#[derive(Debug, Clone, Copy)]
pub enum AkeyQuery<'a> {
    /// None: the dkey is what is asked for.
    None,
    /// The extreme one.
    Extreme,
    /// This one.
    Given(&'a [u8]),
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyFound {
    /// The extreme dkey, where it was asked for.
    pub dkey: Option<u64>,
    /// The extreme akey, where it was asked for.
    pub akey: Option<u64>,
    /// The extent that holds the extreme record, where that was asked for; in some order of pieces, so that only its extreme end
    /// means something.
    pub recx: Option<Extent>,
    /// Bytes of a record there.
    pub rec_size: u64,
}
