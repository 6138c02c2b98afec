//! Fixed fields of bodies, one behind the other.

use super::FrameError;

/// Reads fields; what is not there is as wrong as what is left over.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

const SHORT: FrameError = FrameError::Malformed { what: "a body that ends too early" };

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The version of a body, which must be 1.
    pub(crate) fn version(&mut self) -> Result<(), FrameError> {
        match self.u16()? {
            1 => Ok(()),
            _ => Err(FrameError::Malformed { what: "a body of an unknown version" }),
        }
    }

    /// Bytes that mean nothing yet.
    pub(crate) fn zeros<const N: usize>(&mut self) -> Result<(), FrameError> {
        if self.array::<N>()? == [0; N] {
            Ok(())
        } else {
            Err(FrameError::Malformed { what: "a reserved byte that is not 0" })
        }
    }

    /// Text of so many bytes.
    pub(crate) fn text(&mut self, len: usize, len_max: usize) -> Result<&'a str, FrameError> {
        let (text, rest) = self.0.split_at_checked(len).filter(|_| len <= len_max).ok_or(SHORT)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| FrameError::Malformed { what: "text that is not UTF-8" })
    }

    pub(crate) fn end(&self) -> Result<(), FrameError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(FrameError::Malformed { what: "a body that is too long" }),
        }
    }
}
