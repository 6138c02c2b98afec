//! A target behind a network: each request is answered when it comes, and all answers of a turn wait for the log together.

use crate::serve::{Answer, Refused, Request};
use crate::target::Target;
use daos_net::frame::Refusal;
use daos_net::{Bulk, Incoming, Moment, Replies, Service, Ticket};
use daos_types::{Der, Durability, ShardIdx};
use daos_vos::{Seen, VosError};

/// Answers that are held back at most before they are waited for.
const OWED_MAX: usize = 256;

/// What serves one target to those who are connected. Called by one thread.
#[derive(Debug)]
pub struct TargetService {
    target: Target,
    map_version: u32,
    owed: Vec<Owed>,
}

/// An answer that may not be sent before what it depends on is safe.
#[derive(Debug)]
struct Owed {
    ticket: Ticket,
    seen: Seen,
    durability: Durability,
    answer: Result<Answer, Refused>,
}

impl TargetService {
    /// Serves a target whose pool map has this version.
    pub fn new(target: Target, map_version: u32) -> Self {
        Self { target, map_version, owed: Vec::new() }
    }

    /// Sends what is owed, once it may be believed.
    fn settle(&mut self, replies: &Replies) {
        // The last one depends on most: who waits for it first finds the others done.
        let safe: Vec<Result<(), VosError>> =
            self.owed.iter().rev().map(|owed| self.target.gate(owed.seen, owed.durability)).collect();
        for (owed, safe) in self.owed.drain(..).zip(safe.into_iter().rev()) {
            let answer = match (safe, owed.answer) {
                (Err(error), _) => daos_net::Answer::Refused(refusal(&Refused::Store(error))),
                (Ok(()), Err(error)) => daos_net::Answer::Refused(refusal(&error)),
                (Ok(()), Ok(Answer { body, payloads })) => {
                    let bulk = |bytes| Bulk { shard: ShardIdx(0), bytes };
                    let payloads = payloads.into_iter().map(bulk).collect();
                    daos_net::Answer::Reply { map_version: self.map_version, body, payloads }
                }
            };
            replies.send(owed.ticket, answer);
        }
    }
}

impl Service for TargetService {
    fn request(&mut self, _: Moment, request: Incoming, replies: &Replies) {
        let payloads: Vec<&[u8]> = request.payloads.iter().map(|bulk| bulk.bytes.as_slice()).collect();
        let asked = Request {
            opcode: request.opcode,
            durability: request.durability,
            answer_len_max: request.reply_max as usize,
            body: &request.body,
            payloads: &payloads,
        };
        let (seen, answer) = self.target.serve(&asked);
        self.owed.push(Owed { ticket: request.ticket, seen, durability: request.durability, answer });
        if self.owed.len() >= OWED_MAX {
            self.settle(replies);
        }
    }

    fn rest(&mut self, _: Moment, replies: &Replies) {
        self.settle(replies);
    }
}

fn refusal(error: &Refused) -> Refusal {
    let room = match error {
        Refused::TooLong { len, .. } => *len as u64,
        _ => 0,
    };
    let hint = match error.der() {
        Der::Unreg | Der::Proto => "the other end is of another version of daos: install the same on both",
        Der::Nospace => "delete what is not needed, or extend the pool, then try again",
        Der::Csum => "read it from a snapshot or a copy; if it was an update, send it again",
        _ => "",
    };
    let told = Refusal::new(error.der(), error.to_string()).hint(hint);
    Refusal { nothing_happened: error.is_before(), room, ..told }
}
