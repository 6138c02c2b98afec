//! What every [`Media`] must do, as one suite that each backend runs.

use super::{Media, MediaError, MediaFile};
use std::io::IoSlice;
use std::sync::Arc;

/// Runs all checks, each on a fresh, empty media that `make` gives.
///
/// # Panics
/// Where the media does not do what the trait promises.
pub fn suite(make: &dyn Fn() -> Arc<dyn Media>) {
    names(&*make());
    bytes(&*make());
    sizes(&*make());
    many_parts(&*make());
    renames(&*make());
    threads(&*make());
}

fn ok<T>(result: super::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the media refused: {error}"),
    }
}

fn read(file: &dyn MediaFile, offset: u64, len: usize) -> Vec<u8> {
    let mut buffer = vec![0xEE; len];
    ok(file.read_at(offset, &mut buffer));
    buffer
}

fn write(file: &dyn MediaFile, offset: u64, data: &[u8]) {
    ok(file.write_at(offset, &[IoSlice::new(data)]));
}

fn names(media: &dyn Media) {
    assert!(ok(media.list()).is_empty());
    assert!(matches!(media.open("a"), Err(MediaError::NotFound { .. })));
    assert!(matches!(media.remove("a"), Err(MediaError::NotFound { .. })));
    assert!(matches!(media.rename("a", "b"), Err(MediaError::NotFound { .. })));
    ok(media.create("b.1"));
    ok(media.create("a-2_x"));
    assert!(matches!(media.create("b.1"), Err(MediaError::Exists { .. })));
    assert_eq!(ok(media.list()), ["a-2_x", "b.1"]);
    ok(media.sync_names());
    for bad in ["", ".", "..", "a/b", "/a", "A", "a b", "\u{e4}", "a\0"] {
        assert!(matches!(media.create(bad), Err(MediaError::Io { .. })), "{bad:?} is no name");
        assert!(matches!(media.open(bad), Err(MediaError::Io { .. })), "{bad:?} is no name");
        assert!(matches!(media.rename("b.1", bad), Err(MediaError::Io { .. })), "{bad:?} is no name");
    }
    let held = ok(media.open("b.1"));
    write(&*held, 0, b"still there");
    ok(media.remove("b.1"));
    assert_eq!(read(&*held, 0, 11), b"still there");
    assert_eq!(ok(media.list()), ["a-2_x"]);
}

fn bytes(media: &dyn Media) {
    let file = ok(media.create("f"));
    assert_eq!(file.name(), "f");
    ok(file.write_at(3, &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")]));
    assert_eq!(ok(file.size()), 8);
    assert_eq!(read(&*file, 0, 8), b"\0\0\0abcde");
    ok(file.write_at_durable(4, &[IoSlice::new(b"X"), IoSlice::new(b"YZ")]));
    assert_eq!(read(&*file, 3, 5), b"aXYZe");
    ok(file.sync());
    assert_eq!(read(&*ok(media.open("f")), 3, 5), b"aXYZe");
    assert!(matches!(file.read_at(4, &mut [0; 5]), Err(MediaError::Short { end: 9, .. })));
    assert!(matches!(file.read_at(100, &mut [0; 1]), Err(MediaError::Short { .. })));
    ok(file.read_at(8, &mut []));
    ok(file.write_at(0, &[]));
    assert_eq!(ok(file.size()), 8);
}

fn sizes(media: &dyn Media) {
    let file = ok(media.create("f"));
    let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    write(&*file, 0, &content);
    ok(file.set_size(70_001));
    assert_eq!(ok(file.size()), 70_001);
    ok(file.set_size(120_000));
    assert_eq!(read(&*file, 0, 70_001), content[..70_001]);
    assert!(read(&*file, 70_001, 49_999).iter().all(|&byte| byte == 0));
    ok(file.allocate(60_000, 80_000));
    assert_eq!(ok(file.size()), 140_000);
    assert_eq!(read(&*file, 0, 70_001), content[..70_001]);
    assert!(read(&*file, 70_001, 69_999).iter().all(|&byte| byte == 0));
    ok(file.allocate(0, 10));
    assert_eq!(ok(file.size()), 140_000);
    // A hint: the range reads as zeros or as before, its neighbours as before.
    ok(file.discard(8192, 16_384));
    assert_eq!(ok(file.size()), 140_000);
    assert_eq!(read(&*file, 0, 8192), content[..8192]);
    assert_eq!(read(&*file, 24_576, 1000), content[24_576..25_576]);
    assert!(ok(file.allocated()) <= 140_000);
    let hole = read(&*file, 8192, 16_384);
    assert!(hole.iter().zip(&content[8192..]).all(|(&byte, &before)| byte == 0 || byte == before));
}

fn many_parts(media: &dyn Media) {
    let file = ok(media.create("f"));
    let content: Vec<u8> = (0..30_000_u32).map(|i| (i % 241) as u8).collect();
    let parts: Vec<IoSlice<'_>> = content.chunks(7).map(IoSlice::new).collect();
    ok(file.write_at(11, &parts));
    assert_eq!(read(&*file, 11, content.len()), content);
    ok(file.write_at_durable(5, &parts));
    assert_eq!(read(&*file, 5, content.len()), content);
}

fn renames(media: &dyn Media) {
    let one = ok(media.create("one"));
    write(&*one, 0, b"1");
    write(&*ok(media.create("two")), 0, b"2");
    ok(media.rename("one", "two"));
    assert_eq!(ok(media.list()), ["two"]);
    write(&*one, 1, b"+");
    assert_eq!(read(&*ok(media.open("two")), 0, 2), b"1+");
    ok(media.sync_names());
}

fn threads(media: &dyn Media) {
    let file = ok(media.create("f"));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let file = &file;
            scope.spawn(move || {
                for i in 0..50_u64 {
                    let offset = (i * 4 + thread as u64) * 1000;
                    write(&**file, offset, &[thread + 1; 1000]);
                    assert_eq!(read(&**file, offset, 1000), [thread + 1; 1000]);
                }
            });
        }
    });
    for i in 0..200_u64 {
        assert_eq!(read(&*file, i * 1000, 1000), [(i % 4) as u8 + 1; 1000]);
    }
}
