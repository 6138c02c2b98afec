//! Several requests at once: all are sent before the reply to the first is waited for.

use super::call::{OneCall, REPLY_ROOM, not_understood, told, unsaid};
use super::fetched::Fetched;
use super::route::{Asked, ELEMENT_ROOM, RemoteRoute, TOGETHER_MAX};
use super::sequences::Drawn;
use crate::error::Result;
use crate::route::{Change, FetchOne, Route as _, each_pair};
use daos_net::{Channel, NetError, Outcome, Reply, Sent};
use daos_types::{Der, FetchIod, FetchValue, KeyFound, TargetIdx};
use daos_wire::{Encoded, GetValues, GotValues, Opcode, Query, WireError, decode_done, decode_found};
use std::collections::VecDeque;
use std::sync::Arc;

/// A target's index in its engine, and the connection to it.
type Way = (u32, Arc<Channel>);

/// Bytes of the buffers of fetches that are under way at once: two of 1 MiB, where arrays are read.
const FETCHES_BYTES: usize = 2 << 20;

/// A request that is sent together with others.
struct Request<'a> {
    target: TargetIdx,
    asked: Asked,
    message: Encoded<'a>,
}

impl<'a> Request<'a> {
    fn of_change(target: TargetIdx, change: &Change<'a>) -> std::result::Result<Self, WireError> {
        let (opcode, message) = match change {
            Change::Update(update) => (Opcode::Update, update.encode()?),
            Change::PutPairs(put) => (Opcode::PutPairs, put.encode()?),
        };
        let asked = Asked::new(opcode, change.durability(), REPLY_ROOM).of(change.origin());
        Ok(Self { target, asked, message })
    }
}

impl RemoteRoute {
    /// The connections to targets.
    fn ways(&self, targets: impl Iterator<Item = TargetIdx>) -> Vec<daos_net::Result<Way>> {
        let reached = self.reached();
        let _all = OneCall::begin(self.asker().timeout);
        let way = |target: TargetIdx| {
            let missing = || NetError::before(Der::BadTarget, format!("there is no target {}", target.0));
            let target = reached.get(target.0 as usize).ok_or_else(missing)?;
            target.endpoint.channel(self.asker().time()).map(|channel| (target.index, channel))
        };
        targets.map(way).collect()
    }

