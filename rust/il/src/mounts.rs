//! Which mounts there are, as the kernel tells it in `/proc/self/mountinfo`. What reads it there is pure.

/// A mount of `dfuse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Its device: major and minor number.
    pub(crate) device: (u32, u32),
    /// Where it is.
    pub(crate) root: Vec<u8>,
}

/// The type that `dfuse` mounts as.
const TYPE: &[u8] = b"fuse.daos";
/// Mounts that are looked after; files of others are the kernel's.
pub(crate) const MOUNTS_MAX: usize = 64;

/// The mounts of `dfuse` in a table of mounts; of those at one place the last, which hides the others.
pub(crate) fn mounts_of(table: &[u8]) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for line in table.split(|byte| *byte == b'\n') {
        let Some((mount, is_ours)) = mount_of(line) else { continue };
        found.retain(|other| other.root != mount.root);
        if is_ours && found.len() < MOUNTS_MAX {
            found.push(mount);
        }
    }
    found
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options`.
fn mount_of(line: &[u8]) -> Option<(Mount, bool)> {
    let mut words = line.split(|byte| *byte == b' ');
    let device = words.nth(2)?;
    let root = unescaped(words.nth(1)?);
    // Optional fields end with a dash.
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    let mut numbers = device.split(|byte| *byte == b':').map(number);
    let device = (numbers.next()??, numbers.next()??);
    Some((Mount { device, root }, kind == TYPE))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Spaces and the like stand there as `\040`.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match octal {
            Some(digits) if *first == b'\\' => {
                path.push(digits.iter().fold(0_u8, |byte, digit| (byte << 3) | (digit - b'0')));
                rest = behind.get(3..).unwrap_or_default();
            }
            _ => {
                path.push(*first);
                rest = behind;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(device: (u32, u32), root: &str) -> Mount {
        Mount { device, root: root.as_bytes().to_vec() }
    }

    #[test]
    fn mounts_of_dfuse_are_found_by_their_type() {
        let table = b"22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw\n\
            30 28 0:45 / /mnt/home rw,nosuid,nodev shared:7 master:1 - fuse.daos dfuse rw,user_id=0\n\
            31 28 0:46 / /mnt/with\\040space rw - fuse.daos dfuse rw\n\
            32 28 0:47 / /mnt/other rw - fuse.sshfs a - fuse.daos b\n";
        assert_eq!(mounts_of(table), [mount((0, 45), "/mnt/home"), mount((0, 46), "/mnt/with space")]);
    }

    #[test]
    fn what_is_mounted_over_hides_what_was_there() {
        let table = b"1 0 0:1 / /a rw - fuse.daos dfuse rw\n2 0 0:2 / /b rw - fuse.daos dfuse rw\n\
            3 1 0:3 / /a rw - fuse.daos dfuse rw\n4 2 0:4 / /b rw - tmpfs tmpfs rw\n";
        assert_eq!(mounts_of(table), [mount((0, 3), "/a")]);
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        for line in [
            &b""[..],
            b"1 2 3",
            b"1 0 0:x / /a rw - fuse.daos d rw",
            b"1 0 0:1 / /a rw fuse.daos",
            b"- - - - -",
        ] {
            assert_eq!(mounts_of(line), []);
        }
        assert_eq!(unescaped(b"a\\04"), b"a\\04");
        assert_eq!(unescaped(b"\\134\\011"), b"\\\t");
    }
}
