//! Data requests as they come from elsewhere: decoded, answered through a way to the targets, encoded. `docs/formats/messages.md`.
//!
//! Who may ask, what carries the bytes, and when an answer may be sent are others' concern.

use crate::handles::Granted;
use daos_client::Error;
use daos_types::{Buffer, ContainerId, Der, Durability, Landing, Origin, TargetIdx};
use daos_wire::{
    Check, Count, Diff, Encoded, List, Opcode, Punch, PutPairs, Query, ReadFetch, ReadGetValues, ReadObjects,
    ReadPunch, ReadPutPairs, ReadUpdate, Update, WireError, encode_done, encode_found,
};
use std::sync::Arc;

/// A request that is there as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What the answer promises.
    pub durability: Durability,
    /// Which change it is, where it may come again.
    pub origin: Option<Origin>,
    /// Bytes that the answer may have, body and payloads.
    pub answer_len_max: usize,
    /// The body.
    pub body: &'a [u8],
    /// The payloads, in their order.
    pub payloads: &'a [&'a [u8]],
    /// The sums of the units of each, if whoever took them in has made them.
    pub units: &'a [&'a [u32]],
    /// The number of the landing where the only payload is; 0 where there is none.
    pub landed: u64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body.
    pub body: Vec<u8>,
    /// The payloads, in their order.
    pub payloads: Vec<Buffer>,
    /// The body has sums of all their bytes.
    pub body_has_sums: bool,
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
    /// Its handle does not allow it. Nothing happened.
    #[error("{message}")]
    Denied {
        /// The code.
        der: Der,
        /// Why.
        message: &'static str,
    },
    /// The answer has more bytes than the request allows; asked again with that room it is told.
    #[error("the answer has {len} bytes, the request allows {max}")]
    TooLong {
        /// Bytes of the answer.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// It was begun, and failed.
    #[error("{0}")]
    Failed(Error),
}

impl Refused {
    /// The code that the client is told.
    pub fn der(&self) -> Der {
        match self {
            Self::Unknown { .. } => Der::Unreg,
            Self::Message(error) => error.der(),
            Self::Denied { der, .. } => *der,
            Self::TooLong { .. } => Der::Overflow,
            Self::Failed(error) => error.der,
        }
    }

    /// Whether nothing was begun, so that the same request may be sent again as if it had not been.
    pub fn is_before(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Message(_) | Self::Denied { .. })
    }

    /// What to do about it; empty where there is nothing to say.
    pub fn hint(&self) -> &str {
        match self {
            Self::Unknown { .. } | Self::Message(_) => {
                "the other end is of another version of daos: install the same on both"
            }
            Self::Failed(error) => error.hint.as_deref().unwrap_or_default(),
            Self::Denied { .. } | Self::TooLong { .. } => "",
        }
    }
}

impl Answer {
    pub(crate) fn of(encoded: Encoded<'_>) -> Self {
        let payloads = encoded.payloads.into_iter().map(|beside| beside.bytes.to_vec().into()).collect();
        Self { body: encoded.body, payloads, body_has_sums: false }
    }

    /// Bytes of body and payloads.
    pub fn len(&self) -> usize {
        self.body.len() + self.payloads.iter().map(|bytes| bytes.len()).sum::<usize>()
    }

