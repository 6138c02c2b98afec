//! A pass of the scrubber over a shard, in slices: first its index, then what its containers hold. `docs/internals/scrub.md`.

use crate::changes::ShardNum;
use crate::check::CheckBudget;
use crate::error::{Result, VosError};
use crate::store::Store;
use daos_types::{ContainerId, ObjectId};
use std::collections::VecDeque;

/// A pass over a shard. It is nothing but its place: it may be dropped at any time.
#[derive(Debug)]
pub struct Scrub {
    shard: ShardNum,
    at: Place,
    conts: VecDeque<ContainerId>,
}

#[derive(Debug)]
enum Place {
    /// In the index, at its begin or further.
    Index(Option<Vec<u8>>),
    /// At the first of the containers that are left, at its begin or further.
    Containers(Option<Vec<u8>>),
}

/// Something that is not as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubDamage {
    /// In which container, if that is known.
    pub cont: Option<ContainerId>,
    /// In which object, if that is known.
    pub oid: Option<ObjectId>,
    /// Where and what, for people.
    pub what: String,
}

/// What a slice of a pass read and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubPart {
    /// Pages of the index.
    pub pages: u64,
    /// Entries of containers.
    pub entries: u64,
    /// Bytes of values in the data file.
    pub bytes: u64,
    /// What is wrong.
    pub damaged: Vec<ScrubDamage>,
    /// There is nothing more to read.
    pub done: bool,
}

impl Scrub {
    /// A pass over a shard's index and these of its containers.
    pub fn new(shard: ShardNum, conts: Vec<ContainerId>) -> Self {
        Self { shard, at: Place::Index(None), conts: conts.into() }
    }
}

impl Store {
    /// Goes on with a pass, as far as one slice may go. An error says that the slice could not be read at all, and changes nothing.
    pub fn scrub_step(&self, scrub: &mut Scrub, budget: CheckBudget<'_>) -> Result<ScrubPart> {
        let mut part = ScrubPart::default();
        match &scrub.at {
            Place::Index(from) => {
                let page = self.view(scrub.shard)?.check_index(from.as_deref(), budget.pages)?;
                part.pages = page.pages;
                let told = |what| ScrubDamage { cont: None, oid: None, what };
                part.damaged.extend(page.damaged.into_iter().map(told));
                scrub.at = match page.next {
                    Some(next) => Place::Index(Some(next)),
                    None => Place::Containers(None),
                };
            }
            Place::Containers(from) => {
                let next = match scrub.conts.front() {
                    Some(cont) => {
                        self.scrub_container(scrub.shard, *cont, from.as_deref(), budget, &mut part)?
                    }
                    None => None,
                };
                if next.is_none() {
                    scrub.conts.pop_front();
                }
                scrub.at = Place::Containers(next);
            }
        }
        part.done = matches!(scrub.at, Place::Containers(_)) && scrub.conts.is_empty();
        Ok(part)
    }

    /// Reads a slice of a container; answers where to go on. One that is not there any more has nothing left to read.
    fn scrub_container(
        &self,
        shard: ShardNum,
        cont: ContainerId,
        from: Option<&[u8]>,
        budget: CheckBudget<'_>,
        part: &mut ScrubPart,
    ) -> Result<Option<Vec<u8>>> {
        let mut told = |oid, what| part.damaged.push(ScrubDamage { cont: Some(cont), oid, what });
        let read = self.cont_num(shard, cont).and_then(|(_, num)| {
            let Some(num) = num else { return Ok(None) };
            self.view(shard)?.check(num, from, budget).1.map(Some)
        });
        match read {
            Ok(None) => Ok(None),
            Ok(Some(page)) => {
                page.damaged.into_iter().for_each(|(oid, what)| told(Some(oid), what));
                (part.entries, part.bytes) = (page.entries, page.bytes);
                Ok(page.next)
            }
            // What lies behind it in this container is not found any more.
            Err(VosError::Corrupt { why } | VosError::Io { why }) => {
                told(None, why);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
