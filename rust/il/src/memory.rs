//! Memory of the library's own. A program may call `read` and `write` in a signal handler, in the middle of its `malloc`; so nothing
//! here may call that. Blocks of a few sizes are kept once they are there; what is larger comes from the kernel and goes back.
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Blocks have 16 bytes, 32, 64, up to this.
const BLOCK_MIN: usize = 16;
const BLOCK_MAX: usize = 64 << 10;
const SIZES: usize = (BLOCK_MAX / BLOCK_MIN).ilog2() as usize + 1;
/// Bytes that are cut into blocks of one size at once.
const PIECE: usize = 64 << 10;
/// Looks at a lock that somebody has; then it goes on without.
const LOOKS_MAX: u32 = 10_000;

#[global_allocator]
static MEMORY: Memory = Memory { shelves: [const { Shelf::new() }; SIZES] };

struct Memory {
    shelves: [Shelf; SIZES],
}

/// Free blocks of one size: each begins with the address of the next. At each moment the list is whole.
struct Shelf {
    busy: AtomicBool,
    first: AtomicPtr<c_void>,
}

/// The kernel's, as many bytes.
fn mapped(len: usize) -> *mut c_void {
    let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new place is asked for, so that nothing which is there changes.
    let got = unsafe { mmap_anonymous(ptr::null_mut(), len, flags.0, flags.1) };
    got.unwrap_or(ptr::null_mut())
}

impl Shelf {
    const fn new() -> Self {
        Self { busy: AtomicBool::new(false), first: AtomicPtr::new(ptr::null_mut()) }
    }

    fn lock(&self) -> bool {
        for _ in 0..LOOKS_MAX {
            if self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn take(&self, size: usize) -> *mut c_void {
        if !self.lock() {
            // Somebody sleeps while he has it.
            return mapped(size);
        }
        let mut block = self.first.load(Ordering::Relaxed);
        if block.is_null() {
            block = self.more(size);
        } else {
            // SAFETY: a free block is ours, as long as an address, aligned to its size, and begins with the next one's.
            let next = unsafe { *block.cast::<*mut c_void>() };
            self.first.store(next, Ordering::Relaxed);
        }
        self.busy.store(false, Ordering::Release);
        block
    }

    /// Fills the shelf; one of the new blocks, which is not on it.
    fn more(&self, size: usize) -> *mut c_void {
        let len = PIECE.max(size);
        let piece = mapped(len);
        if piece.is_null() {
            return piece;
        }
        for at in (size..len).step_by(size) {
            // SAFETY: the block is within the piece, of which nobody else knows.
            let block = unsafe { piece.byte_add(at) };
            // SAFETY: as long as an address, and aligned to its size.
            unsafe { *block.cast::<*mut c_void>() = self.first.load(Ordering::Relaxed) };
            self.first.store(block, Ordering::Relaxed);
        }
        piece
    }

    fn put(&self, block: *mut c_void) {
        if !self.lock() {
            // It is lost, which is a few bytes.
            return;
        }
        // SAFETY: its owner gave it back; as long as an address, and aligned to its size.
        unsafe { *block.cast::<*mut c_void>() = self.first.load(Ordering::Relaxed) };
        self.first.store(block, Ordering::Relaxed);
        self.busy.store(false, Ordering::Release);
    }
}

/// The shelf of a layout and the size of its blocks; nothing of what is too large.
fn shelf_of(layout: &Layout) -> Option<(usize, usize)> {
    let size = layout.size().max(layout.align()).max(BLOCK_MIN).checked_next_power_of_two()?;
    (size <= BLOCK_MAX).then(|| ((size / BLOCK_MIN).ilog2() as usize, size))
}

// SAFETY: a block is of one owner from when it is taken from a shelf, or mapped, until it is given back; its size is at least that of
// the layout, and so is its alignment: a power of two up to a page's for blocks that are cut from pages, a page's for larger ones.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match shelf_of(&layout) {
            Some((shelf, size)) => {
                self.shelves.get(shelf).map_or(ptr::null_mut(), |shelf| shelf.take(size).cast())
            }
            // More than a page's alignment nobody asks for here.
            None if layout.align() <= 4096 => mapped(layout.size()).cast(),
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match shelf_of(&layout) {
            Some((shelf, _)) => {
                if let Some(shelf) = self.shelves.get(shelf) {
                    shelf.put(block.cast());
                }
            }
            None => {
                if let Some(block) = NonNull::new(block) {
                    // SAFETY: it was mapped with this length, and its owner uses it no more.
                    let _ = unsafe { munmap(block.as_ptr().cast(), layout.size()) };
                }
            }
        }
    }
}

/// A child that was forked: who had a lock is not there, and what he did was whole.
pub(crate) fn forked() {
    for shelf in &MEMORY.shelves {
        shelf.busy.store(false, Ordering::Release);
    }
}
