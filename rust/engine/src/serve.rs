//! Requests as they come from elsewhere: decoded, answered by a target, encoded. `docs/formats/messages.md`.
//!
//! Pure but for the target: what carries the bytes, who may ask, and when an answer may be sent are others' concern.

use crate::target::{Outcome, Target};
use daos_types::{Der, Durability};
use daos_vos::{Seen, VosError};
use daos_wire::{
    Check, Diff, Encoded, List, Opcode, Query, ReadFetch, ReadObjects, ReadPunch, ReadUpdate, WireError,
    encode_done, encode_found,
};

/// A request that is there as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is asked.
    pub opcode: u16,
    /// What the answer promises.
    pub durability: Durability,
    /// Bytes that the answer may have, body and payloads.
    pub answer_len_max: usize,
    /// The body.
    pub body: &'a [u8],
    /// The payloads, in their order.
    pub payloads: &'a [&'a [u8]],
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body.
    pub body: Vec<u8>,
    /// The payloads, in their order.
    pub payloads: Vec<Vec<u8>>,
}

/// Why a request is not answered with what it asks for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// It asks for what this release does not know. Nothing happened.
    #[error("request {opcode} is not known here")]
    Unknown {
        /// What it asks.
        opcode: u16,
    },
    /// It is not what its opcode says. Nothing happened.
    #[error(transparent)]
    Message(WireError),
    /// The answer has more bytes than the request allows; asked again with that room it is told.
    #[error("the answer has {len} bytes, the request allows {max}")]
    TooLong {
        /// Bytes of the answer.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The store refused it.
    #[error(transparent)]
    Store(VosError),
}

impl Refused {
    /// The code that a caller is told.
    pub fn der(&self) -> Der {
        match self {
            Self::Unknown { .. } => Der::Unreg,
            Self::Message(error) => error.der(),
            Self::TooLong { .. } => Der::Overflow,
            Self::Store(error) => error.der(),
        }
    }

    /// Whether nothing was begun, so that the same request may be sent again as if it had not been.
    pub fn is_before(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Message(_))
    }
}

impl Answer {
    fn of(encoded: Encoded<'_>) -> Self {
        let payloads = encoded.payloads.into_iter().map(<[u8]>::to_vec).collect();
        Self { body: encoded.body, payloads }
    }

    /// Bytes of body and payloads.
    pub fn len(&self) -> usize {
        self.body.len() + self.payloads.iter().map(Vec::len).sum::<usize>()
    }

    /// Never: a body has at least its version.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Target {
    /// Answers a request. As with every method, whoever sends the answer waits for what it depends on first, also where it is a
    /// refusal.
    pub fn serve(&self, request: &Request<'_>) -> (Seen, Result<Answer, Refused>) {
        let Some(opcode) = Opcode::from_number(request.opcode) else {
            return (Seen::default(), Err(Refused::Unknown { opcode: request.opcode }));
        };
        let (seen, answer) = match self.try_serve(opcode, request) {
            Ok(outcome) => outcome,
            Err(error) => return (Seen::default(), Err(Refused::Message(error))),
        };
        let (len, max) = (answer.as_ref().map_or(0, Answer::len), request.answer_len_max);
        // A change has happened by then, and its answer is short.
        (seen, if len > max { Err(Refused::TooLong { len, max }) } else { answer })
    }

    /// An error is one of the request's message.
    fn try_serve(
        &self,
        opcode: Opcode,
        request: &Request<'_>,
    ) -> Result<(Seen, Result<Answer, Refused>), WireError> {
        let Request { durability, body, payloads, .. } = *request;
        Ok(match opcode {
            Opcode::Update => {
                let update = ReadUpdate::decode(durability, body, payloads)?;
                answered(update.with(|update| self.update(update)), |()| Ok(Answer::of(encode_done())))
            }
            Opcode::Punch => {
                let punch = ReadPunch::decode(durability, body, payloads)?;
                answered(self.punch(&punch.request()), |()| Ok(Answer::of(encode_done())))
            }
            Opcode::Fetch => return self.serve_fetch(request),
            Opcode::List => {
                let list = List::decode(durability, body, payloads)?;
                answered(self.list(&list), |keys| keys.encode().map(Answer::of))
            }
            Opcode::ListPairs => {
                let list = List::decode(durability, body, payloads)?;
                answered(self.list_pairs(&list), |pairs| pairs.encode().map(Answer::of))
            }
            Opcode::Query => {
                let query = Query::decode(durability, body, payloads)?;
                answered(self.query(&query), |found| encode_found(found.as_ref()).map(Answer::of))
            }
            Opcode::Objects => {
                let objects = ReadObjects::decode(durability, body, payloads)?;
                answered(self.objects(&objects.request()), |page| page.encode().map(Answer::of))
            }
            Opcode::Diff => {
                let diff = Diff::decode(durability, body, payloads)?;
                answered(self.diff(&diff), |page| page.encode().map(Answer::of))
            }
            Opcode::Check => {
                let check = Check::decode(durability, body, payloads)?;
                answered(self.check(&check), |page| page.encode().map(Answer::of))
            }
        })
    }

    fn serve_fetch(&self, request: &Request<'_>) -> Result<(Seen, Result<Answer, Refused>), WireError> {
        let Request { durability, body, payloads, answer_len_max, .. } = *request;
        let fetch = ReadFetch::decode(durability, body, payloads)?;
        let mut seen = Seen::default();
        let read = fetch.serve(answer_len_max, |fetch, iods| {
            let (depends, result) = self.fetch(fetch, iods);
            seen = depends;
            result
        });
        let reply = match read {
            Ok(reply) => reply.map_err(Refused::Store),
            Err(WireError::TooLong { len, max, .. }) => Err(Refused::TooLong { len, max }),
            Err(error) => Err(Refused::Message(error)),
        };
        Ok((seen, reply.and_then(|reply| reply.encode().map(Answer::of).map_err(told))))
    }
}

/// An outcome with its answer encoded.
fn answered<T>(
    (seen, result): Outcome<T>,
    encode: impl FnOnce(T) -> Result<Answer, WireError>,
) -> (Seen, Result<Answer, Refused>) {
    (seen, result.map_err(Refused::Store).and_then(|done| encode(done).map_err(told)))
}

/// An answer that no message can hold.
fn told(error: WireError) -> Refused {
    match error {
        WireError::TooLong { len, max, .. } => Refused::TooLong { len, max },
        error => Refused::Message(error),
    }
}
