//! An ordered map for a memtable: a B+tree in which nothing is ever removed.
//!
//! A key's first bytes stand in the node as numbers, so that a search rarely leaves it; the rest of the key is in the
//! arena. Wide nodes in one vector each keep a search at three or four places in memory at a few hundred thousand keys.

use super::Found;
use super::arena::{Arena, Place};
use crate::data::Run;
use crate::entry;
use crate::key;
use daos_types::Lsn;

/// Keys of a node.
const WIDTH: usize = 64;
/// Levels above the leaves: nodes are at least half full but for those that were appended to.
const DEPTH_MAX: usize = 16;
/// Beside a leaf there is no other.
const NONE: u32 = u32::MAX;

/// The first bytes of a key, as numbers that sort alike. Equal heads do not mean equal keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Head(u64, u64, u64);

impl Head {
    fn of(key: &[u8]) -> Self {
        let mut bytes = [0; 24];
        let len = key.len().min(bytes.len());
        bytes[..len].copy_from_slice(&key[..len]);
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(word)
        };
        Self(word(0), word(8), word(16))
    }
}

/// What is looked for.
struct Probe<'a> {
    head: Head,
    key: &'a [u8],
}

/// Sorted keys.
#[derive(Debug, Clone)]
struct Keys {
    len: usize,
    heads: [Head; WIDTH],
    places: [Place; WIDTH],
}

impl Keys {
    const EMPTY: Self = Self { len: 0, heads: [Head(0, 0, 0); WIDTH], places: [Place::ZERO; WIDTH] };

    /// How many keys are before the one looked for, and whether the next is that key.
    fn search(&self, arena: &Arena, probe: &Probe<'_>) -> (usize, bool) {
        let heads = &self.heads[..self.len];
        let from = heads.partition_point(|head| *head < probe.head);
        if heads.get(from) != Some(&probe.head) {
            return (from, false);
        }
        let to = from + heads[from..].partition_point(|head| *head == probe.head);
        let at = from + self.places[from..to].partition_point(|place| arena.key(*place) < probe.key);
        (at, at < to && arena.key(self.places[at]) == probe.key)
    }

    fn insert(&mut self, at: usize, head: Head, place: Place) {
        self.heads.copy_within(at..self.len, at + 1);
        self.places.copy_within(at..self.len, at + 1);
        self.heads[at] = head;
        self.places[at] = place;
        self.len += 1;
    }

    /// Moves the keys from `at` on into a new node.
    fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self::EMPTY;
        right.len = self.len - at;
        right.heads[..right.len].copy_from_slice(&self.heads[at..self.len]);
        right.places[..right.len].copy_from_slice(&self.places[at..self.len]);
        self.len = at;
        right
    }
}

#[derive(Debug)]
struct Leaf {
    keys: Keys,
    before: u32,
    behind: u32,
}

/// Child `i` holds what is before key `i`, the last child the rest.
#[derive(Debug)]
struct Inner {
    keys: Keys,
    children: [u32; WIDTH + 1],
}

impl Inner {
    fn insert(&mut self, at: usize, (head, place, right): Raised) {
        self.children.copy_within(at + 1..=self.keys.len, at + 2);
        self.children[at + 1] = right;
        self.keys.insert(at, head, place);
    }
}

