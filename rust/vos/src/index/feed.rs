//! The batch as the writer reads it: one change at a time, checked.

use super::{Batch, IndexError, KEY_LEN_MAX, Result, VALUE_LEN_MAX};

/// The change that is next in line.
pub(crate) struct Feed<'b> {
    batch: &'b mut dyn Batch,
    key: Vec<u8>,
    value: Vec<u8>,
    removes: bool,
    ended: bool,
}

impl<'b> Feed<'b> {
    pub(crate) fn new(batch: &'b mut dyn Batch) -> Result<Self> {
        let mut feed = Self { batch, key: Vec::new(), value: Vec::new(), removes: false, ended: false };
        feed.load(true)?;
        Ok(feed)
    }

    fn load(&mut self, is_first: bool) -> Result<()> {
        let Some((key, value)) = self.batch.next() else {
            self.ended = true;
            return Ok(());
        };
        if key.len() > KEY_LEN_MAX {
            return Err(IndexError::Batch(format!("a key of {} bytes, at most {KEY_LEN_MAX}", key.len())));
        }
        if !is_first && key <= self.key.as_slice() {
            return Err(IndexError::Batch("its keys are not strictly ascending".to_owned()));
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.removes = value.is_none();
        self.value.clear();
        if let Some(value) = value {
            if value.len() > VALUE_LEN_MAX {
                let len = value.len();
                return Err(IndexError::Batch(format!("a value of {len} bytes, at most {VALUE_LEN_MAX}")));
            }
            self.value.extend_from_slice(value);
        }
        Ok(())
    }

    /// On to the next change.
    pub(crate) fn advance(&mut self) -> Result<()> {
        self.load(false)
    }

    /// Tells the batch what the change at hand replaces.
    pub(crate) fn replaces(&mut self, old: &[u8]) {
        self.batch.replaced(old);
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether there is a change left, to a key below `high`.
    #[inline]
    pub(crate) fn is_before(&self, high: Option<&[u8]>) -> bool {
        !self.ended && high.is_none_or(|high| self.key.as_slice() < high)
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The new value, `None` where the key is removed.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        if self.removes { None } else { Some(&self.value) }
    }
}
