//! File systems on a system that another process would hold: every request travels.

use crate::common::{CREATE, Random, errno, mount, names, open, read, root, summed, write};
use crate::model;
use daos_client::{ContainerService, SystemService};
use daos_dfs::{CheckMode, Consistency, Dfs, Errno, FormatOptions, MountOptions, OpenFlags, Rename};
use daos_embed::{Options, System};
use daos_host::{Host, HostOptions, connect_tcp};
use daos_net::Limits;
use daos_net::tcp::Tcp;
use daos_types::{Durability, Rank};
use std::sync::Arc;
use std::time::Duration;

/// A system with a container, as its holder has it and as somebody else has it.
struct Served {
    _host: Host,
    remote: Arc<dyn SystemService>,
    here: Arc<dyn ContainerService>,
    there: Arc<dyn ContainerService>,
}

fn served(options: &FormatOptions) -> Served {
    let system = System::in_memory(&Options { targets: 3, ..Options::default() }).unwrap();
    let pool = System::pool_create(&system, "p", b"").unwrap();
    let here = pool.container_create_summed("c", b"", summed(), false).unwrap();
    let here: Arc<dyn ContainerService> = Arc::new(here);
    Dfs::format(&here, options).unwrap();
    let host_options =
        HostOptions { system: "test".to_owned(), rank: Rank(0), incarnation: 1, limits: Limits::default() };
    let host = Host::new(system, host_options);
    let address = host.listen(&Tcp::default(), "127.0.0.1:0").unwrap();
    let remote = connect_tcp(&address, "test", Durability::Synced, Duration::from_secs(20)).unwrap();
    let there = Arc::clone(&remote).pool_open("p").unwrap().container_open("c").unwrap();
    Served { _host: host, remote, here, there }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The host ends behind it.
        let _ = self.remote.close();
    }
}

#[test]
fn every_answer_is_that_of_a_local_file_system() {
    for (seed, consistency) in [(31, Consistency::Relaxed), (32, Consistency::Balanced)] {
        model::run("served", &served(&model::format(consistency)).there, seed, 1_500, false);
    }
}

#[test]
fn who_asks_and_who_holds_it_have_one_file_system() {
    let served = served(&FormatOptions::default());
    let (here, there) = (mount(&served.here), mount(&served.there));
    let sides = [root(&here), root(&there)];
    let mut random = Random(5);
    std::thread::scope(|scope| {
        for paths in &sides {
            let seed = random.below(1_000) as u64;
            scope.spawn(move || {
                let mut random = Random(seed);
                for round in 0..150 {
                    let (from, to) = (format!("/{}", random.below(6)), format!("/{}", random.below(6)));
                    let outcome = match round % 4 {
                        0 => paths.open_file(from.as_bytes(), &open(CREATE)).and_then(|file| file.close()),
                        1 => paths.unlink(from.as_bytes()),
                        2 => paths.link(from.as_bytes(), to.as_bytes(), false),
                        _ => paths.rename(from.as_bytes(), to.as_bytes(), Rename::Exchange),
                    };
                    if let Err(error) = outcome {
                        let expected = [Errno::ENOENT, Errno::EEXIST, Errno::ESTALE];
                        assert!(expected.contains(&error.errno), "{error:?}");
                    }
                    let log = OpenFlags { append: true, ..CREATE };
                    let file = paths.open_file(b"/log", &open(log)).unwrap();
                    assert_eq!(file.append(b"line\n").unwrap().1, 5);
                }
            });
        }
    });
    assert_eq!(read(&sides[0], b"/log"), b"line\n".repeat(300));
    assert_eq!(names(&sides[0], b"/"), names(&sides[1], b"/"));
    for dfs in [&here, &there] {
        dfs.sync().unwrap();
        assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
    }
}

#[test]
fn a_store_that_went_away_is_told() {
    let served = served(&FormatOptions::default());
    let space = {
        let system = Arc::clone(&served.remote);
        Arc::new(move || system.space())
    };
    let options = MountOptions { space: Some(space), ..MountOptions::default() };
    let dfs = Dfs::mount(Arc::clone(&served.there), options).unwrap();
    assert!(dfs.statfs().unwrap().blocks > 0);
    let paths = root(&dfs);
    write(&paths, b"/f", b"x");
    let file = paths.open_file(b"/f", &open(CREATE)).unwrap();
    served.remote.close().unwrap();
    assert_eq!(errno(file.write(0, b"y")), Errno::ESHUTDOWN);
    assert_eq!(errno(paths.stat(b"/f")), Errno::ESHUTDOWN);
    assert_eq!(errno(dfs.sync()), Errno::ESHUTDOWN);
    // Nothing was left to be stored.
    file.close().unwrap();
}

#[test]
fn many_entries_at_once_are_as_one_after_the_other() {
    let served = served(&FormatOptions::default());
    for container in [&served.here, &served.there] {
        let dfs = mount(container);
        let paths = root(&dfs);
        let top = format!("of {}", Arc::ptr_eq(container, &served.here));
        paths.mkdir(top.as_bytes(), 0o755).unwrap();
        let path = |name: &str| format!("{top}/{name}").into_bytes();
        for number in 0..300_usize {
            let data = vec![7; number * 37 % 9000];
            match number % 10 {
                0 => drop(paths.mkdir(&path(&format!("d{number}")), 0o700).unwrap()),
                1 => paths.symlink(b"elsewhere", &path(&format!("s{number}"))).unwrap(),
                2 => {
                    write(&paths, &path(&format!("l{number}")), &data);
                    paths.link(&path(&format!("l{number}")), &path(&format!("m{number}")), false).unwrap();
                }
                _ => write(&paths, &path(&format!("f{number}")), &data),
            }
        }
        let dir = dfs.open_dir(&dfs.root(), top.as_bytes()).unwrap();
        let mut names = dfs.names(&dir).unwrap();
        assert_eq!(names.len(), 330);
        names.insert(100, b"nowhere".to_vec());
        let looks: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let looked = dfs.look_all(&dir, &looks).unwrap();
        let kinds = dfs.kinds(&dir, &looks).unwrap();
        for ((name, looked), kind) in names.iter().zip(looked).zip(kinds) {
            let (looked, kind) = (looked.unwrap(), kind.unwrap());
            match dfs.look(&dir, name) {
                Ok((attr, as_dir)) => {
                    let (found, found_dir) = looked.unwrap();
                    assert_eq!(found, attr);
                    assert_eq!(found_dir.map(|dir| dir.oid()), as_dir.map(|dir| dir.oid()));
                    assert_eq!(kind, Some((attr.kind, attr.oid)));
                }
                Err(error) => assert_eq!((error.errno, looked.is_none(), kind), (Errno::ENOENT, true, None)),
            }
        }
        let page = dfs.readdir(&dir, &dfs.first_anchor(&dir).unwrap(), 1000, true).unwrap();
        assert_eq!((page.entries.len(), page.anchor), (330, None));
        for entry in page.entries {
            assert_eq!(entry.attr, Some(dfs.look(&dir, &entry.name).unwrap().0));
        }
        let no_name = [&b"a/b"[..]];
        assert_eq!(errno(dfs.look_all(&dir, &no_name).unwrap().remove(0)), Errno::EINVAL);
        assert_eq!(errno(dfs.kinds(&dir, &no_name).unwrap().remove(0)), Errno::EINVAL);
    }
}