/// The blocks that an entry named and the one in its place does not.
fn dropped(key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Option<Run> {
    if !key::is_version(key) {
        return None;
    }
    let run = |value: Option<&[u8]>| entry::run_of(value?).ok().flatten();
    run(old).filter(|old| run(new) != Some(*old))
}

/// After a split: the first key of the new node, and the node.
type Raised = (Head, Place, u32);

/// The map.
#[derive(Debug, Default)]
pub(super) struct Tree {
    arena: Arena,
    leaves: Vec<Leaf>,
    inners: Vec<Inner>,
    /// A leaf where `depth` is 0, else an inner node.
    root: u32,
    depth: usize,
    bytes: usize,
    count: usize,
    removed: usize,
    /// Blocks of the data file that only entries named which others have taken the place of.
    pub(super) dropped: Vec<Run>,
}

impl Tree {
    /// Bytes of memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many keys it holds.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many of them are removed.
    pub(super) fn removed(&self) -> usize {
        self.removed
    }

    /// Puts a key's newest bytes in place.
    pub(super) fn insert(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Lsn) {
        if self.leaves.is_empty() {
            self.bytes += size_of::<Leaf>();
            self.leaves.push(Leaf { keys: Keys::EMPTY, before: NONE, behind: NONE });
        }
        let probe = Probe { head: Head::of(key), key };
        let mut path = [(0, 0); DEPTH_MAX];
        let mut node = self.root;
        for step in path.iter_mut().take(self.depth) {
            let inner = &self.inners[node as usize];
            let (at, same) = inner.keys.search(&self.arena, &probe);
            let at = at + usize::from(same);
            *step = (node, at);
            node = inner.children[at];
        }
        let keys = &mut self.leaves[node as usize].keys;
        let (at, same) = keys.search(&self.arena, &probe);
        self.removed += usize::from(value.is_none());
        if same {
            let (_, old) = self.arena.entry(keys.places[at]);
            self.removed -= usize::from(old.value.is_none());
            self.dropped.extend(dropped(key, old.value, value));
        }
        if same && self.arena.replace(keys.places[at], value, lsn) {
            return;
        }
        self.bytes += Arena::len_of(key, value);
        let place = self.arena.push(key, value, lsn);
        if same {
            keys.places[at] = place;
            return;
        }
        self.count += 1;
        if keys.len < WIDTH {
            keys.insert(at, probe.head, place);
            return;
        }
        let mut raised = self.split_leaf(node, at, probe.head, place);
        for &(node, at) in path[..self.depth].iter().rev() {
            let inner = &mut self.inners[node as usize];
            if inner.keys.len < WIDTH {
                inner.insert(at, raised);
                return;
            }
            raised = self.split_inner(node, at, raised);
        }
        let mut children = [NONE; WIDTH + 1];
        children[0] = self.root;
        let mut root = Inner { keys: Keys::EMPTY, children };
        root.insert(0, raised);
        self.root = self.add_inner(root);
        self.depth += 1;
    }

    /// Inserts into a full leaf. One that is appended to stays full: keys often come in order.
    fn split_leaf(&mut self, node: u32, at: usize, head: Head, place: Place) -> Raised {
        let new = self.leaves.len() as u32;
        let left = &mut self.leaves[node as usize];
        let middle = if at == WIDTH { WIDTH } else { WIDTH / 2 };
        let mut right = Leaf { keys: left.keys.split_off(middle), before: node, behind: left.behind };
        left.behind = new;
        if at < middle {
            left.keys.insert(at, head, place);
        } else {
            right.keys.insert(at - middle, head, place);
        }
        let raised = (right.keys.heads[0], right.keys.places[0], new);
        if let Some(behind) = self.leaves.get_mut(right.behind as usize) {
            behind.before = new;
        }
        self.bytes += size_of::<Leaf>();
        self.leaves.push(right);
        raised
    }

    fn split_inner(&mut self, node: u32, at: usize, raised: Raised) -> Raised {
        let left = &mut self.inners[node as usize];
        let middle = if at == WIDTH { WIDTH - 1 } else { WIDTH / 2 };
        let mut right = Inner { keys: left.keys.split_off(middle + 1), children: [NONE; WIDTH + 1] };
        right.children[..=right.keys.len].copy_from_slice(&left.children[middle + 1..]);
        let (head, place) = (left.keys.heads[middle], left.keys.places[middle]);
        left.keys.len = middle;
        if at <= middle {
            left.insert(at, raised);
        } else {
            right.insert(at - middle - 1, raised);
        }
        (head, place, self.add_inner(right))
    }

    fn add_inner(&mut self, inner: Inner) -> u32 {
        self.bytes += size_of::<Inner>();
        self.inners.push(inner);
        self.inners.len() as u32 - 1
    }

    /// The leaf and the place in it of the first entry at or behind `key`, and whether it is that key's.
    fn find(&self, key: &[u8]) -> (u32, usize, bool) {
        if self.leaves.is_empty() {
            return (NONE, 0, false);
        }
        let probe = Probe { head: Head::of(key), key };
        let mut node = self.root;
        for _ in 0..self.depth {
            let inner = &self.inners[node as usize];
            let (at, same) = inner.keys.search(&self.arena, &probe);
            node = inner.children[at + usize::from(same)];
        }
        let (at, same) = self.leaves[node as usize].keys.search(&self.arena, &probe);
        (node, at, same)
    }

    /// The key's newest bytes.
    pub(super) fn get(&self, key: &[u8]) -> Option<Found<'_>> {
        let (leaf, at, same) = self.find(key);
        same.then(|| self.arena.entry(self.leaves[leaf as usize].keys.places[at]))
    }

    /// A walk that starts at the first entry at or behind `key` (forward), or at the last one before it.
    pub(super) fn walk(&self, key: &[u8], forward: bool) -> Walk<'_> {
        let (leaf, at, _) = self.find(key);
        Walk { tree: self, leaf, at, forward }
    }
}

