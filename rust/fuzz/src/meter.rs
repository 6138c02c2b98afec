//! How much a piece of code allocates.

#![allow(unsafe_code)] // an allocator is unsafe by its nature; this one hands every call on

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks for. A test binary makes it its global one.
#[derive(Debug)]
pub struct Meter;

fn count(bytes: usize) {
    // While a thread ends there may be nothing left to count in.
    let _ = ALLOCATED.try_with(|sum| sum.set(sum.get().wrapping_add(bytes)));
}

// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs something; answers with how many bytes it asked for, 0 where [`Meter`] is not the global allocator.
pub fn allocated<R>(run: impl FnOnce() -> R) -> (R, usize) {
    let before = ALLOCATED.get();
    let result = run();
    (result, ALLOCATED.get().wrapping_sub(before))
}
