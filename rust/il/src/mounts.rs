//! Which mounts there are, as the kernel tells it in `/proc/self/mountinfo`. What reads it there is pure.

/// A mount of `dfuse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Its device: major and minor number.
    pub(crate) device: (u32, u32),
    /// Where it is.
    pub(crate) root: Vec<u8>,
    /// Its number among the mounts.
    pub(crate) id: i32,
    /// Whose names can be asked for at doors; nothing where the kernel does more with them than that.
    pub(crate) names: Option<Names>,
}

/// What the kernel looks at before it asks a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    /// Whose it is, and his group: nobody else is let in, unless `all` are.
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) all: bool,
    pub(crate) read_only: bool,
    /// Nothing there is run.
    pub(crate) no_exec: bool,
}

impl Names {
    /// Whether the kernel lets somebody in.
    pub(crate) fn lets_in(&self, user: u32, group: u32) -> bool {
        self.all || (self.user == user && self.group == group)
    }
}

/// What is known of a mount point that changes nothing of what paths mean.
const PLAIN: [&[u8]; 9] =
    [b"rw", b"ro", b"nosuid", b"nodev", b"noexec", b"relatime", b"noatime", b"nodiratime", b"strictatime"];

/// The type that `dfuse` mounts as.
const TYPE: &[u8] = b"fuse.daos";
/// Mounts that are looked after; files of others are the kernel's.
pub(crate) const MOUNTS_MAX: usize = 64;

/// The mounts of `dfuse` in a table of mounts; of those at one place the last, which hides the others.
pub(crate) fn mounts_of(table: &[u8]) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    let mut within: Vec<i32> = Vec::new();
    for line in table.split(|byte| *byte == b'\n') {
        let Some((mount, parent, is_ours)) = mount_of(line) else { continue };
        within.push(parent);
        found.retain(|other| other.root != mount.root);
        if is_ours && found.len() < MOUNTS_MAX {
            found.push(mount);
        }
    }
    // Where something else is mounted within, a path may lead there.
    for mount in found.iter_mut().filter(|mount| within.contains(&mount.id)) {
        mount.names = None;
    }
    found
}

/// What a mount is for names: all of a file system, of which the kernel checks modes, and nothing that is not known here.
fn names_of(is_whole: bool, options: &[u8], of_all: &[u8]) -> Option<Names> {
    let split = |words| <[u8]>::split(words, |byte| *byte == b',');
    let is_plain = split(options).all(|option| PLAIN.contains(&option));
    let has = |words, wanted: &[u8]| split(words).any(|option| option == wanted);
    let number_of = |name: &[u8]| split(of_all).find_map(|option| number(option.strip_prefix(name)?));
    if !is_whole || !is_plain || !has(of_all, b"default_permissions") {
        return None;
    }
    Some(Names {
        user: number_of(b"user_id=")?,
        group: number_of(b"group_id=")?,
        all: has(of_all, b"allow_other"),
        read_only: has(options, b"ro") || has(of_all, b"ro"),
        no_exec: has(options, b"noexec"),
    })
}

/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options`.
fn mount_of(line: &[u8]) -> Option<(Mount, i32, bool)> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut id = || number(words.next()?)?.try_into().ok();
    let (id, parent) = (id()?, id()?);
    let device = words.next()?;
    let is_whole = words.next()? == b"/";
    let root = unescaped(words.next()?);
    let options = words.next()?;
    // Optional fields end with a dash.
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    let kind = words.next()?;
    let names = words.nth(1).and_then(|of_all| names_of(is_whole, options, of_all));
    let mut numbers = device.split(|byte| *byte == b':').map(number);
    let device = (numbers.next()??, numbers.next()??);
    Some((Mount { device, root, id, names }, parent, kind == TYPE))
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

    fn mount(device: (u32, u32), root: &str, id: i32) -> Mount {
        Mount { device, root: root.as_bytes().to_vec(), id, names: None }
    }

    #[test]
    fn mounts_of_dfuse_are_found_by_their_type() {
        let table = b"22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw\n\
            30 28 0:45 / /mnt/home rw,nosuid,nodev shared:7 master:1 - fuse.daos dfuse rw,user_id=0\n\
            31 28 0:46 / /mnt/with\\040space rw - fuse.daos dfuse rw\n\
            32 28 0:47 / /mnt/other rw - fuse.sshfs a - fuse.daos b\n";
        assert_eq!(
            mounts_of(table),
            [mount((0, 45), "/mnt/home", 30), mount((0, 46), "/mnt/with space", 31)]
        );
    }

    #[test]
    fn what_is_mounted_over_hides_what_was_there() {
        let table = b"1 0 0:1 / /a rw - fuse.daos dfuse rw\n2 0 0:2 / /b rw - fuse.daos dfuse rw\n\
            3 1 0:3 / /a rw - fuse.daos dfuse rw\n4 2 0:4 / /b rw - tmpfs tmpfs rw\n";
        assert_eq!(mounts_of(table), [mount((0, 3), "/a", 3)]);
    }

    #[test]
    fn names_are_asked_for_where_the_kernel_does_no_more() {
        let line = |root: &str, options: &str, of_all: &str| {
            format!("30 28 0:45 {root} /mnt/home {options} - fuse.daos dfuse {of_all}\n")
        };
        let names = |text: &str| mounts_of(text.as_bytes())[0].names;
        let whole = "rw,user_id=1000,group_id=100,default_permissions";
        let own = Names { user: 1000, group: 100, all: false, read_only: false, no_exec: false };
        assert_eq!(names(&line("/", "rw,nosuid,nodev,relatime", whole)), Some(own));
        let all = format!("{whole},allow_other,blksize=4096");
        assert_eq!(names(&line("/", "rw,noexec", &all)), Some(Names { all: true, no_exec: true, ..own }));
        let read_only = Some(Names { read_only: true, ..own });
        assert_eq!(names(&line("/", "ro", whole)), read_only);
        assert_eq!(names(&line("/", "rw", &whole.replace("rw", "ro"))), read_only);
        assert_eq!(names(&line("/below", "rw", whole)), None);
        assert_eq!(names(&line("/", "rw,nosymfollow", whole)), None);
        assert_eq!(names(&line("/", "rw", "rw,user_id=1000,group_id=100")), None, "modes are not looked at");
        assert_eq!(names(&line("/", "rw", "rw,user_id=1000,default_permissions")), None);
        let within = line("/", "rw", whole) + "31 30 0:46 / /mnt/home/there rw - tmpfs tmpfs rw\n";
        assert_eq!(names(&within), None);
        let beside = line("/", "rw", whole) + "31 28 0:46 / /mnt/home2 rw - tmpfs tmpfs rw\n";
        assert_eq!(names(&beside), Some(own));
        assert!(own.lets_in(1000, 100) && !own.lets_in(1000, 0) && !own.lets_in(0, 100));
        assert!(Names { all: true, ..own }.lets_in(0, 0));
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
