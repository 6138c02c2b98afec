//! What is decided without a look at anything: pure.

use daos_door::LEN_MAX;

/// Programs that are left alone unless somebody wants otherwise: they open many files once and read them once, which the kernel's page
/// cache is made for, or belong to the system itself.
const BYPASSED: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "csh",
    "tcsh",
    "fish",
    "busybox",
    "env",
    "sudo",
    "su",
    "login",
    "sshd",
    "systemd",
    "gcc",
    "g++",
    "cc",
    "c++",
    "cpp",
    "cc1",
    "cc1plus",
    "collect2",
    "lto1",
    "as",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "lld",
    "ar",
    "ranlib",
    "clang",
    "clang++",
    "gfortran",
    "f951",
    "rustc",
    "cargo",
    "go",
    "make",
    "gmake",
    "cmake",
    "ninja",
    "ctest",
    "mount",
    "umount",
    "fusermount3",
    "mount.fuse3",
    "dfuse",
    "daos",
    "dmg",
    "daos_server",
    "daos_agent",
    "daos_engine",
];

/// Requests of a handle that the kernel answers before the file is taken over, which costs about as much as one of them: a small file
/// that is read once is not worth it.
pub(crate) const KERNEL_FIRST: u32 = 2;
/// After the kernel had the file, so many requests go by it before it is asked for again; twice as many each time.
const PAUSE_FIRST: u32 = 16;
const PAUSE_MAX: u32 = 4096;

/// Questions about names that the kernel answers first: to connect to a door costs as much as these do, and many programs ask no more.
pub(crate) const KERNEL_NAMES_FIRST: u32 = 4;

/// How the library is to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) active: bool,
    pub(crate) report: bool,
}

/// Whether a variable is set and means yes.
fn means_yes(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| {
        value.eq_ignore_ascii_case(b"1")
            || value.eq_ignore_ascii_case(b"true")
            || value.eq_ignore_ascii_case(b"yes")
            || value.eq_ignore_ascii_case(b"on")
    })
}

/// How the library is to behave in a program of this name, by the environment.
pub(crate) fn wanted(program: &[u8], env: impl Fn(&str) -> Option<Vec<u8>>) -> Wanted {
    let built_in = !means_yes(env("D_IL_NO_BYPASS").as_deref());
    let named = env("D_IL_BYPASS_LIST").unwrap_or_default();
    let is_bypassed = (built_in && BYPASSED.iter().any(|name| name.as_bytes() == program))
        || named.split(|byte| *byte == b':').any(|name| !name.is_empty() && name == program);
    Wanted { active: !is_bypassed, report: means_yes(env("D_IL_REPORT").as_deref()) }
}

/// Whether a file that is opened so can be taken over later. With `write_back` the kernel has the truth about what is written, and what
/// avoids its page cache beside it is not exact.
pub(crate) fn can_be_taken(flags: i32, write_back: bool) -> bool {
    let never = libc::O_PATH | libc::O_DIRECTORY | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    flags & never == 0 && !write_back
}

/// Whether a descriptor with these flags reads, or writes.
pub(crate) fn allows(flags: i32, writes: bool) -> bool {
    match flags & libc::O_ACCMODE {
        libc::O_RDWR => true,
        libc::O_WRONLY => writes,
        libc::O_RDONLY => !writes,
        _ => false,
    }
}

/// Whether a request of so many bytes is worth a door, and can be asked there: at a place in the file, or at its offset.
pub(crate) fn fits(len: usize, at: Option<i64>) -> bool {
    let ends = |at: i64| i64::try_from(len).ok().and_then(|len| at.checked_add(len));
    (1..=LEN_MAX).contains(&len) && at.is_none_or(|at| at >= 0 && ends(at).is_some())
}

/// How many requests go by the kernel after it would not let go of a file for the `times`-th time.
pub(crate) fn pause(times: u32) -> u32 {
    PAUSE_FIRST.saturating_mul(1 << times.min(16)).min(PAUSE_MAX)
}

/// What a path has behind a directory: not from `/` on.
pub(crate) fn behind<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(root).filter(|_| is_below(path, root))?;
    let at = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
    rest.get(at..)
}

