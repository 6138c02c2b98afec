//! What an endpoint does with the requests that come: data at once, control by workers, and one wait for the log for all
//! that came together.

use crate::control;
use crate::handles::{Begun, Handles, Open};
use crate::pace::Pace;
use crate::serve::{Answer, Refused, Request, land, serve};
use crate::workers::Workers;
use daos_client::SystemService;
use daos_embed::{Debt, collect};
use daos_locks::Mutex;
use daos_net::frame::{Header, Refusal};
use daos_net::{Bulk, Incoming, Moment, Replies, Service, Ticket};
use daos_types::{Der, Durability, Landing, Origin, TargetIdx};
use daos_wire::{CONTROL, Control, Opcode, TxChanges, TxFirst, decode_control, decode_done, encode_done};
use std::ops::Range;
use std::sync::Arc;

/// Answers that are held back at most before they are waited for.
const OWED_MAX: usize = 256;

/// What all endpoints of a host share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rank: u32,
    pub(crate) system: Arc<dyn SystemService>,
    pub(crate) handles: Handles,
    pub(crate) workers: Workers,
    /// Who does what takes long of data requests, where several targets share a thread.
    pub(crate) apart: Workers,
    /// Where each target has an endpoint of its own; none where one serves all.
    pub(crate) places: Mutex<Vec<String>>,
    /// Who answers what is neither data nor control of this process's own; he also decides who may open what.
    pub(crate) outside: Option<Arc<dyn Outside>>,
}

/// Answers what a host passes on: the service of a pool, and what engines say to each other. It must not wait where it is called.
pub trait Outside: std::fmt::Debug + Send + Sync {
    /// A request, to be answered once, now or later.
    fn request(&self, request: Incoming, replies: &Replies);
}

/// What serves one endpoint. Called by one thread.
#[derive(Debug)]
pub(crate) struct HostService {
    data: Data,
    owed: Vec<Owed>,
    /// Where several targets share the thread: who asks for one is not to wait for what takes long of another.
    paces: Option<Paces>,
}

/// What answers data requests.
#[derive(Debug, Clone)]
struct Data {
    shared: Arc<Shared>,
    /// The only targets that are served here; all, where there are none.
    only: Option<Range<u32>>,
}

/// What may take long: the wait for the log, and pages of what there is.
#[derive(Debug, Default, Clone)]
struct Paces {
    waits: Pace,
    pages: Pace,
}

/// An answer that may not be sent before what it depends on is safe.
#[derive(Debug)]
struct Owed {
    ticket: Ticket,
    debt: Debt,
    answer: Result<Answer, Refused>,
}

/// Answers that are owed: sent when they are dropped, whoever does that, once they may be believed.
struct Owing {
    owed: Vec<Owed>,
    replies: Replies,
}

impl Drop for Owing {
    fn drop(&mut self) {
        // The last one depends on most: who waits for it first finds the others done.
        let safe: Vec<_> = self.owed.iter().rev().map(|owed| owed.debt.settle()).collect();
        for (owed, safe) in self.owed.drain(..).zip(safe.into_iter().rev()) {
            let answer = match safe {
                Ok(()) => owed.answer,
                Err(error) => Err(Refused::Failed(error)),
            };
            self.replies.send(owed.ticket, to_frame(answer));
        }
    }
}

impl HostService {
    pub(crate) fn new(shared: Arc<Shared>, only: Option<Range<u32>>) -> Self {
        let paces = only.as_ref().filter(|only| only.len() > 1).map(|_| Paces::default());
        Self { data: Data { shared, only }, owed: Vec::new(), paces }
    }

    /// Sends what is owed, once it may be believed.
    fn settle(&mut self, replies: &Replies) {
        if self.owed.is_empty() {
            return;
        }
        let owing = Owing { owed: std::mem::take(&mut self.owed), replies: replies.clone() };
        match &self.paces {
            Some(paces) => paces.waits.run(&self.data.shared.apart, move || drop(owing)),
            None => drop(owing),
        }
    }

    /// Has a page made, and waits for what it depends on.
    fn page(&self, pace: &Pace, request: Incoming, replies: &Replies) {
        let mut pending = Pending { ticket: Some(request.ticket), replies: replies.clone() };
        let data = self.data.clone();
        pace.run(&self.data.shared.apart, move || {
            let (answer, debt) = collect(|| data.answer(&request));
            let safe = debt.settle().map_err(Refused::Failed);
            pending.answer(safe.and(answer));
        });
    }
}

