//! Every media passes the same suite.

use daos_vos::media::faulty::Faulty;
use daos_vos::media::recorded::Recorded;
use daos_vos::media::{FileMedia, Media, MemoryMedia, conformance};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn files() {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("media-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    std::fs::create_dir_all(&base).unwrap();
    let count = Cell::new(0);
    conformance::suite(&|| {
        count.set(count.get() + 1);
        Arc::new(FileMedia::create(&base.join(count.get().to_string())).unwrap())
    });
    let _ = std::fs::remove_dir_all(&base);
}

#[test]
fn memory() {
    conformance::suite(&|| Arc::new(MemoryMedia::new()));
}

#[test]
fn recorded() {
    conformance::suite(&|| Arc::new(Recorded::new(Arc::new(MemoryMedia::new())).unwrap()));
}

#[test]
fn faulty_without_a_script() {
    conformance::suite(&|| {
        let inner: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        Arc::new(Faulty::new(inner))
    });
}
