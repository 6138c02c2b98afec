//! Power cuts at every write of a life of an index.

use crate::index_suite::{Changes, MapBatch, Model, Random, SHAPES, Shape, apply_to, compare};
use daos_types::Lsn;
use daos_vos::index::{Index, IndexError, Tree, TreeOptions};
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MediaError, MemoryMedia};
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::sync::Arc;

struct Life {
    history: History,
    /// After which event batch *n* had returned; 0 is the creation.
    acked: Vec<usize>,
    /// What the index held after batch *n*.
    models: Vec<Model>,
}

/// Creates an index, applies batches, reopens now and then; all of it on record.
fn live(shape: &Shape, rounds: usize, seed: u64) -> Life {
    let media = Recorded::new(Arc::new(MemoryMedia::new())).unwrap();
    let mut random = Random(seed);
    let mut tree = Tree::create(&media, "index", [5; 16], &TreeOptions::default()).unwrap();
    let mut acked = vec![media.position()];
    let mut models = vec![Model::new()];
    for round in 1..=rounds {
        let mut model = models.last().unwrap().clone();
        let changes = shape.changes(&mut random, &model, round);
        tree.apply(&mut MapBatch::new(&changes), Lsn(round as u64)).unwrap();
        apply_to(&mut model, &changes);
        models.push(model);
        acked.push(media.position());
        if round % 3 == 0 {
            tree.rest(true).unwrap();
        }
        if round % 4 == 0 {
            tree = Tree::open(&media, "index", [5; 16], &TreeOptions::default()).unwrap();
        }
    }
    Life { history: media.history(), acked, models }
}

/// Which batches were acknowledged, as the number of acknowledgements, 0 before the creation's.
fn stage(acked: &[usize], point: usize) -> u64 {
    acked.iter().filter(|ack| **ack <= point).count() as u64
}

/// What is wrong with a state a cut left, `None` if nothing.
fn verdict(life: &Life, point: usize, media: &MemoryMedia, random: &mut Random) -> Option<String> {
    let acked = stage(&life.acked, point);
    let tree = match Tree::open(media, "index", [5; 16], &TreeOptions::default()) {
        Ok(tree) => tree,
        Err(IndexError::Media(MediaError::NotFound { .. })) if acked == 0 => {
            // The creation must be possible once more, whatever is left of the first.
            return Tree::create(media, "index", [5; 16], &TreeOptions::default())
                .err()
                .map(|e| e.to_string());
        }
        Err(error) => return Some(error.to_string()),
    };
    let covers = tree.covers().0;
    if covers + 1 < acked || covers > acked {
        return Some(format!("{acked} acknowledged, covers {covers}"));
    }
    if tree.log_needed_after() > tree.covers() || tree.recovery() != daos_vos::index::Recovery::default() {
        return Some(format!("{:?}", tree.recovery()));
    }
    if let Err(error) = tree.check() {
        return Some(error.to_string());
    }
    let mut model = life.models[covers as usize].clone();
    compare(&tree.view(), &model, random);
    // And life goes on, twice, so that what the two former states used is written over.
    for lsn in covers + 1..covers + 3 {
        let changes: Changes = (0..4)
            .map(|_| (random.bytes(9), Some(random.bytes(300))))
            .chain([(b"k".to_vec(), None)])
            .collect();
        if let Err(error) = tree.apply(&mut MapBatch::new(&changes), Lsn(lsn)) {
            return Some(error.to_string());
        }
        apply_to(&mut model, &changes);
    }
    let tree = Tree::open(media, "index", [5; 16], &TreeOptions::default()).unwrap();
    if let Err(error) = tree.check() {
        return Some(error.to_string());
    }
    compare(&tree.view(), &model, random);
    None
}

