//! Keys and values of flat key-value objects.

use crate::{Iod, IodSums, IodValue};

/// The akey of a flat object's values.
pub const KV_AKEY: &[u8] = b"0";

/// A key of a flat key-value object and its new value.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Its sum.
    pub sums: IodSums<'a>,
}

impl<'a> Pair<'a> {
    /// Without a sum.
    pub fn new(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key, value, sums: IodSums::default() }
    }

    /// What an update of the key has below it.
    pub fn iod(&self) -> Iod<'a> {
        Iod { sums: self.sums, ..Iod::new(KV_AKEY, IodValue::Single(self.value)) }
    }

    /// Bytes of key and value.
    pub const fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}