impl Data {
    fn serves(&self, target: u32) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&target))
    }

    fn answer(&self, request: &Incoming) -> Result<Answer, Refused> {
        let opcode =
            Opcode::from_number(request.opcode).ok_or(Refused::Unknown { opcode: request.opcode })?;
        if !self.serves(request.target) {
            return Err(WRONG_TARGET);
        }
        let open = self.shared.handles.get(request.handle).ok_or(NO_HANDLE)?;
        let payloads: Vec<&[u8]> = request.payloads.iter().map(|bulk| &*bulk.bytes).collect();
        let units: Vec<&[u32]> = request.payloads.iter().map(|bulk| bulk.units.as_slice()).collect();
        let asked = Request {
            durability: request.durability,
            origin: origin(request),
            answer_len_max: request.reply_max as usize,
            body: &request.body,
            payloads: &payloads,
            units: &units,
            landed: request.landing.as_ref().map_or(0, |landing| landing.number()),
        };
        let target = TargetIdx(request.target);
        let by = (request.handle, request.durability);
        match (opcode, open) {
            (Opcode::TxFirst, Open::Container { container, granted }) => {
                let TxFirst { number, opcode, body } =
                    TxFirst::decode(asked.body).map_err(Refused::Message)?;
                let begun = self.shared.handles.begun(number, by, &*container, granted.rights)?;
                let answer = serve(&begun.granted, target, opcode, &Request { body, ..asked });
                if answer.as_ref().is_err_and(Refused::is_before) {
                    // It is as if it had not come: whoever sent it begins another one.
                    self.shared.handles.remove_transaction(number);
                }
                answer
            }
            (Opcode::TxChanges, open) => {
                let changes = TxChanges::decode(asked.body, asked.payloads).map_err(Refused::Message)?;
                self.changes(open, by, &changes, &asked)
            }
            (Opcode::TxAbort, Open::Transaction(begun)) => {
                decode_done(asked.body, asked.payloads).map_err(Refused::Message)?;
                let ended = begun.end.abort();
                self.shared.handles.remove_transaction(request.handle);
                ended.map(|()| Answer::of(encode_done())).map_err(Refused::Failed)
            }
            (_, Open::Container { granted, .. } | Open::Transaction(Begun { granted, .. })) => {
                serve(&granted, target, opcode, &asked)
            }
            (_, Open::Pool(_)) => Err(WRONG_HANDLE),
        }
    }

    /// Changes of a transaction, which they begin if it is new, and commit if they are the last. One that is refused ends it: who
    /// sent them was told that they are made.
    fn changes(
        &self,
        open: Open,
        by: (u64, Durability),
        changes: &TxChanges<'_>,
        asked: &Request<'_>,
    ) -> Result<Answer, Refused> {
        let handles = &self.shared.handles;
        let (kept, begun) = match (open, changes.number) {
            (Open::Transaction(begun), 0) => (Some(by.0), begun),
            (Open::Container { container, granted }, 1..) if changes.commits => {
                (None, Begun::new(&*container, granted.rights, by.1)?)
            }
            (Open::Container { container, granted }, number @ 1..) => {
                (Some(number), handles.begun(number, by, &*container, granted.rights)?)
            }
            _ => return Err(WRONG_HANDLE),
        };
        let made = changes.changes.iter().try_for_each(|change| {
            let alone =
                Request { origin: None, body: change.body, payloads: &[], units: &[], landed: 0, ..*asked };
            serve(&begun.granted, TargetIdx(change.target), change.opcode, &alone).map(drop)
        });
        let ended = match made {
            Ok(()) if changes.commits => begun.end.commit_once(asked.origin).map_err(Refused::Failed),
            Ok(()) => return Ok(Answer::of(encode_done())),
            Err(refused) => {
                // Dropped, it is given up, too.
                let _ = begun.end.abort();
                Err(refused)
            }
        };
        if let Some(number) = kept {
            handles.remove_transaction(number);
        }
        ended.map(|()| Answer::of(encode_done()))
    }

    /// Has a worker answer.
    fn control(&self, request: &Incoming, replies: &Replies) {
        let mut pending = Pending { ticket: Some(request.ticket), replies: replies.clone() };
        let asked = match decode_control(&request.body) {
            Ok(asked) => asked,
            Err(error) => return pending.answer(Err(Refused::Message(error))),
        };
        if self.shared.outside.is_some() && !matches!(asked, Control::ChangeSettle { .. }) {
            return pending.answer(Err(NOT_HERE));
        }
        let session = request.session.0;
        let (shared, handle, max) = (Arc::clone(&self.shared), request.handle, request.reply_max as usize);
        let work = move || {
            let answer = control::answer(&shared, (session, handle), asked);
            let answer = answer.and_then(|body| {
                let len = body.len();
                if len > max {
                    Err(Refused::TooLong { len, max })
                } else {
                    Ok(Answer { body, payloads: Vec::new(), body_has_sums: false })
                }
            });
            pending.answer(answer);
        };
        // What is not taken is answered by being dropped.
        let _ = self.shared.workers.run(work);
    }
}

