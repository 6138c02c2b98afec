//! A file system without room.

use crate::common::{CREATE, errno, mount, names, open, read, root, summed, write};
use daos_client::ContainerService;
use daos_dfs::{CheckMode, Dfs, Errno, FormatOptions};
use daos_embed::{Options, System};
use std::sync::Arc;

#[test]
fn what_finds_no_room_is_told_and_removing_makes_some() {
    let options = Options { size: Some(64 << 20), ..Options::default() };
    let system = System::in_memory(&options).unwrap();
    let pool = system.pool_create("p", b"").unwrap();
    let container: Arc<dyn ContainerService> =
        Arc::new(pool.container_create_summed("c", b"", summed(), false).unwrap());
    Dfs::format(&container, &FormatOptions::default()).unwrap();
    let dfs = mount(&container);
    let paths = root(&dfs);
    write(&paths, b"/kept", b"kept");
    let held = paths.open_file(b"/held", &open(CREATE)).unwrap();
    held.write(0, &vec![7; 1 << 20]).unwrap();
    let mut made = 0_u8;
    let refused = loop {
        let path = format!("/f{made}");
        let filled = paths.open_file(path.as_bytes(), &open(CREATE)).and_then(|file| {
            made += 1;
            file.write(0, &vec![made; 1 << 20])?;
            file.close()
        });
        match filled {
            Ok(()) => assert!(made < 200, "it has no end"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.errno, Errno::ENOSPC, "{refused:?}");
    assert!(refused.hint.is_some());
    // Small things fill what is left.
    let mut small = 0;
    let refused = loop {
        match paths.open_file(format!("/s{small}").as_bytes(), &open(CREATE)).and_then(|file| {
            small += 1;
            file.write(0, &vec![1; 60_000])?;
            file.close()
        }) {
            Ok(()) => assert!(small < 10_000, "it has no end"),
            Err(error) => break error.errno,
        }
    };
    assert_eq!(refused, Errno::ENOSPC);
    assert_eq!(read(&paths, b"/kept"), b"kept");
    // What takes away goes on.
    paths.truncate(b"/f0", 0).unwrap();
    assert_eq!(paths.stat(b"/f0").unwrap().size, 0);
    paths.truncate(b"/f1", 100).unwrap();
    assert_eq!(read(&paths, b"/f1"), [2; 100]);
    held.truncate(10).unwrap();
    assert_eq!(held.size().unwrap(), 10);
    for name in names(&paths, b"/") {
        if name != "kept" && name != "held" {
            paths.unlink(name.as_bytes()).unwrap();
        }
    }
    // What is open needs room for a while: it is kept among the orphans.
    paths.unlink(b"/held").unwrap();
    assert_eq!(held.size().unwrap(), 10);
    held.close().unwrap();
    container.aggregate().unwrap();
    write(&paths, b"/again", &vec![9; 4 << 20]);
    assert_eq!(read(&paths, b"/again"), vec![9; 4 << 20]);
    assert_eq!(errno(paths.stat(b"/held")), Errno::ENOENT);
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}
