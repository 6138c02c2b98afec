//! Power cuts at every point of storms of renames, truncations, appends, links and removals.
//!
//! What opens after a cut must be the tree after some number of the operations, each whole; at least all that were followed by a sync;
//! and a check finds nothing but files that had lost their names while they were open.

use crate::common::{self, CREATE, Random, Tree, Untransacted, errno, mount, new, open, root};
use daos_client::ContainerService;
use daos_dfs::{At, CheckMode, Dfs, Errno, File, Finding, FormatOptions, Paths, Rename, SetAttr, XattrSet};
use daos_embed::{Options, System};
use daos_types::Durability;
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MemoryMedia};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// States of the ordinary run; `DAOS_CRASH_STATES` sets another number.
const STATES: usize = 240;
const IDENTITY: [u8; 16] = [7; 16];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn options() -> Options {
    // Small, so that merges happen in between.
    Options {
        targets: 2,
        durability: Durability::Synced,
        memtable_bytes_max: Some(128 << 10),
        ..Options::default()
    }
}

/// All that can be seen but times.
fn tree(paths: &Paths) -> Tree {
    common::tree(paths, |at, attr, content| {
        let xattr = paths.dfs().xattr(at, b"user.a").ok();
        format!("{:o} {} {xattr:?} {content:?}", attr.mode, attr.links)
    })
}

/// What was known at a point of the recording.
#[derive(Debug, Clone, Copy)]
struct Promise {
    position: usize,
    durable: usize,
    begun: usize,
}

#[derive(Debug, Default)]
struct Truth {
    /// The tree after each number of operations.
    after: Vec<Tree>,
    promises: Vec<Promise>,
    created: usize,
}

impl Truth {
    fn at(&self, point: usize) -> Promise {
        let known = self.promises.partition_point(|promise| promise.position <= point);
        self.promises[known.saturating_sub(1)]
    }
}

/// One operation. What is written is within one chunk, so that each is one change.
fn step(paths: &Paths, opened: &mut Vec<File>, random: &mut Random) {
    let path = |random: &mut Random| {
        let depth = 1 + random.below(2);
        (0..depth).map(|_| random.one(&NAMES)).collect::<Vec<_>>().join("/").into_bytes()
    };
    let (one, two) = (path(random), path(random));
    let outcome = match random.below(12) {
        0 => paths.mkdir(&one, 0o755).map(drop),
        1 => paths.rmdir(&one),
        2 => paths.unlink(&one),
        3 => paths.open_file(&one, &open(CREATE)).map(|file| opened.push(file)),
        4..=6 => paths.rename(&one, &two, random.one(&[Rename::Replace, Rename::Replace, Rename::Exchange])),
        7 => paths.link(&one, &two, false),
        8 => paths.symlink(b"a", &one),
        9 => paths.truncate(&one, random.one(&[0, 1, 250, 1_000])),
        10 => paths.set_xattr(&one, b"user.a", &two, XattrSet::Any, true),
        _ => match opened.len() {
            0 => Ok(()),
            count => {
                let at = random.below(count);
                let file = &opened[at];
                match random.below(4) {
                    0 => file.append(&[random.below(256) as u8; 300]).map(drop),
                    1 => {
                        file.write(random.below(3) as u64 * 1_024, &[random.below(256) as u8; 700]).map(drop)
                    }
                    2 => file.truncate(random.one(&[0, 5, 2_000])),
                    _ => opened.swap_remove(at).close(),
                }
            }
        },
    };
    if let Err(error) = outcome {
        assert_ne!(error.errno, Errno::EIO, "{error:?}");
    }
}

/// How a storm is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storm {
    Whole,
    /// It promises what was only buffered.
    Untrue,
    /// Without transactions.
    Ordered,
}

