//! What a device does, and what a power cut leaves of it.

use super::super::faulty::{Call, Fault, Faulty};
use super::super::recorded::{Crash, History, Recorded};
use super::super::{Access, FileMedia, MemoryMedia, Roles, conformance, open_device};
use super::*;
use std::ops::ControlFlow;

const SIZE: u64 = SIZE_MIN;
const CLUSTER: u64 = 64 << 10;
const SECTOR: u64 = 512;

fn identity() -> DeviceIdentity {
    DeviceIdentity { uuid: [7; 16], system: "s".to_owned(), index: 0, count: 1, roles: Roles::DATA }
}

/// A device in memory, formatted.
fn formatted() -> MemoryMedia {
    let media = MemoryMedia::new();
    let file = media.create("dev").unwrap();
    file.set_size(SIZE).unwrap();
    DeviceMedia::format(&*file, &identity()).unwrap();
    media
}

fn open_on(media: &dyn Media) -> std::result::Result<DeviceMedia, DeviceError> {
    DeviceMedia::open(media.open("dev").unwrap(), &identity())
}

fn write(file: &dyn MediaFile, offset: u64, byte: u8, len: usize) -> Result<()> {
    file.write_at(offset, &[IoSlice::new(&vec![byte; len])])
}

fn read(file: &dyn MediaFile, offset: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0xEE; len as usize];
    file.read_at(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn it_is_a_media() {
    conformance::suite(&|| Arc::new(open_on(&formatted()).unwrap()));
}

#[test]
fn a_file_of_the_operating_system_is_a_device_once_at_a_time() {
    let path = std::env::temp_dir().join(format!("daos-device-{}", std::process::id()));
    let place = FileMedia::create(&path).unwrap();
    let file = path.join("dev");
    conformance::suite(&|| {
        let _ = place.remove("dev");
        place.create("dev").unwrap().set_size(SIZE).unwrap();
        DeviceMedia::format(&*open_device(&file, Access::Alone).unwrap(), &identity()).unwrap();
        Arc::new(DeviceMedia::open(open_device(&file, Access::Alone).unwrap(), &identity()).unwrap())
    });
    let held = open_device(&file, Access::Alone).unwrap();
    let refused = open_device(&file, Access::Alone).unwrap_err();
    assert!(
        matches!(&refused, MediaError::Io { error, .. } if error.raw_os_error() == Some(16)),
        "{refused}"
    );
    let looked = DeviceMedia::inspect(&*open_device(&file, Access::Look).unwrap()).unwrap();
    assert_eq!(looked, Some((identity(), SIZE)));
    drop(held);
    open_device(&file, Access::Alone).unwrap();
    assert!(matches!(open_device(&path, Access::Look), Err(MediaError::Io { .. })), "a directory is none");
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn what_was_never_written_reads_as_zeros_whatever_lay_there() {
    let media = MemoryMedia::new();
    let raw = media.create("dev").unwrap();
    for at in (0..SIZE).step_by(1 << 20) {
        write(&*raw, at, 0xAA, 1 << 20).unwrap();
    }
    DeviceMedia::format(&*raw, &identity()).unwrap();
    let device = open_on(&media).unwrap();
    let file = device.create("a").unwrap();
    write(&*file, 3 * CLUSTER + 5, 1, 10).unwrap();
    assert!(read(&*file, 0, 3 * CLUSTER + 5).iter().all(|&byte| byte == 0));
    file.allocate(0, 5 * CLUSTER).unwrap();
    assert!(read(&*file, 3 * CLUSTER + 15, 2 * CLUSTER - 15).iter().all(|&byte| byte == 0));
    file.set_size(10).unwrap();
    file.set_size(2 * CLUSTER).unwrap();
    assert!(read(&*file, 0, 2 * CLUSTER).iter().all(|&byte| byte == 0));
}

#[test]
fn all_of_its_space_can_be_had_again_and_again() {
    let media = formatted();
    let device = open_on(&media).unwrap();
    let all = device.available().unwrap();
    assert_eq!(all, device.capacity());
    for round in 0..3 {
        let [one, two] = ["one", "two"].map(|name| device.create(name).unwrap());
        // In turns, so that both are in many pieces.
        for step in 0..20 {
            one.allocate(0, (step + 1) * CLUSTER).unwrap();
            write(&*two, step * CLUSTER, round + 1, CLUSTER as usize).unwrap();
        }
        one.allocate(0, all - 20 * CLUSTER).unwrap();
        assert_eq!(device.available().unwrap(), 0);
        assert!(matches!(write(&*two, 20 * CLUSTER, 1, 1), Err(MediaError::NoSpace { .. })));
        assert!(matches!(one.set_size(all), Err(MediaError::NoSpace { .. })));
        assert!(read(&*two, 0, 20 * CLUSTER).iter().all(|&byte| byte == round + 1));
        one.sync().unwrap();
        device.sync_names().unwrap();
        device.remove("one").unwrap();
        assert_eq!(device.available().unwrap(), 0, "it is open");
        drop(one);
        assert_eq!(device.available().unwrap(), all - 20 * CLUSTER);
        device.remove("two").unwrap();
        drop(two);
        assert_eq!(device.available().unwrap(), all);
    }
    device.sync_names().unwrap();
    drop(device);
    assert_eq!(open_on(&media).unwrap().available().unwrap(), all);
}

#[test]
fn threads_with_files_of_their_own_do_not_get_into_each_others_way() {
    let media = formatted();
    let device = open_on(&media).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let device = &device;
            scope.spawn(move || {
                for round in 0..25_u64 {
                    let name = format!("{thread}-{round}");
                    let file = device.create(&name).unwrap();
                    let byte = thread + 1;
                    for step in 0..8 {
                        write(&*file, step * CLUSTER / 2, byte, CLUSTER as usize).unwrap();
                        file.write_at_durable(step * 512, &[IoSlice::new(&[byte; 512])]).unwrap();
                    }
                    file.sync().unwrap();
                    device.sync_names().unwrap();
                    assert!(read(&*file, 0, 4 * CLUSTER).iter().all(|&found| found == byte));
                    file.set_size(CLUSTER * (round % 3)).unwrap();
                    if round % 5 > 0 {
                        device.remove(&name).unwrap();
                        assert!(read(&*file, 0, CLUSTER * (round % 3)).iter().all(|&found| found == byte));
                    } else {
                        file.sync().unwrap();
                    }
                }
            });
        }
    });
    let left = device.available().unwrap();
    device.sync_names().unwrap();
    drop(device);
    let device = open_on(&media).unwrap();
    assert_eq!((device.list().unwrap().len(), device.available().unwrap()), (20, left));
    for name in device.list().unwrap() {
        let file = device.open(&name).unwrap();
        let byte = name.as_bytes()[0] - b'0' + 1;
        assert!(read(&*file, 0, file.size().unwrap()).iter().all(|&found| found == byte));
    }
}

