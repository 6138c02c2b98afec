//! From values to the bytes of `docs/formats/messages.md`.

use crate::ShardRef;
use crate::error::{KEY, WireError};
use crate::limits::{BODY_LEN_MAX, BODY_VERSION, DATA_INLINE_MAX, MESSAGE_PAYLOADS_MAX};
use daos_types::limits::KEY_LEN_MAX;
use daos_types::{ChecksumKind, Extent, IodSums, ObjectId};
use std::ops::Range;

/// A message that is ready to be sent: its body, and beside it the long values, from where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// The body.
    pub body: Vec<u8>,
    /// The payloads, in the order in which the body names them.
    pub payloads: Vec<Beside<'a>>,
}

/// A long value beside a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The sums of its [units](daos_types::unit), if they are known: they are not sent.
    pub units: &'a [u32],
}

/// Whether a value travels beside the body.
pub(crate) fn is_payload(data: &[u8]) -> bool {
    data.len() > DATA_INLINE_MAX
}

/// Writes a body, field by field. What is too long is noted and told at the end.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    body: Vec<u8>,
    payloads: Vec<Beside<'a>>,
    failed: Option<WireError>,
}

impl<'a> Encoder<'a> {
    /// A body that begins with its version.
    pub(crate) fn new() -> Self {
        let mut encoder = Self { body: Vec::with_capacity(128), payloads: Vec::new(), failed: None };
        encoder.bytes_of(&BODY_VERSION.to_le_bytes());
        encoder
    }

    /// The whole, unless something was too long.
    pub(crate) fn finish(self) -> Result<Encoded<'a>, WireError> {
        let Self { body, payloads, failed } = self;
        let bound = |what, len, max| (len > max).then_some(WireError::TooLong { what, len, max });
        let error = failed
            .or_else(|| bound("bytes of a message's body", body.len(), BODY_LEN_MAX))
            .or_else(|| bound("long values of one message", payloads.len(), MESSAGE_PAYLOADS_MAX));
        error.map_or(Ok(Encoded { body, payloads }), Err)
    }

    fn bytes_of(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, number: u8) {
        self.body.push(number);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.bytes_of(&number.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.bytes_of(&number.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.bytes_of(&number.to_le_bytes());
    }

    pub(crate) fn array(&mut self, bytes: &[u8; 16]) {
        self.bytes_of(bytes);
    }

    pub(crate) fn bool(&mut self, yes: bool) {
        self.u8(u8::from(yes));
    }

    /// A length or count of four bytes.
    pub(crate) fn len(&mut self, what: &'static str, len: usize) {
        self.bound(what, len, u32::MAX as usize);
        self.u32(len as u32);
    }

    /// A bound that a request names: more than four bytes can say is as good as that.
    pub(crate) fn at_most(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn bound(&mut self, what: &'static str, len: usize, max: usize) {
        if len > max && self.failed.is_none() {
            self.failed = Some(WireError::TooLong { what, len, max });
        }
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.len("elements of a list", items.len());
        items.for_each(|item| write(self, item));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len("bytes of a field", bytes.len());
        self.bytes_of(bytes);
    }

    /// What is left of a body.
    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        self.bytes_of(bytes);
    }

    /// A dkey or akey, or a place in a listing, which is not much longer than one.
    pub(crate) fn key(&mut self, key: &[u8]) {
        self.bound(KEY, key.len(), KEY_LEN_MAX);
        self.bytes(key);
    }

    /// A value: in the body if it is short, else as the next payload.
    pub(crate) fn data(&mut self, data: &'a [u8]) {
        self.summed(data, &[]);
    }

    /// As [`Encoder::data`], of which the sums of its units may be known.
    pub(crate) fn summed(&mut self, data: &'a [u8], units: &'a [u32]) {
        self.len("bytes of a value", data.len());
        if is_payload(data) {
            self.payloads.push(Beside { bytes: data, units });
        } else {
            self.bytes_of(data);
        }
    }

    pub(crate) fn extents(&mut self, extents: &[Extent]) {
        self.list(extents, |to, extent| to.extent(*extent));
    }

    pub(crate) fn extent(&mut self, extent: Extent) {
        self.u64(extent.index);
        self.u64(extent.count);
    }

    /// Ranges of a buffer.
    pub(crate) fn ranges(&mut self, ranges: &[Range<usize>]) {
        self.list(ranges, |to, range| {
            to.len("place in a buffer", range.start);
            to.len("bytes of a range", range.len());
        });
    }

    pub(crate) fn oid(&mut self, oid: ObjectId) {
        self.u64(oid.hi);
        self.u64(oid.lo);
    }

    pub(crate) fn shard(&mut self, of: ShardRef) {
        self.array(&of.cont.0);
        self.oid(of.oid.oid);
        self.u32(of.oid.shard.0);
    }

    /// The sums of what goes to one akey.
    pub(crate) fn iod_sums(&mut self, sums: IodSums<'_>) {
        self.u8(sums.by.kind.map_or(0, |kind| kind as u8));
        self.u32(sums.by.piece_size);
        self.bool(sums.by.server_verifies);
        self.bytes(sums.bytes);
    }

    /// A sum as [`crate::push_sum`] keeps it.
    pub(crate) fn packed_sum(&mut self, sum: &[u8]) {
        let kind =
            sum.split_first().and_then(|(number, sum)| Some((ChecksumKind::from_number(*number)?, sum)));
        self.sum(kind);
    }

    /// The sum of one value.
    pub(crate) fn sum(&mut self, sum: Option<(ChecksumKind, &[u8])>) {
        self.u8(sum.map_or(0, |(kind, _)| kind as u8));
        self.bytes_of(sum.map_or(&[], |(_, bytes)| bytes));
    }
}
