//! Listing a flat key-value object with its values: one walk, which stands on each key's newest version anyway.

use crate::data;
use crate::entry::{Change, Content, Entry};
use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::levels::Seen;
use crate::read::{ListRange, ObjectRef, PASSED_MAX, Scope, View};
use daos_types::{Packed, Sums, Version};
use std::ops::ControlFlow;

/// One page of keys with their values. It may hold fewer than asked for, or none, and not be the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PairPage {
    /// The keys, in the object type's order.
    pub keys: Packed,
    /// The value of each.
    pub values: Packed,
    /// The sum of each value: the number of its algorithm (1), the sum; empty for one that has none.
    pub sums: Packed,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// What is still to be read from the data file: for which key, and the reference.
type Later = Vec<(usize, Vec<u8>)>;

impl View {
    /// One page of the visible keys of a flat key-value object, each with its value; keys that hold none are left out. All values
    /// are as of one moment. `range.bytes_max` counts keys and values; a value that is longer comes as a page by itself.
    pub fn list_pairs(
        &self,
        of: ObjectRef,
        version: Version,
        range: ListRange<'_>,
    ) -> (Seen, Result<PairPage>) {
        let mut later = Later::new();
        let (seen, found) = self.scoped(of, version, |scope| scope.list_pairs(range, &mut later));
        let result = found.and_then(|page| {
            let mut page = page.unwrap_or_default();
            // Nothing is held any more but the view.
            if !later.is_empty() {
                page.values = self.complete(&page.values, &later)?;
            }
            Ok(page)
        });
        (seen, result)
    }

    /// The values with those of the data file in their places.
    fn complete(&self, values: &Packed, later: &Later) -> Result<Packed> {
        let mut whole = Packed::default();
        let mut later = later.iter().peekable();
        for (at, value) in values.iter().enumerate() {
            let Some((_, reference)) = later.next_if(|(index, _)| *index == at) else {
                whole.push(value);
                continue;
            };
            let stored = data::Stored::decode(reference)?;
            self.shard.data.read_whole(&stored, whole.push_room(stored.len()))?;
        }
        Ok(whole)
    }
}

impl Scope<'_, '_> {
    /// Values in the data file are empty here, and noted.
    fn list_pairs(&mut self, range: ListRange<'_>, later: &mut Later) -> Result<PairPage> {
        if !self.kind.is_kv() {
            return Err(VosError::Invalid {
                why: "only key-value objects are listed with their values".to_owned(),
            });
        }
        let mut page = PairPage::default();
        let (mut bytes, mut passed) = (0, 0);
        let parent = KeyBuf::tree(self.num);
        let (kind, floor) = (self.kind.dkey_kind(), self.object.floor);
        page.next = self.walk_entries(&parent, kind, floor, range, |shown| {
            let mut pass = || {
                passed += 1;
                if passed > PASSED_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let Some((key, entry)) = shown else { return Ok(pass()) };
            let Change::Value(payload) = Entry::decode(entry)?.change else { return Ok(pass()) };
            let len = key.len() + payload.len();
            let full = page.keys.len() >= range.count_max.max(1) || bytes + len > range.bytes_max;
            if full && !page.keys.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            bytes += len;
            page.keys.push(key);
            match payload.sums {
                Some(Sums { kind, bytes, .. }) => {
                    let room = page.sums.push_room(1 + bytes.len());
                    if let Some((number, sum)) = room.split_first_mut() {
                        *number = kind as u8;
                        sum.copy_from_slice(bytes);
                    }
                }
                None => page.sums.push(&[]),
            }
            match payload.content {
                Content::Inline(value) => page.values.push(value),
                Content::Stored(stored) => {
                    let mut reference = Vec::new();
                    stored.encode(&mut reference);
                    later.push((page.values.len(), reference));
                    page.values.push(&[]);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }
}
