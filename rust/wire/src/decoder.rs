//! From the bytes of `docs/formats/messages.md` to values. Nothing is allocated for a count or length that the bytes do not bear out.

use crate::ShardRef;
use crate::error::WireError;
use crate::limits::{BODY_LEN_MAX, BODY_VERSION, DATA_INLINE_MAX};
use daos_types::checksum::PIECE_SIZE_MAX;
use daos_types::limits::KEY_LEN_MAX;
use daos_types::{ChecksumKind, Checksums, ContainerId, Epoch, Extent, IodSums, ObjectId, ShardIdx, UnitOid};
use std::ops::Range;

type Result<T> = std::result::Result<T, WireError>;

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    /// In the body.
    Inline(&'a [u8]),
    /// In a payload.
    Payload { nth: usize, len: usize },
}

impl Data<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Payload { len, .. } => *len,
        }
    }
}

/// Reads a body, field by field.
#[derive(Debug)]
pub(crate) struct Decoder<'a, 'p, P> {
    body: &'a [u8],
    at: usize,
    payloads: &'p [P],
    used: usize,
}

/// What is known of a payload before it has arrived, or after.
pub(crate) trait PayloadLen {
    fn payload_len(&self) -> usize;
}

impl PayloadLen for &[u8] {
    fn payload_len(&self) -> usize {
        self.len()
    }
}

impl PayloadLen for usize {
    fn payload_len(&self) -> usize {
        *self
    }
}

impl<'a, 'p, P: PayloadLen> Decoder<'a, 'p, P> {
    /// A reader behind the body's version.
    pub(crate) fn new(body: &'a [u8], payloads: &'p [P]) -> Result<Self> {
        if body.len() > BODY_LEN_MAX {
            let (what, len) = ("bytes of a message's body", body.len());
            return Err(WireError::TooLong { what, len, max: BODY_LEN_MAX });
        }
        let mut decoder = Self { body, at: 0, payloads, used: 0 };
        match u16::from_le_bytes(decoder.array()?) {
            BODY_VERSION => Ok(decoder),
            version => Err(WireError::Version { version, known: BODY_VERSION }),
        }
    }

