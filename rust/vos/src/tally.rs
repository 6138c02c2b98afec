//! Counting what a container holds, without reading values.

use crate::data::BLOCK;
use crate::entry::{Change, Content, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, ContNum, KeyBuf, LEVEL_END, OBJECT_NODE_LEN};
use crate::levels::{Merge, Seen};
use crate::node::ObjectState;
use crate::read::View;
use daos_types::Tally;

/// Entries that are looked at under one hold of the memtable.
const ENTRIES_AT_ONCE: usize = 1024;

/// A part of a count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TallyPage {
    /// What this part has.
    pub tally: Tally,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl View {
    /// Counts about `budget` entries of a container, from a place on.
    pub fn tally(&self, cont: ContNum, from: Option<&[u8]>, budget: usize) -> (Seen, Result<TallyPage>) {
        let mut page = TallyPage { next: Some(from.unwrap_or_default().to_vec()), ..TallyPage::default() };
        let mut seen = Seen::default();
        let mut looked = 0;
        while looked < budget
            && let Some(place) = page.next.take()
        {
            let (more, result) = self.look.levels.read(self.overlay.as_deref(), |merge| {
                let result = look(merge, cont, &place, &mut page.tally, &mut looked);
                (merge.seen(), result)
            });
            seen = seen.and(more);
            match result {
                Ok(next) => page.next = next,
                Err(error) => return (seen, Err(error)),
            }
        }
        (seen, Ok(page))
    }
}

/// Looks at the next entries of an object. A place is an object's node, and behind it the last key below that was counted.
fn look(
    merge: &mut Merge<'_>,
    cont: ContNum,
    place: &[u8],
    tally: &mut Tally,
    looked: &mut usize,
) -> Result<Option<Vec<u8>>> {
    let wrong = || VosError::Corrupt { why: "an object's key has no known form".to_owned() };
    let objects = KeyBuf::objects(cont);
    let (node, mut last) = match place.split_at_checked(OBJECT_NODE_LEN) {
        Some((node, last)) => (node.to_vec(), last.to_vec()),
        None => (objects.as_slice().to_vec(), Vec::new()),
    };
    if !merge.seek(&node)? || !merge.key().starts_with(objects.as_slice()) {
        return Ok(None);
    }
    let (_, unit) = key::parse_object(merge.key()).ok_or_else(wrong)?;
    let mut node = KeyBuf::from_slice(merge.key().get(..OBJECT_NODE_LEN).ok_or_else(wrong)?)?;
    if place.get(..OBJECT_NODE_LEN) != Some(node.as_slice()) {
        // The object of the place is gone, this one is new.
        last.clear();
    }
    let state = ObjectState::load_recent(merge, &mut node)?;
    *looked += 1;
    if let (Some(num), Some(kind)) = (state.and_then(|state| state.num), unit.oid.object_type()) {
        let tree = KeyBuf::tree(num);
        let dkey_of =
            |below: &[u8]| key::parse_user_key(kind.dkey_kind(), below).map_or(0, |key| key.encoded_len);
        let mut on = merge.seek(&[tree.as_slice(), &last].concat())?;
        if last.is_empty() {
            tally.objects += u64::from(on && merge.key().starts_with(tree.as_slice()));
        }
        let mut here = 0;
        while on && merge.key().starts_with(tree.as_slice()) {
            let below = merge.key().get(tree.mark()..).unwrap_or_default();
            if here == ENTRIES_AT_ONCE {
                return Ok(Some([node.as_slice(), &last].concat()));
            }
            if below != last {
                here += 1;
                *looked += 1;
                if below.get(..dkey_of(below)) != last.get(..dkey_of(&last)) || last.is_empty() {
                    tally.dkeys += 1;
                }
                count(merge.key(), merge.value(), tally)?;
                last.clear();
                last.extend_from_slice(below);
            }
            on = merge.step()?;
        }
    }
    let behind = [node.as_slice(), &[LEVEL_END]].concat();
    let more = merge.seek(&behind)? && merge.key().starts_with(objects.as_slice());
    Ok(more.then(|| merge.key().get(..OBJECT_NODE_LEN).unwrap_or_default().to_vec()))
}

/// Counts one entry.
fn count(key: &[u8], value: &[u8], tally: &mut Tally) -> Result<()> {
    let change = Entry::decode(value)?.change;
    match change {
        Change::Value(_) => tally.values += 1,
        Change::Records { .. } | Change::Strided { .. } => tally.extents += 1,
        Change::Punch | Change::NoValue | Change::Hole(_) => tally.removals += 1,
        Change::Create | Change::Array(_) => {}
    }
    if let Some(payload) = change.payload() {
        tally.bytes += payload.len() as u64;
        tally.stored_bytes += match payload.content {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Stored(stored) => stored.run().count * BLOCK,
        };
    }
    if let Some(version) = key::version_of(key) {
        let epoch = version.epoch;
        let (first, last) = tally.epochs.unwrap_or((epoch, epoch));
        tally.epochs = Some((first.min(epoch), last.max(epoch)));
    }
    Ok(())
}
