//! What changes below a dkey: the same words from the client's request down to the store.

use crate::Cond;

/// The new value of one akey.
#[derive(Debug, Clone, Copy)]
pub struct Iod<'a> {
    /// The akey.
    pub akey: &'a [u8],
    /// Its own conditions, with [`Cond::PER_AKEY`].
    pub cond: Cond,
    /// The value.
    pub value: IodValue<'a>,
}

/// What an akey gets.
#[derive(Debug, Clone, Copy)]
pub enum IodValue<'a> {
    /// A single value, replaced as a whole.
    Single(&'a [u8]),
    /// No single value any more; the akey stays.
    NoSingle,
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
