//! Files that were closed and whose times are stored later.

use crate::common::{CREATE, InMemory, WRITE, fresh, mount, new, open, root, write};
use daos_dfs::{At, CheckMode, Dfs, FormatOptions, Paths, Rename, SetAttr, Time};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn mtime(of: &Dfs, path: &[u8]) -> Time {
    root(of).stat(path).unwrap().mtime
}

/// Writes to a file and leaves it; when that was.
fn written_and_left(paths: &Paths, path: &[u8]) -> Time {
    let file = paths.open_file(path, &open(WRITE)).unwrap();
    file.write(0, b"x").unwrap();
    let time = file.stat().unwrap().mtime;
    file.leave().unwrap();
    time
}

fn store(dfs: &Dfs) {
    dfs.store_left(Duration::ZERO, || true).unwrap();
}

#[test]
fn what_was_left_is_known_here_at_once_and_elsewhere_when_it_is_stored() {
    let (made, dfs, paths) = fresh();
    let other = mount(&made.container);
    write(&paths, b"/f", b"");
    let before = mtime(&other, b"/f");
    let time = written_and_left(&paths, b"/f");
    assert!(time > before);
    assert_eq!((mtime(&dfs, b"/f"), mtime(&other, b"/f")), (time, before));
    dfs.store_left(HOUR, || true).unwrap();
    dfs.store_left(Duration::ZERO, || false).unwrap();
    assert_eq!(mtime(&other, b"/f"), before, "it was not left so long ago, and then one must not go on");
    store(&dfs);
    assert_eq!(root(&other).stat(b"/f").unwrap(), paths.stat(b"/f").unwrap());
    let again = written_and_left(&paths, b"/f");
    dfs.sync().unwrap();
    assert_eq!(mtime(&other, b"/f"), again);
    let last = written_and_left(&paths, b"/f");
    dfs.umount().unwrap();
    assert_eq!(mtime(&other, b"/f"), last);
}

#[test]
fn it_follows_a_file_to_its_other_names() {
    let (made, dfs, paths) = fresh();
    let other = mount(&made.container);
    for path in [b"/a", b"/b", b"/c"] {
        write(&paths, path, b"");
    }
    let [a, b, c] = [b"/a", b"/b", b"/c"].map(|path| written_and_left(&paths, path));
    paths.rename(b"/a", b"/d", Rename::Replace).unwrap();
    paths.link(b"/b", b"/e", true).unwrap();
    paths.unlink(b"/b").unwrap();
    root(&other).rename(b"/c", b"/g", Rename::Replace).unwrap();
    // By that name it is found there, and looked for there from then on.
    paths.open_file(b"/g", &open(WRITE)).unwrap().leave().unwrap();
    assert_eq!(mtime(&dfs, b"/d"), a);
    store(&dfs);
    assert_eq!([b"/d", b"/e", b"/g"].map(|path| mtime(&other, path)), [a, b, c]);
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn what_is_gone_or_replaced_has_none() {
    let (made, dfs, paths) = fresh();
    let other = mount(&made.container);
    for path in [b"/a", b"/b", b"/c"] {
        write(&paths, path, b"");
        written_and_left(&paths, path);
    }
    paths.unlink(b"/a").unwrap();
    root(&other).unlink(b"/b").unwrap();
    write(&root(&other), b"/b", b"");
    write(&paths, b"/d", b"");
    paths.rename(b"/d", b"/c", Rename::Replace).unwrap();
    let before = [b"/b", b"/c"].map(|path| mtime(&other, path));
    store(&dfs);
    assert_eq!([b"/b", b"/c"].map(|path| mtime(&other, path)), before);
    let file = dfs.open(&dfs.root(), b"o", CREATE, &new()).unwrap();
    paths.unlink(b"/o").unwrap();
    file.write(0, b"x").unwrap();
    file.leave().unwrap();
    assert_eq!(
        dfs.check(CheckMode::Print, None).unwrap().findings,
        [],
        "an orphan goes with its last handle"
    );
}

#[test]
fn what_was_set_since_stays() {
    let made = InMemory::formatted(2, &FormatOptions::default());
    let (one, two) = (made.mount(), made.mount());
    let (first, second) = (root(&one), root(&two));
    let past = Time { seconds: 5, nanoseconds: 0 };
    for by in [&first, &second] {
        write(&first, b"/f", b"");
        written_and_left(&first, b"/f");
        by.set_mtime(b"/f", Some(past), true).unwrap();
        store(&one);
        assert_eq!(mtime(&two, b"/f"), past);
    }
    // Written by the other, later.
    written_and_left(&first, b"/f");
    let file = second.open_file(b"/f", &open(WRITE)).unwrap();
    file.write(0, b"y").unwrap();
    let later = file.stat().unwrap().mtime;
    file.close().unwrap();
    store(&one);
    assert_eq!(mtime(&two, b"/f"), later, "time does not go back");
    // What says nothing of the time leaves it.
    let time = written_and_left(&first, b"/f");
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    two.set_attr(At::Entry(&two.root(), b"f"), &mode).unwrap();
    store(&one);
    assert_eq!((mtime(&two, b"/f"), second.stat(b"/f").unwrap().mode), (time, 0o100_600));
}

#[test]
fn the_word_of_who_knows_it_is_taken_though_its_clock_is_coarse() {
    let (made, dfs, paths) = fresh();
    let other = mount(&made.container);
    write(&paths, b"/f", b"old");
    let told = mtime(&dfs, b"/f");
    let file = paths.open_file(b"/f", &open(WRITE)).unwrap();
    file.truncate(0).unwrap();
    file.write(0, b"new").unwrap();
    // A moment before the truncation, by another clock.
    file.changed_at(told).unwrap();
    file.leave().unwrap();
    store(&dfs);
    assert_eq!(mtime(&other, b"/f"), told);
}