    /// How many payloads the body has named so far.
    pub(crate) fn payloads_used(&self) -> usize {
        self.used
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// All must have been read, and all payloads used.
    pub(crate) fn end(&self) -> Result<()> {
        if self.at < self.body.len() {
            return Err(self.wrong("more than its fields"));
        }
        match self.payloads.get(self.used) {
            None => Ok(()),
            Some(left) => Err(WireError::Payload { nth: self.used, len: left.payload_len(), named: 0 }),
        }
    }

    /// What is wrong with what was read last.
    pub(crate) fn wrong(&self, what: &'static str) -> WireError {
        WireError::Malformed { at: self.at, what }
    }

    fn left(&self) -> usize {
        self.body.len() - self.at
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.body.get(self.at..).and_then(|rest| rest.get(..len));
        let bytes = bytes.ok_or_else(|| self.wrong("it ends in the middle of a field"))?;
        self.at += len;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong("neither yes (1) nor no (0)")),
        }
    }

    pub(crate) fn at_most(&mut self) -> Result<usize> {
        Ok(self.u32()? as usize)
    }

    /// The count of a list, whose elements have so many bytes at least.
    pub(crate) fn count(&mut self, element_len_min: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.left() / element_len_min {
            return Err(self.wrong("a list that is longer than what is left"));
        }
        Ok(count)
    }

    pub(crate) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(crate) fn list<T>(
        &mut self,
        element_len_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.count(element_len_min)?;
        (0..count).map(|_| read(self)).collect()
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub(crate) fn key(&mut self) -> Result<&'a [u8]> {
        let key = self.bytes()?;
        if key.len() > KEY_LEN_MAX {
            return Err(self.wrong("a key of more than 64 KiB"));
        }
        Ok(key)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| self.wrong("text that is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// A value: in the body if it is short, else the next payload.
    pub(crate) fn data(&mut self) -> Result<Data<'a>> {
        let len = self.u32()? as usize;
        if len <= DATA_INLINE_MAX {
            return Ok(Data::Inline(self.take(len)?));
        }
        let nth = self.used;
        match self.payloads.get(nth).map_or(0, PayloadLen::payload_len) {
            there if there == len => self.used += 1,
            there => return Err(WireError::Payload { nth, len: there, named: len }),
        }
        Ok(Data::Payload { nth, len })
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch> {
        Ok(Epoch(self.u64()?))
    }

    /// Bytes of a record; 0 only where that says something.
    pub(crate) fn rec_size(&mut self) -> Result<u64> {
        let size = self.u64()?;
        if size > crate::limits::RECORD_LEN_MAX {
            return Err(self.wrong("records of more than 1 GiB"));
        }
        Ok(size)
    }

    pub(crate) fn extent(&mut self) -> Result<Extent> {
        let (index, count) = (self.u64()?, self.u64()?);
        Extent::new(index, count)
            .ok_or_else(|| self.wrong("an extent that is empty, or ends past the last record"))
    }

    /// Extents, appended to others; where they are among them.
    pub(crate) fn extents(&mut self, to: &mut Vec<Extent>) -> Result<Range<usize>> {
        let from = to.len();
        let count = self.count(16)?;
        to.reserve(count);
        for _ in 0..count {
            to.push(self.extent()?);
        }
        Ok(from..to.len())
    }

    /// A range of a buffer of so many bytes; never empty.
    pub(crate) fn range(&mut self, buffer_len: usize) -> Result<Range<usize>> {
        let (from, len) = (self.u32()? as usize, self.u32()? as usize);
        match from.checked_add(len) {
            Some(end) if len > 0 && end <= buffer_len => Ok(from..end),
            _ => Err(self.wrong("a range that is empty, or outside of the buffer")),
        }
    }

    pub(crate) fn oid(&mut self) -> Result<ObjectId> {
        Ok(ObjectId { hi: self.u64()?, lo: self.u64()? })
    }

    pub(crate) fn shard(&mut self) -> Result<ShardRef> {
        let cont = ContainerId(self.array()?);
        let (oid, shard) = (self.oid()?, ShardIdx(self.u32()?));
        Ok(ShardRef { cont, oid: UnitOid { oid, shard } })
    }

    /// The number of an algorithm, or none.
    pub(crate) fn checksum_kind(&mut self) -> Result<Option<ChecksumKind>> {
        match self.u8()? {
            0 => Ok(None),
            number => match ChecksumKind::from_number(number) {
                None => Err(self.wrong("an unknown checksum")),
                kind => Ok(kind),
            },
        }
    }

    /// The sums of what goes to one akey.
    pub(crate) fn iod_sums(&mut self) -> Result<IodSums<'a>> {
        let by =
            Checksums { kind: self.checksum_kind()?, piece_size: self.u32()?, server_verifies: self.bool()? };
        let sums = IodSums::new(by, self.bytes()?);
        if by.piece_size > PIECE_SIZE_MAX || (by.kind.is_some() && by.piece_size == 0) {
            return Err(self.wrong("a sum for no bytes, or for more than 1 GiB"));
        }
        Ok(sums)
    }

    /// The sum of one value.
    pub(crate) fn sum(&mut self) -> Result<Option<(ChecksumKind, &'a [u8])>> {
        let Some(kind) = self.checksum_kind()? else { return Ok(None) };
        Ok(Some((kind, self.take(kind.sum_len())?)))
    }
}

impl<'a, 'p: 'a> Decoder<'a, 'p, &'a [u8]> {
    /// As [`Decoder::data`], where the payloads are here.
    pub(crate) fn value(&mut self) -> Result<&'a [u8]> {
        match self.data()? {
            Data::Inline(bytes) => Ok(bytes),
            Data::Payload { nth, .. } => Ok(self.payloads.get(nth).copied().unwrap_or_default()),
        }
    }
}