    /// Sends all before the reply to the first is waited for: the other end makes what changes durable together.
    fn ask_together(&self, requests: &[Request<'_>]) -> Vec<std::result::Result<Reply, NetError>> {
        let handle = self.opened.handle().number;
        let ways = self.ways(requests.iter().map(|request| request.target));
        let mut sent: Vec<daos_net::Result<(&Channel, Sent<'_>)>> = Vec::with_capacity(requests.len());
        for (request, way) in requests.iter().zip(&ways) {
            sent.push(way.as_ref().map_err(Clone::clone).and_then(|(index, channel)| {
                let about = request.asked.about(handle, *index, request.asked.opcode.changes());
                Ok((&**channel, self.asker().send(channel, &about, &request.message)?))
            }));
        }
        // Each target begins while others are waited for.
        ways.iter().flatten().for_each(|(_, channel)| channel.send_out());
        let receive = |sent: daos_net::Result<(&Channel, Sent<'_>)>| {
            let (channel, sent) = sent?;
            let mut reply = Reply::default();
            channel.receive(sent, &mut reply).map(|()| reply)
        };
        sent.into_iter().map(receive).collect()
    }

    /// Makes changes together: what became of each.
    pub(super) fn change_together(&self, changes: &[(TargetIdx, Change<'_>)]) -> Vec<Result<()>> {
        let drawn = self.draw(changes.iter().filter(|(_, change)| change.origin().is_none()).count());
        let mut origins = drawn.iter().flat_map(Drawn::origins).collect::<Vec<_>>().into_iter();
        let mut origin_of = |change: &Change<'_>| change.origin().or_else(|| origins.next());
        let named: Vec<_> =
            changes.iter().map(|(target, change)| (*target, change.with_origin(origin_of(change)))).collect();
        let requests: std::result::Result<Vec<_>, _> =
            named.iter().map(|(target, change)| Request::of_change(*target, change)).collect();
        let replies = match requests {
            Ok(requests) => self.ask_together(&requests),
            // One by one: it is told which of them cannot be said.
            Err(_) => return named.iter().map(|(target, change)| self.change_by(*target, change)).collect(),
        };
        let known =
            |((target, change), reply): (&(TargetIdx, Change<'_>), daos_net::Result<Reply>)| match reply {
                Ok(reply) => decode_done(&reply.body, &[]).map_err(|error| not_understood(true, &error)),
                // One by one, with all the patience there is: the connection or the handle is another by then.
                Err(error) if error.outcome == Outcome::Nothing => self.change_by(*target, change),
                Err(error) if error.is_uncertain() && self.system.service().is_some() => {
                    // The same change: it happens once. What is unknown stays so unless that succeeds.
                    self.change_by(*target, change).map_err(|_| told(error, true))
                }
                Err(error) => Err(told(error, true)),
            };
        let results: Vec<_> = named.iter().zip(replies).map(known).collect();
        // They are over: what follows are other changes.
        drop(drawn);
        let fitted =
            results.into_iter().zip(changes).map(|(result, (target, change))| match (result, change) {
                // Refused as a whole; what is large of it may fit where all of it does not.
                (Err(error), Change::PutPairs(put)) if error.der == Der::Nospace && put.origin.is_none() => {
                    each_pair(put, |update| self.update(*target, update))
                }
                (result, _) => result,
            });
        fitted.collect()
    }

    fn change_by(&self, target: TargetIdx, change: &Change<'_>) -> Result<()> {
        match change {
            Change::Update(update) => self.update_by(None, target, update),
            Change::PutPairs(put) => {
                let asked = Asked::new(Opcode::PutPairs, put.durability, REPLY_ROOM).of(put.origin);
                self.get(None, target, asked, put.encode(), decode_done)
            }
        }
    }

    /// Fetches, of which a few are always under way: while one is received, others are read where they lie.
    pub(super) fn fetch_together(&self, fetches: &mut [FetchOne<'_>]) -> Result<()> {
        let ways = self.ways(fetches.iter().map(|one| one.target));
        let handle = self.opened.handle().number;
        let mut sent: VecDeque<daos_net::Result<(&Channel, Sent<'_>)>> = VecDeque::new();
        let (mut first, mut next, mut bytes) = (0, 0, 0);
        while first < fetches.len() {
            // Short ones are sent many at a time, by one call of the system.
            let refill = if bytes >= FETCHES_BYTES / 2 { 2 } else { TOGETHER_MAX / 2 + 1 };
            if sent.len() < refill {
                let before = next;
                while let (Some(one), Some(way)) = (fetches.get(next), ways.get(next))
                    && (sent.is_empty() || sent.len() < TOGETHER_MAX && bytes < FETCHES_BYTES)
                {
                    let message = one.request.encode(&one.iods).map_err(|error| unsaid(&error))?;
                    let asked = Asked::of_fetch(&one.request, &one.iods);
                    sent.push_back(way.as_ref().map_err(Clone::clone).and_then(|(index, channel)| {
                        let about = asked.about(handle, *index, false);
                        Ok((&**channel, self.asker().send(channel, &about, &message)?))
                    }));
                    bytes += buffers_len(one);
                    next += 1;
                }
                ways.get(before..next)
                    .iter()
                    .copied()
                    .flatten()
                    .flatten()
                    .for_each(|(_, channel)| channel.send_out());
            }
            let (Some(one), Some(sent)) = (fetches.get_mut(first), sent.pop_front()) else { break };
            (first, bytes) = (first + 1, bytes - buffers_len(one));
            let mut fetched = Fetched::new(&mut one.iods);
            match sent.and_then(|(channel, sent)| channel.receive(sent, &mut fetched)) {
                Ok(()) => fetched.finish()?,
                // Alone, with all the patience there is.
                Err(_) => self.fetch_by(None, one.target, &one.request, &mut one.iods)?,
            }
        }
        Ok(())
    }

    /// Queries together.
    pub(super) fn query_together(
        &self,
        requests: &[(TargetIdx, Query<'_>)],
    ) -> Result<Vec<Option<KeyFound>>> {
        let encoded: Result<Vec<_>> = requests
            .iter()
            .map(|(target, query)| {
                let asked = Asked::new(Opcode::Query, query.durability, REPLY_ROOM);
                let message = query.encode().map_err(|error| unsaid(&error))?;
                Ok(Request { target: *target, asked, message })
            })
            .collect();
        let replies = self.ask_together(&encoded?).into_iter().zip(requests);
        let found = replies.map(|(reply, (target, query))| match reply {
            Ok(reply) => decode_found(&reply.body, &[]).map_err(|error| not_understood(false, &error)),
            // Alone, with all the patience there is.
            Err(_) => self.query(*target, query),
        });
        found.collect()
    }

    pub(super) fn get_values_by(&self, target: TargetIdx, request: &GetValues<'_>) -> Result<GotValues> {
        let asked = Asked::new(Opcode::GetValues, request.durability, values_room(request));
        self.get(None, target, asked, request.encode(), read_values)
    }

    pub(super) fn get_together(&self, requests: &[(TargetIdx, GetValues<'_>)]) -> Result<Vec<GotValues>> {
        let encoded: Result<Vec<_>> = requests
            .iter()
            .map(|(target, get)| {
                let asked = Asked::new(Opcode::GetValues, get.durability, values_room(get));
                let message = get.encode().map_err(|error| unsaid(&error))?;
                Ok(Request { target: *target, asked, message })
            })
            .collect();
        let replies = self.ask_together(&encoded?).into_iter().zip(requests);
        let got = replies.map(|(reply, (target, request))| match reply {
            Ok(reply) => {
                let payloads: Vec<&[u8]> = reply.payloads.iter().map(|bulk| &bulk.bytes[..]).collect();
                read_values(&reply.body, &payloads).map_err(|error| not_understood(false, &error))
            }
            // Alone, with all the patience there is, and with more room where that is what it takes.
            Err(_) => self.get_values_by(*target, request),
        });
        got.collect()
    }
}

/// Bytes of the buffers of a fetch.
fn buffers_len(one: &FetchOne<'_>) -> usize {
    let len = |iod: &FetchIod<'_>| match &iod.value {
        FetchValue::Array(fetch) => fetch.data.len(),
        FetchValue::Single(_) => 0,
    };
    one.iods.iter().map(len).sum()
}

/// Room for the values that a request has room for, and what is said of them. One that is longer alone is asked for again.
fn values_room(request: &GetValues<'_>) -> usize {
    request
        .bytes_max
        .saturating_add(request.keys.len().saturating_mul(ELEMENT_ROOM))
        .saturating_add(REPLY_ROOM)
}

/// With lifetimes of their own, which a reader of replies has.
fn read_values(body: &[u8], payloads: &[&[u8]]) -> std::result::Result<GotValues, WireError> {
    GotValues::decode(body, payloads)
}