#[test]
fn a_name_too_many_is_refused_and_the_table_has_room_for_all_runs() {
    let device = open_on(&formatted()).unwrap();
    let mut made = 0;
    let refused = loop {
        match device.create(&format!("{}-{made:08}", "x".repeat(240))) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, MediaError::NoSpace { .. }) && made > 200, "{made}: {refused}");
    device.sync_names().unwrap();
    for number in 0..made {
        device.remove(&format!("{}-{number:08}", "x".repeat(240))).unwrap();
    }
    device.create("short").unwrap();
    device.sync_names().unwrap();
}

#[test]
fn a_write_inside_of_what_was_synced_touches_nothing_but_its_bytes() {
    let recorded = Recorded::new(Arc::new(formatted())).unwrap();
    let device = open_on(&recorded).unwrap();
    let file = device.create("a").unwrap();
    file.allocate(0, 4 * CLUSTER).unwrap();
    file.sync().unwrap();
    device.sync_names().unwrap();
    let before = recorded.position();
    file.write_at_durable(CLUSTER, &[IoSlice::new(&[1; 4096])]).unwrap();
    assert_eq!(recorded.position() - before, 1);
    device.sync_names().unwrap();
    assert_eq!(recorded.position() - before, 1, "no name has changed");
    file.sync().unwrap();
    assert_eq!(recorded.position() - before, 2);
}

#[test]
fn after_a_failed_sync_nothing_is_durable_any_more() {
    for call in [Call::Sync, Call::Write] {
        let faulty = Faulty::new(Arc::new(formatted()));
        let device = DeviceMedia::open(faulty.open("dev").unwrap(), &identity()).unwrap();
        let [one, two] = ["one", "two"].map(|name| device.create(name).unwrap());
        one.allocate(0, CLUSTER).unwrap();
        two.allocate(0, CLUSTER).unwrap();
        device.sync_names().unwrap();
        faulty.set(&[Fault::Fail { call, nth: 0, always: false }]);
        let act = |file: &dyn MediaFile| match call {
            Call::Sync => file.sync(),
            _ => file.write_at_durable(0, &[IoSlice::new(&[1; 512])]),
        };
        assert!(act(&*one).is_err());
        assert!(act(&*two).is_err() && two.sync().is_err(), "the device was asked once");
        device.create("three").unwrap();
        assert!(device.sync_names().is_err());
    }
}

