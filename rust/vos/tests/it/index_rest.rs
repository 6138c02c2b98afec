//! An index that is put away gives back what it does not need, and goes on as if it had not.

use crate::index_suite::{Changes, MapBatch, Model, Random, apply_to, compare};
use daos_types::Lsn;
use daos_vos::index::{Index, Tree, TreeOptions};
use daos_vos::media::FileMedia;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = "index";
const PAGE: u64 = 4096;

/// Keys all over the tree, so that a batch copies most of its pages.
fn changes(random: &mut Random, count: usize) -> Changes {
    (0..count).map(|_| (random.bytes(12), Some(random.bytes(40)))).collect()
}

fn held_pages(dir: &Path) -> u64 {
    std::fs::metadata(dir.join(NAME)).unwrap().blocks() * 512 / PAGE
}

#[test]
fn free_pages_go_back_to_the_device_and_views_keep_theirs() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rest-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let media = FileMedia::create(&dir).unwrap();
    let open = || Tree::open(&media, NAME, [5; 16], &TreeOptions::default()).unwrap();
    let mut tree = Tree::create(&media, NAME, [5; 16], &TreeOptions::default()).unwrap();
    let mut random = Random(7);
    let mut model = Model::new();
    let mut lsn = 0;
    for round in 0..3 {
        let batch = |tree: &Tree, random: &mut Random, model: &mut Model, lsn: &mut u64| {
            let changes = changes(random, 6_000);
            *lsn += 1;
            tree.apply(&mut MapBatch::new(&changes), Lsn(*lsn)).unwrap();
            apply_to(model, &changes);
        };
        for _ in 0..3 {
            batch(&tree, &mut random, &mut model, &mut lsn);
        }
        let (before, seen) = (tree.view(), model.clone());
        batch(&tree, &mut random, &mut model, &mut lsn);
        let busy = held_pages(&dir);
        tree.rest(false).unwrap();
        compare(&before, &seen, &mut random);
        drop(before);
        // What it stands on is all that the log has to be kept for.
        assert_eq!(tree.log_needed_after(), Lsn(lsn));
        let live = tree.stats().live_pages;
        tree.rest(false).unwrap();
        let held = held_pages(&dir);
        assert!(held < live + live / 4 + 64, "round {round}: {held} pages for {live}, {busy} before");
        assert!(busy > held + live / 4, "{busy} before, {held} after");
        compare(&tree.view(), &model, &mut random);
        tree = open();
        assert_eq!(tree.recovery(), daos_vos::index::Recovery::default());
        tree.check().unwrap();
        compare(&tree.view(), &model, &mut random);
    }
    // Nothing is free that is worth a call.
    let held = held_pages(&dir);
    tree.rest(false).unwrap();
    assert_eq!(held_pages(&dir), held);
    let _ = std::fs::remove_dir_all(&dir);
}