    /// Never: a body has at least its version.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Answers a request to a target by what a handle grants.
pub fn serve(
    granted: &Granted,
    target: TargetIdx,
    opcode: Opcode,
    request: &Request<'_>,
) -> Result<Answer, Refused> {
    let answer = try_serve(granted, target, opcode, request).map_err(Refused::Message)??;
    let (len, max) = (answer.len(), request.answer_len_max);
    // A change has happened by then, and its answer is short.
    if len > max { Err(Refused::TooLong { len, max }) } else { Ok(answer) }
}

/// A place for the payload of an update that comes, if its handle allows the update.
pub(crate) fn land(
    granted: &Granted,
    target: TargetIdx,
    len: usize,
    durability: Durability,
) -> Option<Arc<dyn Landing>> {
    granted.may_change(granted.cont).ok()?;
    granted.route.land(target, len, durability)
}

/// An error outside is one of a message.
fn try_serve(
    granted: &Granted,
    target: TargetIdx,
    opcode: Opcode,
    request: &Request<'_>,
) -> Result<Result<Answer, Refused>, WireError> {
    let Request { durability, origin, body, payloads, units, landed, answer_len_max } = *request;
    let route = &granted.route;
    let done = |()| Ok(Answer::of(encode_done()));
    Ok(match opcode {
        Opcode::Update => {
            let update = ReadUpdate::decode(durability, body, payloads)?.summed(units).landed(landed);
            update.with(|update| {
                granted.may_change(update.of.cont)?;
                answered(route.update(target, &Update { origin, ..*update }), done)
            })
        }
        Opcode::Punch => {
            let punch = ReadPunch::decode(durability, body, payloads)?;
            let punch = Punch { origin, ..punch.request() };
            granted.may_change(punch.of.cont).and_then(|()| answered(route.punch(target, &punch), done))
        }
        Opcode::PutPairs => {
            let put = ReadPutPairs::decode(durability, body, payloads)?;
            let put = PutPairs { origin, ..put.request() };
            granted.may_change(put.of.cont).and_then(|()| answered(route.put_pairs(target, &put), done))
        }
        Opcode::GetValues => {
            let get = ReadGetValues::decode(durability, body, payloads)?;
            let get = get.request();
            granted
                .may_read(get.of.cont)
                .and_then(|()| answered(route.get_values(target, &get), |got| got.encode().map(Answer::of)))
        }
        Opcode::Fetch => {
            let fetch = ReadFetch::decode(durability, body, payloads)?;
            let read = fetch.serve(answer_len_max, |fetch, iods| {
                granted.may_read(fetch.of.cont)?;
                route.fetch(target, fetch, iods).map_err(Refused::Failed)
            });
            match read {
                Ok(read) => read.and_then(|reply| {
                    let body_has_sums = reply.has_sums();
                    let message = reply.into_message().map_err(told);
                    message.map(|(body, payloads)| Answer { body, payloads, body_has_sums })
                }),
                Err(error @ WireError::TooLong { .. }) => Err(told(error)),
                Err(error) => return Err(error),
            }
        }
        Opcode::List => {
            let list = List::decode(durability, body, payloads)?;
            granted
                .may_read(list.of.cont)
                .and_then(|()| answered(route.list(target, &list), |keys| keys.encode().map(Answer::of)))
        }
        Opcode::ListPairs => {
            let list = List::decode(durability, body, payloads)?;
            granted.may_read(list.of.cont).and_then(|()| {
                answered(route.list_pairs(target, &list), |pairs| pairs.encode().map(Answer::of))
            })
        }
        Opcode::Query => {
            let query = Query::decode(durability, body, payloads)?;
            granted.may_read(query.of.cont).and_then(|()| {
                answered(route.query(target, &query), |found| encode_found(found.as_ref()).map(Answer::of))
            })
        }
        Opcode::Objects => {
            let objects = ReadObjects::decode(durability, body, payloads)?;
            let objects = objects.request();
            let survey = granted.may_survey(objects.cont);
            survey.and_then(|survey| {
                answered(survey.objects(target, &objects), |page| page.encode().map(Answer::of))
            })
        }
        Opcode::Diff => {
            let diff = Diff::decode(durability, body, payloads)?;
            let survey = granted.may_survey(diff.of.cont);
            survey
                .and_then(|survey| answered(survey.diff(target, &diff), |page| page.encode().map(Answer::of)))
        }
        Opcode::Check => {
            let check = Check::decode(durability, body, payloads)?;
            let survey = granted.may_survey(check.cont);
            survey.and_then(|survey| {
                answered(survey.check(target, &check), |page| page.encode().map(Answer::of))
            })
        }
        Opcode::Count => {
            let count = Count::decode(durability, body, payloads)?;
            let survey = granted.may_survey(count.cont);
            survey.and_then(|survey| {
                answered(survey.count(target, &count), |page| page.encode().map(Answer::of))
            })
        }
        Opcode::TxFirst | Opcode::TxChanges | Opcode::TxAbort => {
            Err(Refused::Unknown { opcode: opcode as u16 })
        }
    })
}

/// An outcome with its answer encoded.
fn answered<T>(
    result: daos_client::Result<T>,
    encode: impl FnOnce(T) -> Result<Answer, WireError>,
) -> Result<Answer, Refused> {
    result.map_err(Refused::Failed).and_then(|done| encode(done).map_err(told))
}

/// An answer that no message can hold.
fn told(error: WireError) -> Refused {
    match error {
        WireError::TooLong { what: _, len, max } => Refused::TooLong { len, max },
        error => Refused::Message(error),
    }
}

impl Granted {
    fn may(&self, cont: ContainerId, right: bool, message: &'static str) -> Result<(), Refused> {
        let denied = |message| Refused::Denied { der: Der::NoPerm, message };
        match right {
            _ if cont != self.cont => Err(denied("the handle is of another container")),
            false => Err(denied(message)),
            true => Ok(()),
        }
    }

    fn may_read(&self, cont: ContainerId) -> Result<(), Refused> {
        self.may(cont, self.rights.read, "the container's handle does not allow to read its data")
    }

    fn may_change(&self, cont: ContainerId) -> Result<(), Refused> {
        self.may(cont, self.rights.write, "the container's handle does not allow to change its data")
    }

    fn may_survey(&self, cont: ContainerId) -> Result<&dyn daos_client::Survey, Refused> {
        self.may_read(cont)?;
        let denied = Refused::Denied { der: Der::Notsupported, message: "not a part of transactions" };
        self.survey.as_deref().ok_or(denied)
    }
}