#[test]
fn devices_of_others_and_damaged_ones_are_refused() {
    let media = formatted();
    let refused = |wanted: DeviceIdentity| {
        DeviceMedia::open(media.open("dev").unwrap(), &wanted).map(drop).unwrap_err().to_string()
    };
    assert!(refused(DeviceIdentity { uuid: [8; 16], ..identity() }).contains("storage"));
    assert!(refused(DeviceIdentity { system: "t".to_owned(), ..identity() }).contains("system \"s\""));
    assert!(refused(DeviceIdentity { count: 2, ..identity() }).contains("number 0 of 1"));
    assert!(refused(DeviceIdentity { roles: Roles::WAL, ..identity() }).contains("for data"));
    let (found, size) = DeviceMedia::inspect(&*media.open("dev").unwrap()).unwrap().unwrap();
    assert_eq!((found, size), (identity(), SIZE));

    let raw = media.open("dev").unwrap();
    let spoil = |at: u64| write(&*raw, at, 0xFF, 512).unwrap();
    let geometry = Geometry::of(SIZE).unwrap();
    open_on(&media).unwrap().create("kept").unwrap();
    let device = open_on(&media).unwrap();
    device.create("kept").unwrap();
    device.sync_names().unwrap();
    // One copy of each suffices; opening mends the table.
    for at in [0, geometry.slot_at(0), geometry.slot_at(1)] {
        spoil(at);
        assert_eq!(open_on(&media).unwrap().list().unwrap(), ["kept"]);
    }
    spoil(geometry.slot_at(0));
    spoil(geometry.slot_at(1));
    assert!(matches!(open_on(&media), Err(DeviceError::Damaged(_))));
    spoil(SECOND_COPY);
    assert!(matches!(open_on(&media), Err(DeviceError::Foreign)));
    assert!(DeviceMedia::inspect(&*raw).unwrap().is_none());

    let short = formatted();
    short.open("dev").unwrap().set_size(SIZE - 4096).unwrap();
    assert!(matches!(open_on(&short), Err(DeviceError::TooSmall { needed: SIZE, .. })));
    short.open("dev").unwrap().set_size(4096).unwrap();
    assert!(matches!(open_on(&short), Err(DeviceError::TooSmall { .. })));
    let tiny = MemoryMedia::new();
    tiny.create("dev").unwrap();
    assert!(matches!(open_on(&tiny), Err(DeviceError::Foreign)));
    let file = tiny.open("dev").unwrap();
    assert!(matches!(DeviceMedia::format(&*file, &identity()), Err(DeviceError::TooSmall { .. })));
    file.set_size(SIZE).unwrap();
    let nobody = DeviceIdentity { system: String::new(), ..identity() };
    assert!(matches!(DeviceMedia::format(&*file, &nobody), Err(DeviceError::Another(_))));
}

/// A small generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Names to files and their sizes.
type Listing = BTreeMap<String, (u64, u64)>;

/// What a sector may hold: what was written to it, by the point from which that may be there; 0 for zeros. What was before the
/// last floor that a crash comes behind is gone.
#[derive(Default)]
struct Sector {
    written: Vec<(usize, u64)>,
    floors: Vec<(usize, usize)>,
}

/// What is known of a device that things are done to.
struct Model {
    recorded: Recorded,
    device: DeviceMedia,
    names: Listing,
    /// All listings there were, each by the point from which it may be there.
    listings: Vec<(usize, Listing)>,
    /// From which point on none before one of these is there.
    floors: Vec<(usize, usize)>,
    /// The listing with the last change of names, and of each file's size.
    names_changed: usize,
    size_changed: BTreeMap<u64, usize>,
    /// Files whose size is durable as it is.
    settled: BTreeMap<u64, u64>,
    sectors: BTreeMap<(u64, u64), Sector>,
    next: u64,
}

impl Model {
    fn new() -> Self {
        let recorded = Recorded::new(Arc::new(formatted())).unwrap();
        let device = open_on(&recorded).unwrap();
        Self {
            recorded,
            device,
            names: Listing::new(),
            listings: vec![(0, Listing::new())],
            floors: vec![(0, 0)],
            names_changed: 0,
            size_changed: BTreeMap::new(),
            settled: BTreeMap::new(),
            sectors: BTreeMap::new(),
            next: 1,
        }
    }