/// The bits that a process takes from the modes of what it makes, as the kernel tells them of it.
pub(crate) fn umask_of(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let word = lines.find_map(|line| line.strip_prefix(b"Umask:"))?.trim_ascii();
    u32::from_str_radix(std::str::from_utf8(word).ok()?, 8).ok().filter(|mask| *mask <= 0o777)
}

/// Whether a path begins with a directory.
pub(crate) fn is_below(path: &[u8], root: &[u8]) -> bool {
    let rest = path.strip_prefix(root);
    rest.is_some_and(|rest| rest.first() == Some(&b'/') || rest.is_empty() || root == b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_left_alone_by_name() {
        let none = |_: &str| None;
        assert_eq!(wanted(b"python3", none), Wanted { active: true, report: false });
        assert!(!wanted(b"bash", none).active);
        let all = |name: &str| (name == "D_IL_NO_BYPASS").then(|| b"1".to_vec());
        assert!(wanted(b"bash", all).active);
        let some = |name: &str| match name {
            "D_IL_BYPASS_LIST" => Some(b"one:two::".to_vec()),
            "D_IL_REPORT" => Some(b"true".to_vec()),
            _ => None,
        };
        assert!(!wanted(b"two", some).active && !wanted(b"bash", some).active);
        assert_eq!(wanted(b"three", some), Wanted { active: true, report: true });
        assert!(wanted(b"", some).active);
        let off = |name: &str| (name == "D_IL_REPORT").then(|| b"0".to_vec());
        assert!(!wanted(b"three", off).report);
    }

    #[test]
    fn what_is_no_open_file_is_not_taken() {
        assert!(can_be_taken(libc::O_RDWR | libc::O_CREAT, false));
        for flags in [libc::O_PATH, libc::O_DIRECTORY, libc::O_TMPFILE | libc::O_RDWR] {
            assert!(!can_be_taken(flags, false));
        }
        assert!(!can_be_taken(libc::O_RDONLY, true) && !can_be_taken(libc::O_RDWR, true));
    }

    #[test]
    fn who_may_not_is_told_so_by_the_kernel() {
        assert!(allows(libc::O_RDWR, true) && allows(libc::O_RDWR, false));
        assert!(allows(libc::O_RDONLY, false) && !allows(libc::O_RDONLY, true));
        assert!(allows(libc::O_WRONLY, true) && !allows(libc::O_WRONLY, false));
        assert!(!allows(libc::O_ACCMODE, false));
    }

    #[test]
    fn what_no_file_has_is_the_kernels() {
        assert!(fits(1, None) && fits(LEN_MAX, Some(0)) && !fits(0, None) && !fits(LEN_MAX + 1, None));
        assert!(!fits(1, Some(-1)) && !fits(2, Some(i64::MAX - 1)) && fits(1, Some(i64::MAX - 1)));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert_eq!([0, 1, 2, 8, 9, 31, u32::MAX].map(pause), [16, 32, 64, 4096, 4096, 4096, 4096]);
    }

    #[test]
    fn what_is_behind_a_mount_is_a_path_from_there() {
        let root = b"/mnt/home";
        assert_eq!(behind(b"/mnt/home//a/b/", root), Some(&b"a/b/"[..]));
        assert_eq!(behind(b"/mnt/home", root), Some(&b""[..]));
        assert_eq!(behind(b"/mnt/home//", root), Some(&b""[..]));
        assert_eq!((behind(b"/mnt/homes", root), behind(b"/mnt", root)), (None, None));
        assert_eq!(behind(b"/a", b"/"), Some(&b"a"[..]));
    }

    #[test]
    fn a_mask_is_told_in_octal() {
        assert_eq!(umask_of(b"Name:\tx\nUmask:\t0027\nState:\tR\n"), Some(0o27));
        for none in [&b"Name:\tx\n"[..], b"Umask:\n", b"Umask:\t9\n", b"Umask:\t1000\n"] {
            assert_eq!(umask_of(none), None);
        }
    }

    #[test]
    fn a_path_is_below_a_directory_by_whole_names() {
        assert!(is_below(b"/mnt/home/x", b"/mnt/home") && is_below(b"/mnt/home", b"/mnt/home"));
        assert!(!is_below(b"/mnt/homework", b"/mnt/home") && !is_below(b"mnt/home", b"/mnt/home"));
        assert!(is_below(b"/x", b"/") && !is_below(b"", b"/"));
    }
}
