//! A value that is put where it is to be while it comes.

/// A place in a store that one value has while it comes, of which nobody knows yet. An update takes it by its number
/// ([`IodSums::landed`](crate::IodSums::landed)); what none has taken is free again when this is dropped. Nothing is durable by it.
pub trait Landing: core::fmt::Debug + Send + Sync {
    /// Its number among all of this process; never 0.
    fn number(&self) -> u64;

    /// Puts the next bytes of the value, from `at` on: multiples of [`UNIT_MIN`](crate::unit::UNIT_MIN) up to the last ones. What
    /// fails here is no error: the update puts the whole value as if there was no such place.
    fn put(&self, at: usize, bytes: &[u8]);
}

/// Bytes of a value for which it is worth having a place before it is there.
pub const LANDING_MIN: usize = 256 << 10;
