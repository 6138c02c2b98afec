//! What a caller sends, and where the reply goes.

use crate::error::{NetError, Result};
use crate::frame::{Payload, Place};
use crate::limits::INLINE_LEN_MAX;
use crate::service::Bulk;
use daos_types::{Buffer, Der, Durability};
use std::time::Duration;

/// A request to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What is asked, at least 1.
    pub opcode: u16,
    /// How safe the answer has to be.
    pub durability: Durability,
    /// The sender's version of the pool map, 0 for none.
    pub map_version: u32,
    /// The open handle, 0 for none.
    pub handle: u64,
    /// The change's number in its session; 0 for what may be done twice.
    pub sequence: u64,
    /// The target, by its index in the engine.
    pub target: u32,
    /// Bytes of body and payloads that the reply may have.
    pub reply_max: u32,
    /// How long the call may take, from now to the last byte of its reply.
    pub timeout: Duration,
    /// The body.
    pub body: &'a [u8],
    /// What travels beside it, from where it lies.
    pub payloads: &'a [Payload<'a>],
}

impl<'a> Call<'a> {
    /// A call without a handle, to target 0, whose reply fits a frame without payloads.
    pub fn new(opcode: u16, timeout: Duration, body: &'a [u8]) -> Self {
        Self {
            opcode,
            durability: Durability::Synced,
            map_version: 0,
            handle: 0,
            sequence: 0,
            target: 0,
            reply_max: INLINE_LEN_MAX as u32,
            timeout,
            body,
            payloads: &[],
        }
    }
}

/// Where a reply goes.
pub trait Receive {
    /// The reply's body, and the list of the payloads that follow it: of those without a sum the body has to have some, and whoever
    /// receives them compares those. An error gives the reply up.
    fn head(&mut self, map_version: u32, body: &[u8], places: &[Place]) -> Result<()>;

    /// The memory that a payload goes to, in parts: together as long as its place in the list says. What they hold counts only where the call succeeds.
    fn rooms(&mut self, payload: usize) -> Result<Vec<&mut [u8]>>;

    /// A payload is there: the sums of its [units](daos_types::unit), made while it came.
    fn came(&mut self, _payload: usize, _units: Vec<u32>) {}
}

/// A reply that keeps all that came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The server's version of the pool map.
    pub map_version: u32,
    /// The body.
    pub body: Vec<u8>,
    /// The payloads, in their order.
    pub payloads: Vec<Bulk>,
}

impl Receive for Reply {
    fn head(&mut self, map_version: u32, body: &[u8], places: &[Place]) -> Result<()> {
        if places.iter().any(|place| place.sum.is_none()) {
            return Err(NetError::before(
                Der::Proto,
                "a reply with sums in its body where none were asked for",
            ));
        }
        self.keep(map_version, body, places);
        Ok(())
    }

    fn rooms(&mut self, payload: usize) -> Result<Vec<&mut [u8]>> {
        Ok(self.payloads.get_mut(payload).map(|bulk| &mut *bulk.bytes).into_iter().collect())
    }
}

impl Reply {
    fn keep(&mut self, map_version: u32, body: &[u8], places: &[Place]) {
        let bulk =
            |place: &Place| Bulk { shard: place.shard, ..Bulk::new(Buffer::zeroed(place.len as usize)) };
        *self = Self { map_version, body: body.to_vec(), payloads: places.iter().map(bulk).collect() };
    }

    /// Hands on what was kept.
    pub(crate) fn hand_on(&self, places: &[Place], into: &mut dyn Receive) -> Result<()> {
        into.head(self.map_version, &self.body, places)?;
        for (nth, bulk) in self.payloads.iter().enumerate() {
            let mut rest = &bulk.bytes[..];
            let rooms = into.rooms(nth)?;
            check_rooms(&rooms, rest.len())?;
            for room in rooms {
                let (part, behind) = rest.split_at_checked(room.len()).unwrap_or_default();
                room.copy_from_slice(part);
                rest = behind;
            }
            into.came(nth, bulk.units.clone());
        }
        Ok(())
    }
}

/// A reply that is kept for somebody else, as it came.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Reply);

impl Receive for Kept {
    fn head(&mut self, map_version: u32, body: &[u8], places: &[Place]) -> Result<()> {
        self.0.keep(map_version, body, places);
        Ok(())
    }

    fn rooms(&mut self, payload: usize) -> Result<Vec<&mut [u8]>> {
        self.0.rooms(payload)
    }

    fn came(&mut self, payload: usize, units: Vec<u32>) {
        if let Some(bulk) = self.0.payloads.get_mut(payload) {
            bulk.units = units;
        }
    }
}

/// A payload must fill the room that its caller gives.
pub(crate) fn check_rooms(rooms: &[&mut [u8]], len: usize) -> Result<()> {
    if rooms.iter().map(|room| room.len()).sum::<usize>() == len {
        return Ok(());
    }
    Err(NetError::before(Der::Overflow, format!("{len} bytes came where the caller has room for others")))
}
