//! Several requests at once: all are sent before the reply to the first is waited for.

use super::call::{REPLY_ROOM, not_understood, told, unsaid};
use super::route::{Asked, ELEMENT_ROOM, RemoteRoute};
use crate::error::Result;
use crate::route::{Change, Route as _, each_pair};
use daos_net::{Channel, NetError, Outcome, Reply, Sent};
use daos_types::{Der, TargetIdx};
use daos_wire::{Encoded, GetValues, GotValues, Opcode, WireError, decode_done};
use std::sync::Arc;

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
    /// Sends all before the reply to the first is waited for: the other end makes what changes durable together.
    fn ask_together(&self, requests: &[Request<'_>]) -> Vec<std::result::Result<Reply, NetError>> {
        let (handle, targets) = (self.opened.handle().number, self.reached());
        let way = |target: TargetIdx| {
            let missing = || NetError::before(Der::BadTarget, format!("there is no target {}", target.0));
            let target = targets.get(target.0 as usize).ok_or_else(missing)?;
            target.endpoint.channel(self.asker().timeout).map(|channel| (target.index, channel))
        };
        let ways: Vec<daos_net::Result<(u32, Arc<Channel>)>> =
            requests.iter().map(|request| way(request.target)).collect();
        let mut sent: Vec<daos_net::Result<(&Channel, Sent<'_>)>> = Vec::with_capacity(requests.len());
        for (request, way) in requests.iter().zip(&ways) {
            sent.push(way.as_ref().map_err(Clone::clone).and_then(|(index, channel)| {
                let about = request.asked.about(handle, *index, request.asked.opcode.changes());
                Ok((&**channel, self.asker().send(channel, &about, &request.message)?))
            }));
        }
        let receive = |sent: daos_net::Result<(&Channel, Sent<'_>)>| {
            let (channel, sent) = sent?;
            let mut reply = Reply::default();
            channel.receive(sent, &mut reply).map(|()| reply)
        };
        sent.into_iter().map(receive).collect()
    }

    /// Makes changes together: what became of each.
    pub(super) fn change_together(&self, changes: &[(TargetIdx, Change<'_>)]) -> Vec<Result<()>> {
        let named: Vec<_> = changes
            .iter()
            .map(|(target, change)| (*target, change.with_origin(self.origin(change.origin()))))
            .collect();
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
        let results = named.iter().zip(replies).map(known);
        let fitted = results.zip(changes).map(|(result, (target, change))| match (result, change) {
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