/// Whether it is answered with as much as there is, up to a bound.
fn is_page(opcode: u16) -> bool {
    let pages =
        [Opcode::List, Opcode::ListPairs, Opcode::Objects, Opcode::Diff, Opcode::Check, Opcode::Count];
    Opcode::from_number(opcode).is_some_and(|opcode| pages.contains(&opcode))
}

/// Which change a request is.
fn origin(request: &Incoming) -> Option<Origin> {
    let Incoming { session, sequence, .. } = request;
    (*sequence != 0).then_some(Origin { session: session.0, sequence: *sequence })
}

pub(crate) const NO_HANDLE: Refused =
    Refused::Denied { der: Der::NoHdl, message: "there is no such handle here" };
pub(crate) const WRONG_HANDLE: Refused =
    Refused::Denied { der: Der::Inval, message: "the handle is of something else" };
const WRONG_TARGET: Refused =
    Refused::Denied { der: Der::BadTarget, message: "the endpoint is of another target" };
const NOT_HERE: Refused =
    Refused::Denied { der: Der::Unreg, message: "pools are opened by their services, not by an engine" };
pub(crate) const TOO_MANY: Refused =
    Refused::Denied { der: Der::Busy, message: "too many transactions are open" };

impl Service for HostService {
    fn land(&mut self, header: &Header, len: usize) -> Option<Arc<dyn Landing>> {
        if !self.data.serves(header.target) || Opcode::from_number(header.opcode) != Some(Opcode::Update) {
            return None;
        }
        // A transaction's values become entries when it commits.
        let Open::Container { granted, .. } = self.data.shared.handles.get(header.handle)? else {
            return None;
        };
        land(&granted, TargetIdx(header.target), len, header.durability())
    }

    fn request(&mut self, _: Moment, request: Incoming, replies: &Replies) {
        if request.opcode == CONTROL {
            return self.data.control(&request, replies);
        }
        if let Some(outside) = &self.data.shared.outside
            && Opcode::from_number(request.opcode).is_none()
        {
            return if self.data.only.is_none() {
                outside.request(request, replies);
            } else {
                replies.send(request.ticket, to_frame(Err(WRONG_TARGET)));
            };
        }
        let pages = self.paces.as_ref().map(|paces| &paces.pages).filter(|_| is_page(request.opcode));
        let answer = || collect(|| self.data.answer(&request));
        let (answer, debt) = match pages {
            Some(pages) if pages.is_slow() => return self.page(pages, request, replies),
            Some(pages) => pages.measured(answer),
            None => answer(),
        };
        let ticket = request.ticket;
        request.recycle();
        if debt.is_settled() {
            // A read, most often: it may be on its way while others are worked on.
            return replies.send(ticket, to_frame(answer));
        }
        self.owed.push(Owed { ticket, debt, answer });
        if self.owed.len() >= OWED_MAX {
            self.settle(replies);
        }
    }

    fn is_to_wait(&self) -> bool {
        !self.owed.is_empty()
    }

    fn rest(&mut self, _: Moment, replies: &Replies) {
        self.settle(replies);
    }
}

/// A request that will be answered, whatever happens to who works on it.
struct Pending {
    ticket: Option<Ticket>,
    replies: Replies,
}

impl Pending {
    fn answer(&mut self, answer: Result<Answer, Refused>) {
        if let Some(ticket) = self.ticket.take() {
            self.replies.send(ticket, to_frame(answer));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let lost =
            daos_client::Error::new(Der::TxUncertain, "the request was given up: its outcome is unknown");
        self.answer(Err(Refused::Failed(lost.hint("read before you write again"))));
    }
}

fn to_frame(answer: Result<Answer, Refused>) -> daos_net::Answer {
    match answer {
        Ok(Answer { body, payloads, body_has_sums }) => {
            let payloads = payloads.into_iter().map(Bulk::new).collect();
            daos_net::Answer::Reply { map_version: 1, body, payloads, body_has_sums }
        }
        Err(refused) => {
            let room = match &refused {
                Refused::TooLong { len, .. } => *len as u64,
                _ => 0,
            };
            let told = Refusal::new(refused.der(), refused.to_string()).hint(refused.hint());
            daos_net::Answer::Refused(Refusal { nothing_happened: refused.is_before(), room, ..told })
        }
    }
}

#[cfg(test)]
mod tests;
