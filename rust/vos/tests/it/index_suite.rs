//! The conformance suite of `Index`: random batches against a map of the standard library.

use daos_types::Lsn;
use daos_vos::index::{Batch, Cursor, Index, IndexView};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What an index should hold.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;
/// A batch before it is applied.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// splitmix64.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// A batch out of a map.
pub(crate) struct MapBatch<'a> {
    changes: std::collections::btree_map::Iter<'a, Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> MapBatch<'a> {
    pub(crate) fn new(changes: &'a Changes) -> Self {
        Self { changes: changes.iter() }
    }
}

impl Batch for MapBatch<'_> {
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        self.changes.next().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    fn len_hint(&self) -> usize {
        self.changes.len()
    }
}

pub(crate) fn apply_to(model: &mut Model, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

/// Shapes of keys and values that trees tend to get wrong.
pub(crate) struct Shape {
    /// How many different keys there are, about.
    pub(crate) keys: usize,
    pub(crate) changes_max: usize,
    /// Of a hundred changes, how many remove.
    pub(crate) removes: usize,
    /// Lengths of values, each as likely as the others; a few bytes more or less are tried as well.
    pub(crate) values: &'static [usize],
    pub(crate) key_kind: KeyKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// As the store above makes them.
    Usual,
    /// Long common prefixes that differ late, up to 512 bytes.
    Long,
    /// Few bytes, also none, with zeros and 0xff.
    Short,
    /// Ever larger ones.
    Rising,
    /// Ever smaller ones behind one prefix.
    Falling,
}

impl Shape {
    fn key(&self, random: &mut Random, round: usize, nth: usize) -> Vec<u8> {
        let number = random.below(self.keys);
        match self.key_kind {
            KeyKind::Usual => format!("container{number:028}suffix-{:03}", number % 7).into_bytes(),
            KeyKind::Long => {
                let mut key = vec![b'p'; [3, 200, 400, 499][number % 4]];
                key.extend_from_slice(&(number as u64).to_be_bytes());
                key.resize(key.len() + [0, 1, 4, 5][number / 4 % 4], b'z');
                key
            }
            KeyKind::Short => {
                let alphabet = [0, 0, 1, b'a', 0xff];
                (0..number % 7).map(|_| alphabet[random.below(5)]).collect()
            }
            KeyKind::Rising => format!("log{:012}", round * 100_000 + nth).into_bytes(),
            KeyKind::Falling => {
                let mut key = b"object/dkey/akey/".to_vec();
                key.extend_from_slice(&(u64::MAX - (round * 100_000 + nth) as u64).to_be_bytes());
                key
            }
        }
    }

    pub(crate) fn changes(&self, random: &mut Random, model: &Model, round: usize) -> Changes {
        let mut changes = Changes::new();
        let count = random.below(self.changes_max) + 1;
        for nth in 0..count {
            let key = self.key(random, round, nth);
            if random.below(100) < self.removes {
                // Half of them hit.
                let hit = model.range(key.clone()..).next().map(|(key, _)| key.clone());
                changes.insert(if nth % 2 == 0 { hit.unwrap_or(key) } else { key }, None);
            } else {
                let len = self.values[random.below(self.values.len())];
                let len = if len > 8 { len + random.below(5) - 2 } else { len };
                changes.insert(key, Some(random.bytes(len.min(4 << 20))));
            }
        }
        if self.removes > 0 && random.below(8) == 0 {
            // A whole range goes.
            let from = model.keys().nth(random.below(model.len())).cloned().unwrap_or_default();
            for key in model.range(from..).take(model.len() / 3).map(|(key, _)| key) {
                changes.insert(key.clone(), None);
            }
        }
        changes
    }
}

pub(crate) const SHAPES: &[Shape] = &[
    Shape { keys: 3000, changes_max: 800, removes: 20, values: &[64], key_kind: KeyKind::Usual },
    Shape { keys: 500, changes_max: 200, removes: 60, values: &[0, 1, 64, 300], key_kind: KeyKind::Usual },
    Shape { keys: 400, changes_max: 200, removes: 30, values: &[0, 30, 700, 1024], key_kind: KeyKind::Long },
    Shape { keys: 1000, changes_max: 300, removes: 40, values: &[0, 3, 200], key_kind: KeyKind::Short },
    Shape {
        keys: 100,
        changes_max: 30,
        removes: 30,
        values: &[1022, 1026, 4096, 8192, 20_000],
        key_kind: KeyKind::Usual,
    },
    Shape {
        keys: 6,
        changes_max: 4,
        removes: 30,
        values: &[4096, 1 << 20, 4 << 20],
        key_kind: KeyKind::Usual,
    },
    Shape { keys: 1, changes_max: 1500, removes: 0, values: &[64], key_kind: KeyKind::Rising },
    Shape { keys: 1, changes_max: 700, removes: 2, values: &[64, 900], key_kind: KeyKind::Falling },
];

/// Holds `make`'s empty indexes to the contract.
pub(crate) fn suite<I: Index>(make: &dyn Fn(&str) -> I, rounds: usize, seed: u64) {
    for (number, shape) in SHAPES.iter().enumerate() {
        let index = make(&format!("shape-{number}"));
        let mut random = Random(seed + number as u64);
        let mut model = Model::new();
        let mut held: Vec<(I::View, Model)> = vec![(index.view(), model.clone())];
        for round in 0..rounds {
            let changes = shape.changes(&mut random, &model, round);
            index.apply(&mut MapBatch::new(&changes), Lsn(round as u64 + 1)).unwrap();
            apply_to(&mut model, &changes);
            assert_eq!(index.covers(), Lsn(round as u64 + 1));
            let view = index.view();
            compare(&view, &model, &mut random);
            if random.below(3) == 0 {
                held.push((view, model.clone()));
            }
            if held.len() > 4 {
                let (view, model) = held.swap_remove(random.below(held.len()));
                compare(&view, &model, &mut random);
            }
        }
        for (view, model) in held {
            compare(&view.clone(), &model, &mut random);
        }
        let all: Changes = model.keys().map(|key| (key.clone(), None)).collect();
        index.apply(&mut MapBatch::new(&all), Lsn(1_000_000)).unwrap();
        compare(&index.view(), &Model::new(), &mut random);
    }
}

/// Whether a view shows the model, by every way to look.
pub(crate) fn compare<V: IndexView>(view: &V, model: &Model, random: &mut Random) {
    for (key, value) in model {
        let same = view.get(key, |found| found == value.as_slice()).unwrap();
        assert_eq!(same, Some(true), "get {key:?}");
    }
    let mut cursor = view.cursor();
    assert!(cursor.key().is_empty() && cursor.value().is_empty());
    let mut more = cursor.seek(b"").unwrap();
    for (key, value) in model {
        assert!(more, "missing {key:?}");
        assert_eq!(cursor.key(), key.as_slice());
        assert!(cursor.value() == value.as_slice(), "value of {key:?}");
        more = cursor.next().unwrap();
    }
    assert!(!more, "one too many: {:?}", cursor.key());
    assert!(cursor.key().is_empty());
    let mut more = cursor.seek_last().unwrap();
    for (key, value) in model.iter().rev() {
        assert!(more && cursor.key() == key.as_slice() && cursor.value() == value.as_slice(), "{key:?}");
        more = cursor.prev().unwrap();
    }
    assert!(!more);
    for _ in 0..40.min(model.len() * 2 + 4) {
        let mut probe = match model.keys().nth(random.below(model.len() + 1)) {
            Some(key) if random.below(8) > 0 => key.clone(),
            _ => {
                let len = random.below(20);
                random.bytes(len)
            }
        };
        match random.below(5) {
            0 => probe.truncate(random.below(probe.len() + 1)),
            1 if probe.len() < 512 => probe.push(random.next() as u8),
            2 if !probe.is_empty() => {
                let at = random.below(probe.len());
                probe[at] = probe[at].wrapping_add(1);
            }
            _ => {}
        }
        assert_eq!(view.get(&probe, <[u8]>::to_vec).unwrap().as_ref(), model.get(&probe));
        let behind = model.range(probe.clone()..).map(|(key, _)| key.as_slice());
        let before = model
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(probe.as_slice())))
            .map(|(key, _)| key.as_slice());
        let first = view.at_or_after(&probe, |key, value| (key.to_vec(), value.to_vec())).unwrap();
        let expected = model.range(probe.clone()..).next();
        assert_eq!(first, expected.map(|(key, value)| (key.clone(), value.clone())), "at or after {probe:?}");
        let mut cursor = view.cursor();
        let mut found = cursor.seek(&probe).unwrap();
        for key in behind.take(3) {
            assert!(found && cursor.key() == key, "seek {probe:?}");
            found = cursor.next().unwrap();
        }
        let mut found = cursor.seek_before(&probe).unwrap();
        let mut steps = 0;
        for key in before.rev().take(3) {
            assert!(found && cursor.key() == key, "seek_before {probe:?}");
            found = cursor.prev().unwrap();
            steps += 1;
        }
        if steps == 0 {
            assert!(!found);
        }
        // Turning round.
        if cursor.seek(&probe).unwrap() {
            let here = cursor.key().to_vec();
            if cursor.next().unwrap() {
                assert!(cursor.prev().unwrap());
                assert_eq!(cursor.key(), here);
            }
        }
    }
}