/// A walk in one direction: it stands between two entries.
pub(crate) struct Walk<'a> {
    tree: &'a Tree,
    leaf: u32,
    at: usize,
    forward: bool,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            // Beyond the ends there is no leaf of that number.
            let leaf = self.tree.leaves.get(self.leaf as usize)?;
            if self.forward {
                if self.at < leaf.keys.len {
                    self.at += 1;
                    return Some(self.tree.arena.entry(leaf.keys.places[self.at - 1]));
                }
                (self.leaf, self.at) = (leaf.behind, 0);
            } else {
                if self.at > 0 {
                    self.at -= 1;
                    return Some(self.tree.arena.entry(leaf.keys.places[self.at]));
                }
                self.leaf = leaf.before;
                self.at = self.tree.leaves.get(self.leaf as usize).map_or(0, |leaf| leaf.keys.len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    type Row = (Vec<u8>, Option<Vec<u8>>, u64);

    fn row((key, entry): Found<'_>) -> Row {
        (key.to_vec(), entry.value.map(<[u8]>::to_vec), entry.lsn.0)
    }

    /// Few distinct bytes and lengths around a head's: many prefixes, many equal heads.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte = || proptest::sample::select(vec![0u8, 1, 0xFF]);
        prop_oneof![
            proptest::collection::vec(byte(), 0..8),
            proptest::collection::vec(byte(), 20..30),
            proptest::collection::vec(byte(), 4).prop_map(|end| [vec![7; 24], end].concat()),
            any::<u16>().prop_map(|n| n.to_be_bytes().to_vec()),
        ]
    }

    fn check(rows: &[(Vec<u8>, Option<Vec<u8>>)], looks: &[Vec<u8>]) {
        let mut tree = Tree::default();
        let mut model: BTreeMap<Vec<u8>, (Option<Vec<u8>>, u64)> = BTreeMap::new();
        for (lsn, (key, value)) in (1..).zip(rows) {
            tree.insert(key, value.as_deref(), Lsn(lsn));
            model.insert(key.clone(), (value.clone(), lsn));
        }
        assert_eq!(tree.count(), model.len());
        assert_eq!(tree.removed(), model.values().filter(|(value, _)| value.is_none()).count());
        let expected =
            |(key, (value, lsn)): (&Vec<u8>, &(Option<Vec<u8>>, u64))| (key.clone(), value.clone(), *lsn);
        let all: Vec<Row> = model.iter().map(expected).collect();
        assert_eq!(tree.walk(&[], true).map(row).collect::<Vec<_>>(), all);
        for key in looks.iter().chain(rows.iter().map(|(key, _)| key).take(50)) {
            let there = model.get_key_value(key).map(expected);
            assert_eq!(tree.get(key).map(row), there);
            let forward = model.range::<Vec<u8>, _>((Bound::Included(key), Bound::Unbounded));
            assert!(tree.walk(key, true).map(row).take(200).eq(forward.map(expected).take(200)));
            let backward = model.range::<Vec<u8>, _>((Bound::Unbounded, Bound::Excluded(key))).rev();
            assert!(tree.walk(key, false).map(row).take(200).eq(backward.map(expected).take(200)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn it_is_an_ordered_map(
            rows in proptest::collection::vec(
                (key(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))), 0..2000),
            looks in proptest::collection::vec(key(), 20),
        ) {
            check(&rows, &looks);
        }
    }

    #[test]
    fn keys_in_either_order_and_beyond_two_levels_are_all_there() {
        let scattered = |i: u32| i.wrapping_mul(0x9E37_79B1);
        for order in [|i| i, |i: u32| u32::MAX - i, scattered] {
            let rows: Vec<_> =
                (0..20_000).map(|i| (order(i).to_be_bytes().to_vec(), Some(vec![i as u8]))).collect();
            check(&rows, &[vec![0x80], vec![0xFF; 5]]);
        }
    }

    #[test]
    fn an_entry_costs_less_than_a_hundred_bytes_beside_its_key_and_value() {
        let mut tree = Tree::default();
        for i in 0..100_000u32 {
            tree.insert(&i.wrapping_mul(0x9E37_79B1).to_be_bytes(), Some(&[0; 64]), Lsn(1));
        }
        assert!(tree.bytes() / tree.count() < 4 + 64 + 100);
    }
}
