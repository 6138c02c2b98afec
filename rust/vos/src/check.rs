//! Reading all that a container holds, every version of it, to see whether it is as it was stored.

use crate::checksum::OwnedSums;
use crate::data::Stored;
use crate::entry::{Change, Content, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, ContNum, KeyBuf, LEVEL_BELOW, LEVEL_END, OBJECT_NODE_LEN};
use crate::levels::{Merge, Seen};
use crate::node::ObjectState;
use crate::read::View;
use crate::shard::Shard;
use daos_codec::{Verifier, verify_all};
use daos_types::object_id::KeyKind;
use daos_types::{ObjectId, ObjectType};

/// Entries that are looked at under one hold of the memtable.
const ENTRIES_AT_ONCE: usize = 1024;
/// Bytes of one value that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// How far a part of a check goes.
#[derive(Clone, Copy)]
pub struct CheckBudget<'a> {
    /// About so many entries.
    pub entries: usize,
    /// Not beyond the value with which so many bytes were read from the data file.
    pub bytes: u64,
    /// About so many pages of an index.
    pub pages: u64,
    /// Asked again and again while a long value is read: false ends the part with [`VosError::Stopped`].
    pub go_on: &'a dyn Fn() -> bool,
}

impl CheckBudget<'_> {
    /// What one call for a whole check takes: some hundred milliseconds of work.
    pub const CALL: Self = Self { entries: 64 << 10, bytes: 256 << 20, pages: 16 << 10, go_on: &|| true };
}
/// What is told of bytes that are sound for the store and not for who wrote them.
const MISMATCH: &str = "its bytes do not have the checksum they came with";

/// A part of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckPage {
    /// Objects that it came to the end of.
    pub objects: u64,
    /// Entries that were looked at: values, extents, punches.
    pub entries: u64,
    /// Bytes of values that were read from the data file.
    pub bytes: u64,
    /// What is wrong, and of which object.
    pub damaged: Vec<(ObjectId, String)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// A part of a check of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexPage {
    /// Pages that were read, each counted once.
    pub pages: u64,
    /// What is wrong, with the file and the page.
    pub damaged: Vec<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// A value in the data file, still to be read.
struct Later {
    oid: ObjectId,
    /// Where it belongs, for people.
    place: String,
    reference: Vec<u8>,
    sums: Option<OwnedSums>,
}

impl View {
    /// Checks a part of a container, from a place on: that each entry has a known form, and each block of the data file its
    /// seal, and that the bytes of values and extents have the checksums they came with.
    pub fn check(
        &self,
        cont: ContNum,
        from: Option<&[u8]>,
        budget: CheckBudget<'_>,
    ) -> (Seen, Result<CheckPage>) {
        let mut page = CheckPage { next: Some(from.unwrap_or_default().to_vec()), ..CheckPage::default() };
        let mut seen = Seen::default();
        while (page.entries as usize) < budget.entries
            && page.bytes < budget.bytes
            && let Some(place) = page.next.take()
        {
            let mut later = Vec::new();
            let ahead = budget.bytes - page.bytes;
            let (more, result) = self.look.levels.read(self.overlay.as_deref(), |merge| {
                let result = look(merge, cont, &place, ahead, &mut page, &mut later);
                (merge.seen(), result)
            });
            seen = seen.and(more);
            match result {
                Ok(next) => page.next = next,
                Err(error) => return (seen, Err(error)),
            }
            // Nothing is held any more but the view.
            for Later { oid, place, reference, sums } in later {
                match read(&self.shard, &reference, sums.as_ref(), budget.go_on) {
                    Ok(bytes) => page.bytes += bytes,
                    Err(VosError::Corrupt { why } | VosError::Io { why }) => {
                        page.damaged.push((oid, format!("{place}: {why}")));
                    }
                    Err(error) => return (seen, Err(error)),
                }
            }
        }
        (seen, Ok(page))
    }

    /// Checks about so many pages of the shard's index on its device, past the page cache, from a place on. What is damaged is
    /// told, and what lies behind it checked. Holds nothing up.
    pub fn check_index(&self, from: Option<&[u8]>, pages_max: u64) -> Result<IndexPage> {
        self.shard.check_index(from, pages_max)
    }
}

/// Reads a value; answers how long it is.
fn read(shard: &Shard, reference: &[u8], sums: Option<&OwnedSums>, go_on: &dyn Fn() -> bool) -> Result<u64> {
    let stored = Stored::decode(reference)?;
    let mut bytes = Vec::new();
    let mut verifier = sums.map(|sums| Verifier::new(sums.lend()));
    let wrong = |_| VosError::Corrupt { why: MISMATCH.to_owned() };
    let step = READ_BYTES.next_multiple_of(stored.unit());
    for at in (0..stored.len()).step_by(step) {
        if at > 0 && !go_on() {
            return Err(VosError::Stopped { why: "a check was given up".to_owned() });
        }
        bytes.resize(step.min(stored.len() - at), 0);
        shard.data.read_part(&stored, at, &mut bytes)?;
        if let Some(verifier) = &mut verifier {
            verifier.update(at, &bytes).map_err(wrong)?;
        }
    }
    if let Some(verifier) = verifier {
        verifier.finish(stored.len()).map_err(wrong)?;
    }
    Ok(stored.len() as u64)
}