/// Records a storm.
fn record(seed: u64, steps: usize, storm: Storm) -> (History, Truth) {
    let recorded = Arc::new(Recorded::new(Arc::new(MemoryMedia::new())).unwrap());
    let media: Arc<dyn Media> = Arc::<Recorded>::clone(&recorded);
    let system = System::on_media(media, IDENTITY, true, &options()).unwrap();
    let pool = system.pool_create("p", b"").unwrap();
    let container: Arc<dyn ContainerService> = Arc::new(pool.container_create("c", b"").unwrap());
    let format = FormatOptions { chunk_size: Some(2_048), ..FormatOptions::default() };
    Dfs::format(&container, &format).unwrap();
    let container: Arc<dyn ContainerService> =
        if storm == Storm::Ordered { Arc::new(Untransacted(container)) } else { container };
    let dfs = mount(&container);
    let paths = root(&dfs);
    // The first object takes a number of the container's, which is durable at once.
    drop(paths.open_file(b"/first", &open(CREATE)).unwrap());
    dfs.sync().unwrap();
    let mut truth = Truth { after: vec![tree(&paths)], created: recorded.position(), ..Truth::default() };
    let promise = |truth: &mut Truth, durable: usize, begun: usize| {
        let durable = durable.max(truth.promises.last().map_or(0, |promise| promise.durable));
        truth.promises.push(Promise { position: recorded.position(), durable, begun });
    };
    promise(&mut truth, 0, 0);
    let mut random = Random(seed);
    let mut opened: Vec<File> = Vec::new();
    for number in 1..=steps {
        promise(&mut truth, 0, number);
        step(&paths, &mut opened, &mut random);
        truth.after.push(tree(&paths));
        if storm == Storm::Untrue {
            promise(&mut truth, number, number);
        }
        if random.below(6) == 0 {
            match (random.below(2), opened.last()) {
                // What makes one file durable makes all before it durable: there is one log.
                (0, Some(file)) => file.sync().unwrap(),
                _ => dfs.sync().unwrap(),
            }
            promise(&mut truth, number, number);
        }
    }
    let history = recorded.history();
    opened.clear();
    drop((paths, dfs, container));
    (history, truth)
}

/// Opens what a cut left. The system is closed when it goes.
fn reopen(media: MemoryMedia) -> Result<(Arc<System>, Dfs), String> {
    let system = System::on_media(Arc::new(media), IDENTITY, false, &options())
        .map_err(|error| format!("{error:?}"))?;
    let pool = system.pool_open("p").map_err(|error| format!("{error:?}"))?;
    let container: Arc<dyn ContainerService> =
        Arc::new(pool.container_open("c").map_err(|error| format!("{error:?}"))?);
    let dfs =
        Dfs::mount(container, daos_dfs::MountOptions::default()).map_err(|error| format!("{error:?}"))?;
    Ok((system, dfs))
}

/// What opens after a cut.
fn check(media: MemoryMedia, truth: &Truth, promise: Promise) -> Result<(), String> {
    let (_system, dfs) = reopen(media)?;
    let paths = root(&dfs);
    let found = tree(&paths);
    let fits = truth
        .after
        .iter()
        .enumerate()
        .take(promise.begun + 1)
        .skip(promise.durable)
        .any(|(_, tree)| *tree == found);
    if !fits {
        return Err(format!(
            "the tree is none of those after {} to {} operations",
            promise.durable, promise.begun
        ));
    }
    let report = dfs.check(CheckMode::Remove, None).map_err(|error| format!("{error:?}"))?;
    if let Some(other) = report.findings.iter().find(|finding| !matches!(finding, Finding::Orphan { .. })) {
        return Err(format!("a check finds {other:?}"));
    }
    let again = dfs.check(CheckMode::Print, None).map_err(|error| format!("{error:?}"))?;
    if !again.findings.is_empty() {
        return Err(format!("a second check finds {:?}", again.findings));
    }
    if tree(&paths) != found {
        return Err("the check changed what has names".to_owned());
    }
    // It is used on.
    let file = dfs.open(&dfs.root(), b"new", CREATE, &new()).map_err(|error| format!("{error:?}"))?;
    file.write(0, b"x").and_then(|_| file.close()).map_err(|error| format!("{error:?}"))?;
    dfs.set_attr(At::Entry(&dfs.root(), b"new"), &SetAttr { size: Some(0), ..SetAttr::default() })
        .map_err(|error| format!("{error:?}"))?;
    assert_eq!(errno(dfs.open_dir(&dfs.root(), b"new")), Errno::ENOTDIR);
    Ok(())
}

