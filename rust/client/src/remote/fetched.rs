//! The reply to a fetch, received where it belongs.

use super::call::not_understood;
use crate::error::Result;
use daos_net::frame::Place;
use daos_net::{NetError, Receive};
use daos_types::{Der, FetchIod};
use daos_wire::{ReadFetchReply, WireError};

/// A reply to a fetch, straight into what its iods name.
pub(super) struct Fetched<'a, 'i> {
    iods: &'a mut [FetchIod<'i>],
    body: Vec<u8>,
    lens: Vec<usize>,
    units: Vec<Vec<u32>>,
}

impl<'a, 'i> Fetched<'a, 'i> {
    pub(super) fn new(iods: &'a mut [FetchIod<'i>]) -> Self {
        Self { iods, body: Vec::new(), lens: Vec::new(), units: Vec::new() }
    }

    /// All of it is there.
    pub(super) fn finish(self) -> Result<()> {
        let Self { iods, body, lens, mut units } = self;
        let reply =
            ReadFetchReply::decode(&body, &lens, iods).map_err(|error| not_understood(false, &error))?;
        reply.finish(iods, &mut units);
        Ok(())
    }

    fn reply(&self) -> std::result::Result<ReadFetchReply<'_>, WireError> {
        ReadFetchReply::decode(&self.body, &self.lens, self.iods)
    }
}

impl Receive for Fetched<'_, '_> {
    fn head(&mut self, _: u32, body: &[u8], places: &[Place]) -> daos_net::Result<()> {
        self.body = body.to_vec();
        self.lens = places.iter().map(|place| place.len as usize).collect();
        self.units = vec![Vec::new(); places.len()];
        let reply = self.reply().map_err(|error| NetError::before(error.der(), error.to_string()))?;
        if places.iter().any(|place| place.sum.is_none()) && !reply.has_sums(self.iods) {
            return Err(NetError::before(Der::Proto, "a reply with data of which nothing has a checksum"));
        }
        Ok(())
    }

    fn rooms(&mut self, payload: usize) -> daos_net::Result<Vec<&mut [u8]>> {
        let reply = ReadFetchReply::decode(&self.body, &self.lens, self.iods)
            .map_err(|error| NetError::before(error.der(), error.to_string()))?;
        let len = self.lens.get(payload).copied().unwrap_or_default();
        reply.rooms(self.iods, payload).ok_or_else(|| {
            NetError::before(Der::Inval, format!("there is no room for a value of {len} bytes"))
        })
    }

    fn came(&mut self, payload: usize, units: Vec<u32>) {
        if let Some(place) = self.units.get_mut(payload) {
            *place = units;
        }
    }
}