/// Looks at the next entries from a place on, until `ahead` bytes are to be read: the node of an object, and behind it where in what
/// it holds. Answers where to go on.
fn look(
    merge: &mut Merge<'_>,
    cont: ContNum,
    place: &[u8],
    ahead: u64,
    page: &mut CheckPage,
    later: &mut Vec<Later>,
) -> Result<Option<Vec<u8>>> {
    let wrong = || VosError::Corrupt { why: "an object's key has no known form".to_owned() };
    let objects = KeyBuf::objects(cont);
    let (node, from) = match place.split_at_checked(OBJECT_NODE_LEN) {
        Some((node, from)) => (node.to_vec(), from.to_vec()),
        None => (objects.as_slice().to_vec(), Vec::new()),
    };
    if !merge.seek(&node)? || !merge.key().starts_with(objects.as_slice()) {
        return Ok(None);
    }
    let (_, unit) = key::parse_object(merge.key()).ok_or_else(wrong)?;
    let mut node = KeyBuf::from_slice(merge.key().get(..OBJECT_NODE_LEN).ok_or_else(wrong)?)?;
    let state = ObjectState::load_recent(merge, &mut node)?;
    let mut behind = node.as_slice().to_vec();
    behind.push(LEVEL_END);
    let done = |page: &mut CheckPage, merge: &mut Merge<'_>| {
        page.objects += 1;
        page.entries += 1;
        let more = merge.seek(&behind)? && merge.key().starts_with(objects.as_slice());
        Ok(more.then(|| merge.key().get(..OBJECT_NODE_LEN).unwrap_or_default().to_vec()))
    };
    let kind = unit.oid.object_type();
    let (Some(num), Some(kind)) = (state.and_then(|state| state.num), kind) else { return done(page, merge) };
    let tree = KeyBuf::tree(num);
    let begin = [tree.as_slice(), &from].concat();
    let mut on = merge.seek(&begin)?;
    let (mut looked, mut to_read) = (0, 0);
    while on && merge.key().starts_with(tree.as_slice()) {
        let below = merge.key().get(tree.mark()..).unwrap_or_default();
        if looked == ENTRIES_AT_ONCE || to_read >= ahead {
            return Ok(Some([node.as_slice(), below].concat()));
        }
        looked += 1;
        page.entries += 1;
        let name = || name_of(kind, merge.key(), tree.mark());
        match Entry::decode(merge.value()) {
            Err(error) => page.damaged.push((unit.oid, format!("{}: {error}", name()))),
            Ok(Entry { change, .. }) => {
                match change.payload().map(|payload| (payload.content, payload.sums)) {
                    Some((Content::Stored(stored), sums)) => {
                        let mut reference = Vec::new();
                        stored.encode(&mut reference);
                        to_read += stored.len() as u64;
                        let sums = sums.map(OwnedSums::of);
                        later.push(Later { oid: unit.oid, place: name(), reference, sums });
                    }
                    Some((Content::Inline(bytes), Some(sums))) if verify_all(&sums, bytes).is_err() => {
                        page.damaged.push((unit.oid, format!("{}: {MISMATCH}", name())));
                    }
                    _ => {}
                }
                if matches!(change, Change::Array(_)) && kind.is_kv() {
                    page.damaged.push((unit.oid, format!("{}: an array in a key-value object", name())));
                }
            }
        }
        on = merge.step()?;
    }
    done(page, merge)
}

/// What a key below an object says, for people.
fn name_of(kind: ObjectType, whole: &[u8], tree: usize) -> String {
    let below = whole.get(tree..).unwrap_or_default();
    let level = |kind: KeyKind, bytes: &[u8]| {
        let parsed = key::parse_user_key(kind, bytes)?;
        let mut user = Vec::new();
        key::decode_user_key(kind, bytes.get(..parsed.encoded_len)?, &mut user);
        let shown = match (kind, <[u8; 8]>::try_from(user.as_slice())) {
            (KeyKind::Uint64, Ok(number)) => u64::from_le_bytes(number).to_string(),
            _ => format!("\"{}\"", user.escape_ascii()),
        };
        Some((shown, parsed.encoded_len))
    };
    let Some((dkey, len)) = level(kind.dkey_kind(), below) else {
        return "a key of no known form".to_owned();
    };
    let mut name = format!("dkey {dkey}");
    if let Some((LEVEL_BELOW, rest)) =
        below.get(len..).and_then(|rest| rest.split_first().map(|(a, b)| (*a, b)))
        && let Some((akey, _)) = level(kind.akey_kind(), rest)
    {
        name.push_str(", akey ");
        name.push_str(&akey);
    }
    match key::version_of(whole) {
        Some(version) => format!("{name}, epoch {}", version.epoch),
        None => name,
    }
}
