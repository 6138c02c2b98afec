//! What the library did, told when a program ends: `D_IL_REPORT`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Files of mounts that were opened so that they can be taken over.
    Open,
    /// Files that were taken over.
    Take,
    /// Reads and writes at doors.
    Read,
    Write,
    /// Reads and writes of such files that the kernel did.
    KernelRead,
    KernelWrite,
    /// Files that were given to the kernel, to be mapped.
    Leave,
    /// Questions about names at doors, and changes.
    Name,
    /// Those that a door left to the kernel.
    KernelName,
}

const NAMES: [&str; 9] =
    ["open", "take", "read", "write", "kernel read", "kernel write", "mmap", "name", "kernel name"];
static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

/// Counts one more.
pub(crate) fn count(what: What) {
    if let Some(count) = COUNTS.get(what as usize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The whole, a line each.
pub(crate) fn text(process: i32, program: &str) -> String {
    let mut text = format!("libdaos_il: {program} ({process})\n");
    for (name, count) in NAMES.iter().zip(&COUNTS) {
        // A string takes all there is.
        let _ = writeln!(text, "libdaos_il: [{name:<12}] {}", count.load(Ordering::Relaxed));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_line() {
        count(What::Leave);
        count(What::KernelWrite);
        let text = text(7, "prog");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "libdaos_il: prog (7)");
        assert_eq!(lines[7], "libdaos_il: [mmap        ] 1");
        assert_eq!(lines[6], "libdaos_il: [kernel write] 1");
        assert_eq!(lines.len(), 10);
    }
}