    fn drawn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn listed(&mut self, start: usize) -> usize {
        self.listings.push((start, self.names.clone()));
        self.listings.len() - 1
    }

    fn floor(&mut self, listing: usize) {
        self.floors.push((self.recorded.position(), listing));
    }

    fn resized(&mut self, start: usize, name: &str, size: u64) {
        let (file, before) = self.names[name];
        if size == before {
            return;
        }
        // What is new reads as zeros.
        for sector in before / SECTOR..size / SECTOR {
            self.sectors.entry((file, sector)).or_default().written.push((start, 0));
        }
        self.names.insert(name.to_owned(), (file, size));
        let listing = self.listed(start);
        self.size_changed.insert(file, listing);
        self.settled.remove(&file);
    }

    fn write(&mut self, name: &str, at: u64, count: u64, durable: bool) {
        let start = self.recorded.position();
        let (file, size) = self.names[name];
        let value = self.drawn();
        let bytes: Vec<u8> = (at..at + count).flat_map(|sector| content(file, sector, value)).collect();
        let opened = self.device.open(name).unwrap();
        // In pieces of odd lengths.
        let parts: Vec<IoSlice<'_>> = bytes.chunks(1021).map(IoSlice::new).collect();
        let end = (at + count) * SECTOR;
        if durable {
            opened.write_at_durable(at * SECTOR, &parts).unwrap();
        } else {
            opened.write_at(at * SECTOR, &parts).unwrap();
        }
        let covered = durable && self.settled.get(&file).is_some_and(|size| end <= *size);
        self.resized(start, name, size.max(end));
        let position = self.recorded.position();
        for sector in at..at + count {
            let known = self.sectors.entry((file, sector)).or_default();
            known.written.push((start, value));
            if covered {
                known.floors.push((position, known.written.len() - 1));
            }
        }
    }

    fn sync(&mut self, name: &str) {
        let (file, size) = self.names[name];
        self.device.open(name).unwrap().sync().unwrap();
        let position = self.recorded.position();
        if let Some(listing) = self.size_changed.get(&file) {
            self.floor(*listing);
        }
        self.settled.insert(file, size);
        for (_, sector) in self.sectors.range_mut((file, 0)..(file + 1, 0)) {
            sector.floors.push((position, sector.written.len() - 1));
        }
    }

    fn step(&mut self, random: &mut Random) {
        let start = self.recorded.position();
        let all: Vec<String> = self.names.keys().cloned().collect();
        let name = all.get(random.below(all.len().max(1) as u64) as usize).cloned();
        let other = format!("f{}", random.below(4));
        let Some(name) = name.filter(|_| random.below(10) > 0) else {
            if !self.names.contains_key(&other) {
                self.device.create(&other).unwrap();
                let file = self.drawn();
                self.names.insert(other, (file, 0));
                self.names_changed = self.listed(start);
            }
            return;
        };
        let (_, size) = self.names[&name];
        match random.below(12) {
            0..=2 => self.write(&name, random.below(size / SECTOR + 40), 1 + random.below(300), false),
            3 if size > SECTOR => {
                let at = random.below(size / SECTOR);
                self.write(&name, at, 1 + random.below((size / SECTOR - at).min(20)), true);
            }
            4 => {
                let end = size + random.below(300) * SECTOR;
                self.device.open(&name).unwrap().allocate(0, end).unwrap();
                self.resized(start, &name, end);
            }
            5 => {
                let end = random.below(size / SECTOR + 1) * SECTOR;
                self.device.open(&name).unwrap().set_size(end).unwrap();
                self.resized(start, &name, end);
            }
            6 | 7 => self.sync(&name),
            8 | 9 => {
                self.device.sync_names().unwrap();
                self.floor(self.names_changed);
            }
            10 => {
                self.device.remove(&name).unwrap();
                self.names.remove(&name);
                self.names_changed = self.listed(start);
            }
            _ if other != name => {
                self.device.rename(&name, &other).unwrap();
                let file = self.names.remove(&name).unwrap();
                self.names.insert(other, file);
                self.names_changed = self.listed(start);
            }
            _ => {}
        }
    }

