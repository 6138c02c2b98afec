//! Ways to write 1 MiB values into a file that has its blocks, and what reading them back costs then: medians of five.
//!
//! With `--test` (as `cargo test --benches` runs it) each way writes a few values only.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap
)]

use daos_vos::media::{FileMedia, Media, MediaFile};
use io_uring::{IoUring, opcode, types};
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

const RUNS: usize = 5;
const VALUE: usize = 1 << 20;
const PIECE: usize = 256 << 10;

/// Writes the value with a number.
type Way<'a> = Box<dyn FnMut(usize) + 'a>;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let values = if quick { 4 } else { 256 };
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("media-bench-{}", std::process::id()));
    let media = FileMedia::create(&dir).unwrap();
    let file = media.create("f").unwrap();
    // As NumPy has it: not aligned to pages.
    let data: Vec<u8> = (0..VALUE + 16).map(|at| (at % 251) as u8).collect();
    let data = &data[16..];
    (0..values).for_each(|nth| file.write_at((nth * VALUE) as u64, &[IoSlice::new(data)]).unwrap());
    file.sync().unwrap();
    let bare = File::options().write(true).open(dir.join("f")).unwrap();
    println!("{values} values of 1 MiB, medians of {RUNS}");
    println!("{:42} {:>9} {:>9} {:>12} {:>12}", "", "us each", "GB/s", "CPU s/GB", "read, GB/s");
    let direct = Direct::open(&dir.join("f"), data);
    match &direct {
        Ok(_) => {}
        Err(error) => println!("no O_DIRECT or no io_uring here: {error}"),
    }
    let mut ways: Vec<(&str, Way<'_>)> = vec![
        ("pwrite", Box::new(|nth| put(&*file, nth, data))),
        (
            "pwrite, fdatasync each",
            Box::new(|nth| {
                put(&*file, nth, data);
                file.sync().unwrap();
            }),
        ),
        (
            "pwrite, sync_file_range of 256 KiB, fdatasync",
            Box::new(|nth| {
                for (at, piece) in data.chunks(PIECE).enumerate() {
                    let offset = (nth * VALUE + at * PIECE) as u64;
                    file.write_at(offset, &[IoSlice::new(piece)]).unwrap();
                    begin_write_back(&bare, offset);
                }
                file.sync().unwrap();
            }),
        ),
    ];
    if let Ok(mut direct) = direct {
        let mut plain = direct.again();
        ways.push(("copy, O_DIRECT pwrite, fdatasync", Box::new(move |nth| plain.write(nth))));
        ways.push((
            "copy, io_uring O_DIRECT 4 x 256 KiB, fdatasync",
            Box::new(move |nth| direct.submit(nth)),
        ));
    }
    let mut figures: Vec<Vec<[f64; 3]>> = vec![Vec::new(); ways.len()];
    for _ in 0..RUNS {
        // Turn by turn, so that a slow moment of the device hits all.
        for ((_, way), figures) in ways.iter_mut().zip(&mut figures) {
            let (start, cpu) = (Instant::now(), cpu_seconds());
            (0..values).for_each(&mut *way);
            let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
            let start = Instant::now();
            let mut back = vec![0; VALUE];
            (0..values).for_each(|nth| file.read_at((nth * VALUE) as u64, &mut back).unwrap());
            figures.push([wall, cpu, start.elapsed().as_secs_f64()]);
            file.sync().unwrap();
        }
    }
    let gb = (values * VALUE) as f64 / 1e9;
    for ((name, _), figures) in ways.iter().zip(&mut figures) {
        let [wall, cpu, read] = [0, 1, 2].map(|which| {
            figures.sort_by(|a, b| a[which].total_cmp(&b[which]));
            figures[RUNS / 2][which]
        });
        let each = wall / values as f64 * 1e6;
        println!("{name:46} {each:9.0} {:9.2} {:12.3} {:12.2}", gb / wall, cpu / gb, gb / read);
    }
    drop(ways);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn put(file: &dyn MediaFile, nth: usize, data: &[u8]) {
    file.write_at((nth * VALUE) as u64, &[IoSlice::new(data)]).unwrap();
}

fn begin_write_back(file: &File, offset: u64) {
    let flags = libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: it takes numbers only, and the descriptor is open.
    let begun = unsafe { libc::sync_file_range(file.as_raw_fd(), offset as i64, PIECE as i64, flags) };
    assert_eq!(begun, 0);
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: it fills the structure that it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Writes past the page cache, from a buffer that is aligned and registered.
struct Direct<'a> {
    file: File,
    ring: IoUring,
    buffer: &'static mut [u8],
    data: &'a [u8],
}

impl<'a> Direct<'a> {
    fn open(path: &Path, data: &'a [u8]) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
        let ring = IoUring::new(8)?;
        let layout = std::alloc::Layout::from_size_align(VALUE, 4096).unwrap();
        // SAFETY: the memory is of that size, zeroed, and never freed.
        let buffer = unsafe { std::slice::from_raw_parts_mut(std::alloc::alloc_zeroed(layout), VALUE) };
        let registered = [libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: VALUE }];
        // SAFETY: the buffer outlives the ring.
        unsafe { ring.submitter().register_buffers(&registered)? };
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        Ok(Self { file, ring, buffer, data })
    }

    fn again(&self) -> Self {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        Self::open(&path, self.data).unwrap()
    }

    fn write(&mut self, nth: usize) {
        self.buffer.copy_from_slice(self.data);
        self.file.write_all_at(self.buffer, (nth * VALUE) as u64).unwrap();
        self.file.sync_data().unwrap();
    }

    fn submit(&mut self, nth: usize) {
        let pieces = VALUE / PIECE;
        for piece in 0..pieces {
            let range = piece * PIECE..(piece + 1) * PIECE;
            self.buffer[range.clone()].copy_from_slice(&self.data[range.clone()]);
            let from = self.buffer[range.clone()].as_ptr();
            let entry = opcode::WriteFixed::new(types::Fixed(0), from, PIECE as u32, 0)
                .offset((nth * VALUE + range.start) as u64)
                .build();
            // SAFETY: the registered buffer is not touched before all have completed.
            unsafe { self.ring.submission().push(&entry).unwrap() };
            self.ring.submit().unwrap();
        }
        let mut done = 0;
        while done < pieces {
            self.ring.submit_and_wait(1).unwrap();
            for entry in self.ring.completion() {
                assert_eq!(entry.result(), PIECE as i32);
                done += 1;
            }
        }
        self.file.sync_data().unwrap();
    }
}