fn states(ordinary: usize) -> usize {
    std::env::var("DAOS_CRASH_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

#[test]
fn a_power_cut_leaves_a_tree_in_which_each_operation_happened_or_not() {
    // A storm has some hundred states.
    let rounds = (states(STATES) / 60).max(1);
    let mut distinct = 0;
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 120, Storm::Whole);
        let crash = Crash { seed, states: states(STATES) / rounds };
        let stage = |point: usize| truth.promises.partition_point(|promise| promise.position <= point) as u64;
        let explored = history.crashes_from(truth.created, crash, &stage, &mut |point, media| {
            check(media, &truth, truth.at(point))
                .unwrap_or_else(|why| panic!("seed {seed}, point {point}: {why}"));
            ControlFlow::Continue(())
        });
        distinct += explored.distinct;
    }
    println!("{distinct} distinct states");
    assert!(distinct > states(STATES) / 3, "only {distinct} distinct states");
}

#[test]
fn without_transactions_a_power_cut_leaves_what_a_check_repairs() {
    let states = states(4 * STATES);
    let rounds = (states / 60).max(1);
    let mut found = BTreeMap::new();
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 120, Storm::Ordered);
        let crash = Crash { seed, states: states / rounds };
        history.crashes_from(truth.created, crash, &|point| point as u64, &mut |point, media| {
            let (_system, dfs) =
                reopen(media).unwrap_or_else(|why| panic!("seed {seed}, point {point}: {why}"));
            let report = dfs.check(CheckMode::Remove, None).unwrap();
            for finding in &report.findings {
                // What the format says that can be left; nothing is damaged, and no name leads to nothing.
                let kind = match finding {
                    Finding::Orphan { .. } => "orphan",
                    Finding::Leaked { kind: Some(_), .. } => "leaked",
                    Finding::LeakedInode { .. } => "inode",
                    Finding::Links { .. } => "links",
                    Finding::SeveralNames { .. } => "several names",
                    Finding::SecondName { .. } => "second name",
                    other => panic!("seed {seed}, point {point}: {other:?}"),
                };
                *found.entry(kind).or_insert(0) += 1;
            }
            let paths = root(&dfs);
            let repaired = tree(&paths);
            let again = dfs.check(CheckMode::Print, None).unwrap();
            assert_eq!(again.findings, [], "seed {seed}, point {point}, after {:?}", report.findings);
            // It can all be removed, and nothing stays.
            for name in dfs.names(&dfs.root()).unwrap() {
                paths.remove_all(&name).unwrap();
            }
            assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, [], "of {repaired:?}");
            ControlFlow::Continue(())
        });
    }
    println!("{found:?}");
    // Else the storm has none of the gaps between steps.
    assert!(found.contains_key("links") && found.contains_key("several names"), "{found:?}");
    assert!(found.contains_key("second name") && found.contains_key("leaked"), "{found:?}");
}

#[test]
fn a_promise_that_was_not_kept_is_found() {
    let (history, truth) = record(9, 60, Storm::Untrue);
    let crash = Crash { seed: 9, states: 200 };
    let mut lost = 0;
    history.crashes_from(truth.created, crash, &|point| point as u64, &mut |point, media| {
        lost += usize::from(check(media, &truth, truth.at(point)).is_err());
        if lost == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(lost > 0, "buffered operations were taken for durable ones, and nobody noticed");
}