    /// Whether a state that a crash at a point leaves is one that it may leave.
    fn check(&self, point: usize, media: &MemoryMedia) {
        let device = open_on(media).unwrap_or_else(|error| panic!("at {point}: {error}"));
        let floor = self.floors.iter().filter(|(at, _)| *at <= point).map(|(_, floor)| *floor).max();
        let mut found = BTreeMap::new();
        for name in device.list().unwrap() {
            let size = device.open(&name).unwrap().size().unwrap();
            found.insert(name, size);
        }
        let fits = |listing: &Listing| {
            listing.len() == found.len()
                && listing.iter().all(|(name, (_, size))| found.get(name) == Some(size))
                && listing.iter().all(|(name, (file, size))| self.holds(point, &device, name, *file, *size))
        };
        let candidates = self.listings.iter().enumerate();
        let mut may = candidates.filter(|(at, (start, _))| Some(*at) >= floor && *start <= point);
        assert!(
            may.any(|(_, (_, listing))| fits(listing)),
            "at {point}: {found:?} was never so, or is too old"
        );
    }

    fn holds(&self, point: usize, device: &DeviceMedia, name: &str, file: u64, size: u64) -> bool {
        let bytes = read(&*device.open(name).unwrap(), 0, size);
        (0..).zip(bytes.chunks(SECTOR as usize)).all(|(sector, bytes)| {
            let known = &self.sectors[&(file, sector)];
            let floors = known.floors.iter().filter(|(at, _)| *at <= point);
            let floor = floors.map(|(_, floor)| *floor).max().unwrap_or(0);
            known.written[floor..]
                .iter()
                .filter(|(start, _)| *start <= point)
                .any(|(_, value)| content(file, sector, *value) == bytes)
        })
    }
}

/// What a write leaves in a sector: it says whose it is.
fn content(file: u64, sector: u64, value: u64) -> Vec<u8> {
    let word = if value == 0 { [0; 3] } else { [file, sector, value] };
    word.iter().flat_map(|word| word.to_le_bytes()).chain([0; 488]).collect()
}

/// Does things to a device, and looks at what crashes leave of it.
fn crashes(seed: u64, steps: usize, states: usize) -> usize {
    let mut model = Model::new();
    let mut random = Random(seed);
    for _ in 0..steps {
        model.step(&mut random);
    }
    let history: History = model.recorded.history();
    history
        .crashes(Crash { seed, states }, &|point| point as u64, &mut |point, media| {
            model.check(point, &media);
            ControlFlow::Continue(())
        })
        .visited
}

#[test]
fn power_cuts_leave_what_was_durable_and_mix_nothing_up() {
    let states = std::env::var("DAOS_CRASH_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(1200);
    let visited: usize = (0..6).map(|seed| crashes(seed, 60, states / 6)).sum();
    assert!(visited > states.min(1200) / 2, "{visited}");
}

#[test]
fn a_power_cut_in_a_format_leaves_no_superblock_or_a_device() {
    let media = MemoryMedia::new();
    media.create("dev").unwrap().set_size(SIZE).unwrap();
    let recorded = Recorded::new(Arc::new(media)).unwrap();
    DeviceMedia::format(&*recorded.open("dev").unwrap(), &identity()).unwrap();
    let history = recorded.history();
    let (mut none, mut whole) = (0, 0);
    history.crashes(Crash { seed: 1, states: 300 }, &|point| point as u64, &mut |point, media| {
        match open_on(&media) {
            Ok(device) => {
                assert!(device.list().unwrap().is_empty());
                whole += 1;
            }
            Err(DeviceError::Foreign | DeviceError::Damaged(_)) => {
                assert!(point < history.len(), "it was formatted");
                none += 1;
            }
            Err(error) => panic!("{error}"),
        }
        ControlFlow::Continue(())
    });
    assert!(none > 0 && whole > 0);
}

#[test]
fn a_power_cut_while_opening_loses_nothing() {
    let media = formatted();
    let device = open_on(&media).unwrap();
    device.create("old").unwrap();
    device.sync_names().unwrap();
    let geometry = Geometry::of(SIZE).unwrap();
    let mut newer = Table { generation: 99, ..device.shared.state.lock().table() };
    newer.files.insert("new".to_owned(), FileEntry::default());
    for slot in [0, 1] {
        let media = media.snapshot();
        let bytes = newer.encode([7; 16]);
        media.open("dev").unwrap().write_at(geometry.slot_at(slot), &[IoSlice::new(&bytes)]).unwrap();
        let recorded = Recorded::new(Arc::new(media)).unwrap();
        open_on(&recorded).unwrap();
        recorded.history().crashes(Crash { seed: 1, states: 100 }, &|point| point as u64, &mut |_, media| {
            assert_eq!(open_on(&media).unwrap().list().unwrap(), ["new", "old"]);
            ControlFlow::Continue(())
        });
    }
}