#[test]
fn every_cut_leaves_a_batch_whole_or_out() {
    let mut seen = 0;
    for number in [0, 1, 4] {
        let life = live(&SHAPES[number], 10, 40 + number as u64);
        let acked = life.acked.clone();
        let mut random = Random(9);
        let explored = life.history.crashes(
            Crash { seed: number as u64, states: 500 },
            &|point| stage(&acked, point),
            &mut |point, media| {
                if let Some(wrong) = verdict(&life, point, &media, &mut random) {
                    panic!("shape {number}, cut at {point}: {wrong}");
                }
                ControlFlow::Continue(())
            },
        );
        seen += explored.visited;
    }
    assert!(seen > 300, "only {seen} states");
}

#[test]
fn a_cut_and_then_a_slot_that_cannot_be_read() {
    let life = live(&SHAPES[1], 10, 21);
    let acked = life.acked.clone();
    life.history.crashes(
        Crash { seed: 3, states: 250 },
        &|point| stage(&acked, point),
        &mut |point, media| {
            let acked = stage(&acked, point);
            for slot in [0_u64, 16] {
                let media = media.snapshot();
                if acked == 0 {
                    continue;
                }
                let zeros = [0; 4096];
                media.open("index").unwrap().write_at(slot * 4096, &[IoSlice::new(&zeros)]).unwrap();
                let tree = Tree::open(&media, "index", [5; 16], &TreeOptions::default()).unwrap();
                // The state before, at worst, and that one whole, as long as the log is kept for it.
                let covers = tree.covers().0;
                assert!(covers + 2 >= acked, "{covers} of {acked}");
                assert!(tree.recovery().damaged_slot.is_some());
                tree.check().unwrap();
                assert_eq!(tree.stats().entries, life.models[covers as usize].len() as u64);
            }
            ControlFlow::Continue(())
        },
    );
}

#[test]
fn without_syncs_the_same_search_finds_loss() {
    let life = live(&SHAPES[1], 6, 3);
    let mut lost = false;
    life.history.without_syncs().crashes(
        Crash { seed: 1, states: 600 },
        &|point| stage(&life.acked, point),
        &mut |point, media| {
            let failed = Tree::open(&media, "index", [5; 16], &TreeOptions::default()).map_or(true, |tree| {
                tree.covers().0 + 1 < stage(&life.acked, point) || tree.check().is_err()
            });
            lost |= failed && stage(&life.acked, point) > 0;
            if lost { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert!(lost);
}

#[test]
fn a_cut_in_the_first_batch_after_a_cut() {
    // Recovery itself is cut: states of the first life become the start of a second record.
    let life = live(&SHAPES[1], 3, 8);
    let mut random = Random(4);
    let acked = life.acked.clone();
    let mut second_cuts = 0;
    life.history.crashes(
        Crash { seed: 5, states: 30 },
        &|point| stage(&acked, point),
        &mut |point, media| {
            if stage(&acked, point) == 0 {
                return ControlFlow::Continue(());
            }
            let recorded = Recorded::new(Arc::new(media)).unwrap();
            let tree = Tree::open(&recorded, "index", [5; 16], &TreeOptions::default()).unwrap();
            let covers = tree.covers().0;
            let before = life.models[covers as usize].clone();
            let changes = SHAPES[1].changes(&mut random, &before, 50);
            let mut after = before.clone();
            apply_to(&mut after, &changes);
            tree.apply(&mut MapBatch::new(&changes), Lsn(covers + 1)).unwrap();
            let done = recorded.position();
            recorded.history().crashes(
                Crash { seed: 6, states: 25 },
                &|point| u64::from(point >= done),
                &mut |point, media: MemoryMedia| {
                    let tree = Tree::open(&media, "index", [5; 16], &TreeOptions::default()).unwrap();
                    tree.check().unwrap();
                    let is_after = tree.covers().0 == covers + 1;
                    assert!(is_after || point < done);
                    compare(&tree.view(), if is_after { &after } else { &before }, &mut random);
                    second_cuts += 1;
                    ControlFlow::Continue(())
                },
            );
            ControlFlow::Continue(())
        },
    );
    assert!(second_cuts > 100, "only {second_cuts}");
}
