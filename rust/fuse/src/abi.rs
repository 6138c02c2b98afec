//! The language of `/dev/fuse`: numbers, and how requests and replies lie in bytes. Pure.
//!
//! Source: the kernel's `include/uapi/linux/fuse.h`, version 7.38 and what later ones added to it. All numbers are in the machine's own
//! order, as both ends are on one machine.

/// The version we speak. A kernel that speaks less is answered as one of its own version.
pub(crate) const MAJOR: u32 = 7;
/// The part of it behind the point.
pub(crate) const MINOR: u32 = 38;
/// The oldest kernel's: 4.20, from which on a request can have 1 MiB.
pub(crate) const MINOR_MIN: u32 = 28;
/// The node of the root directory.
pub(crate) const ROOT: u64 = 1;
/// Bytes before each reply.
pub(crate) const OUT_HEADER: usize = 16;

macro_rules! opcodes {
    ($($name:ident = $number:literal,)+) => {
        /// What the kernel asks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Opcode { $($name,)+ }

        impl Opcode {
            pub(crate) const fn of(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

opcodes! {
    Lookup = 1,
    Forget = 2,
    Getattr = 3,
    Setattr = 4,
    Readlink = 5,
    Symlink = 6,
    Mknod = 8,
    Mkdir = 9,
    Unlink = 10,
    Rmdir = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    Statfs = 17,
    Release = 18,
    Fsync = 20,
    Setxattr = 21,
    Getxattr = 22,
    Listxattr = 23,
    Removexattr = 24,
    Init = 26,
    Opendir = 27,
    Readdir = 28,
    Releasedir = 29,
    Fsyncdir = 30,
    Create = 35,
    Destroy = 38,
    Ioctl = 39,
    BatchForget = 42,
    Fallocate = 43,
    Readdirplus = 44,
    Rename2 = 45,
    Lseek = 46,
    CopyFileRange = 47,
}

/// What kernel and file system agree on at the beginning.
pub(crate) mod init {
    pub(crate) const ASYNC_READ: u64 = 1 << 0;
    pub(crate) const ATOMIC_O_TRUNC: u64 = 1 << 3;
    pub(crate) const BIG_WRITES: u64 = 1 << 5;
    pub(crate) const AUTO_INVAL_DATA: u64 = 1 << 12;
    pub(crate) const DO_READDIRPLUS: u64 = 1 << 13;
    pub(crate) const READDIRPLUS_AUTO: u64 = 1 << 14;
    pub(crate) const ASYNC_DIO: u64 = 1 << 15;
    pub(crate) const WRITEBACK_CACHE: u64 = 1 << 16;
    pub(crate) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(crate) const MAX_PAGES: u64 = 1 << 22;
    pub(crate) const CACHE_SYMLINKS: u64 = 1 << 23;
    pub(crate) const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    pub(crate) const INIT_EXT: u64 = 1 << 30;
    pub(crate) const DIRECT_IO_ALLOW_MMAP: u64 = 1 << 36;
}

/// What of a node is to be changed.
pub(crate) mod fattr {
    pub(crate) const MODE: u32 = 1 << 0;
    pub(crate) const UID: u32 = 1 << 1;
    pub(crate) const GID: u32 = 1 << 2;
    pub(crate) const SIZE: u32 = 1 << 3;
    pub(crate) const MTIME: u32 = 1 << 5;
    pub(crate) const FH: u32 = 1 << 6;
    pub(crate) const MTIME_NOW: u32 = 1 << 8;
    pub(crate) const CTIME: u32 = 1 << 10;
    pub(crate) const KILL_SUIDGID: u32 = 1 << 11;
}

/// How a file is opened, as the kernel is told.
pub(crate) mod fopen {
    pub(crate) const DIRECT_IO: u32 = 1 << 0;
    pub(crate) const KEEP_CACHE: u32 = 1 << 1;
    pub(crate) const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
}

/// A file is opened, or made, by who may not do all: bits by which a program runs as another go.
pub(crate) const OPEN_KILL_SUIDGID: u32 = 1 << 0;
/// A write comes from the page cache.
pub(crate) const WRITE_CACHE: u32 = 1 << 0;
/// A write makes those bits go.
pub(crate) const WRITE_KILL_SUIDGID: u32 = 1 << 2;
/// A handle is given with the question for attributes.
pub(crate) const GETATTR_FH: u32 = 1 << 0;

/// Tells the kernel that what it keeps of a node's attributes holds no longer; contents that it keeps stay.
pub(crate) fn forget_attr(node: u64) -> Vec<u8> {
    // From before the beginning on, where no content is.
    forget_node(node, u64::MAX)
}

/// Tells the kernel that what it keeps of a node, attributes and contents, holds no longer; what is to be written is written first.
pub(crate) fn forget_content(node: u64) -> Vec<u8> {
    forget_node(node, 0)
}

/// Tells the kernel that attributes of a node, and its contents from a byte to the last, hold no longer.
fn forget_node(node: u64, from: u64) -> Vec<u8> {
    /// `FUSE_NOTIFY_INVAL_INODE`, where a reply has its failure.
    const INVAL_INODE: u32 = 2;
    let words = [(OUT_HEADER + 24) as u32, INVAL_INODE].map(u32::to_ne_bytes);
    // No request's; to no end.
    let numbers = [0, node, from, 0].map(u64::to_ne_bytes);
    [words.concat(), numbers.concat()].concat()
}

/// Tells the kernel that what a name in a directory led to is to be looked up again.
pub(crate) fn forget_entry(dir: u64, name: &[u8]) -> Vec<u8> {
    /// `FUSE_NOTIFY_INVAL_ENTRY`, where a reply has its failure.
    const INVAL_ENTRY: u32 = 3;
    let len = OUT_HEADER + 16 + name.len() + 1;
    let mut bytes = [len as u32, INVAL_ENTRY].map(u32::to_ne_bytes).concat();
    // No request's; the directory; how long the name is.
    bytes.extend([0, dir].map(u64::to_ne_bytes).concat());
    bytes.extend([name.len() as u32, 0].map(u32::to_ne_bytes).concat());
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes
}

/// Tells the kernel that a name is gone, and with it what it led to: as after an `unlink` or `rmdir` of its own.
pub(crate) fn removed_entry(dir: u64, node: u64, name: &[u8]) -> Vec<u8> {
    /// `FUSE_NOTIFY_DELETE`, where a reply has its failure.
    const DELETE: u32 = 6;
    let len = OUT_HEADER + 24 + name.len() + 1;
    let mut bytes = [len as u32, DELETE].map(u32::to_ne_bytes).concat();
    // No request's; the directory; what it led to; how long the name is.
    bytes.extend([0, dir, node].map(u64::to_ne_bytes).concat());
    bytes.extend([name.len() as u32, 0].map(u32::to_ne_bytes).concat());
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes
}

/// One of the file systems that a mount consists of. The kernel's number of a node tells in its upper bits of which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Tree(pub(crate) u16);

impl Tree {
    /// The one at the mount point.
    pub(crate) const ROOT: Self = Self(0);
    const SHIFT: u32 = 48;

    /// The tree of a node that the kernel names, and the node's number there.
    pub(crate) const fn inside(node: u64) -> (Self, u64) {
        (Self((node >> Self::SHIFT) as u16), node & ((1 << Self::SHIFT) - 1))
    }

    /// What the kernel calls a node of this tree; 0 is none in any.
    pub(crate) const fn outside(self, node: u64) -> u64 {
        if node == 0 { 0 } else { (self.0 as u64) << Self::SHIFT | node }
    }

    /// What `stat` tells as the number of a node: trees have the same ones, and a program takes two of one number for the same file.
    pub(crate) const fn ino(self, ino: u64) -> u64 {
        ino ^ (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// What comes before each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: u32,
    pub(crate) unique: u64,
    pub(crate) node: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Who asks; 0 for the kernel itself, and for whoever has no number here.
    pub(crate) thread: u32,
}

/// A request whose bytes are not what they have to be: nothing a kernel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The bytes of a request, from the front on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [u8]);

impl<'a> Args<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(front)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Bytes up to a NUL, which goes as well.
    pub(crate) fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let name = self.bytes(end)?;
        self.bytes(1)?;
        Ok(name)
    }
}

/// Takes a request apart: its header and its arguments.
pub(crate) fn request(bytes: &[u8]) -> Result<(Header, Args<'_>), Malformed> {
    let mut args = Args(bytes);
    let len = args.u32()? as usize;
    if len != bytes.len() {
        return Err(Malformed);
    }
    let opcode = args.u32()?;
    let (unique, node) = (args.u64()?, args.u64()?);
    let (uid, gid, thread) = (args.u32()?, args.u32()?, args.u32()?);
    // Extensions that nobody agreed on.
    args.bytes(4)?;
    Ok((Header { opcode, unique, node, uid, gid, thread }, args))
}

/// What the kernel offers at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) readahead: u32,
    pub(crate) flags: u64,
}

impl Offer {
    pub(crate) fn decode(mut args: Args<'_>) -> Result<Self, Malformed> {
        let (major, minor) = (args.u32()?, args.u32()?);
        let (readahead, low) = (args.u32()?, u64::from(args.u32()?));
        // What older kernels have no room for.
        let high = if low & init::INIT_EXT == 0 { 0 } else { u64::from(args.u32()?) };
        Ok(Self { major, minor, readahead, flags: low | high << 32 })
    }
}

/// What is taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) readahead: u32,
    pub(crate) flags: u64,
    pub(crate) background: u16,
    pub(crate) write: u32,
    pub(crate) page: u32,
}

/// A reply, in a buffer that is as long as the longest.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    buffer: &'a mut [u8],
    used: usize,
    /// The tree whose nodes it tells of.
    tree: Tree,
}

impl<'a> Reply<'a> {
    /// An empty one.
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: OUT_HEADER, tree: Tree::ROOT }
    }

    /// The nodes that are told of from now on are of this tree.
    pub(crate) fn within(&mut self, tree: Tree) {
        self.tree = tree;
    }

    /// Puts bytes at its end; what does not fit is cut, and no reply is that long.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let room = self.buffer.get_mut(self.used..).unwrap_or_default();
        let len = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        self.used += len;
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.put(&number.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.put(&number.to_ne_bytes());
    }

    /// Room for so many bytes of data at its end, to be filled, and then to be [`taken`](Self::take).
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let rest = self.buffer.get_mut(self.used..).unwrap_or_default();
        let len = len.min(rest.len());
        rest.get_mut(..len).unwrap_or_default()
    }

    /// So many bytes of what was filled belong to it.
    pub(crate) fn take(&mut self, len: usize) {
        self.used = (self.used + len).min(self.buffer.len());
    }

    /// Bytes of it, its header left aside.
    pub(crate) fn len(&self) -> usize {
        self.used - OUT_HEADER
    }

    /// The whole of it: with what was put into it, or, if something failed, with the number of that alone.
    pub(crate) fn finish(self, unique: u64, error: i32) -> &'a [u8] {
        let used = if error == 0 { self.used } else { OUT_HEADER };
        let header = [(used as u32).to_ne_bytes(), (-error).to_ne_bytes()].concat();
        let buffer = self.buffer;
        if let Some(to) = buffer.get_mut(..8) {
            to.copy_from_slice(&header);
        }
        if let Some(to) = buffer.get_mut(8..OUT_HEADER) {
            to.copy_from_slice(&unique.to_ne_bytes());
        }
        buffer.get(..used).unwrap_or_default()
    }

    /// What was agreed on.
    pub(crate) fn init(&mut self, agreed: &Agreed) {
        self.u32(MAJOR);
        self.u32(MINOR);
        self.u32(agreed.readahead);
        self.u32(agreed.flags as u32);
        self.put(&agreed.background.to_ne_bytes());
        self.put(&(agreed.background / 4 * 3).to_ne_bytes());
        self.u32(agreed.write);
        // Times are exact to a nanosecond.
        self.u32(1);
        self.put(&((agreed.write / agreed.page) as u16).to_ne_bytes());
        self.put(&[0; 2]);
        self.u32((agreed.flags >> 32) as u32);
        self.put(&[0; 28]);
    }

    /// Attributes.
    pub(crate) fn attr(&mut self, attr: &NodeAttr) {
        for number in [self.tree.ino(attr.ino), attr.size, attr.blocks] {
            self.u64(number);
        }
        for (seconds, _) in attr.times {
            self.u64(seconds.cast_unsigned());
        }
        for (_, nanoseconds) in attr.times {
            self.u32(nanoseconds);
        }
        for number in [attr.mode, attr.links, attr.uid, attr.gid, 0, attr.block_size, 0] {
            self.u32(number);
        }
    }

    /// Attributes alone, and how long they hold.
    pub(crate) fn attr_out(&mut self, valid: std::time::Duration, attr: &NodeAttr) {
        self.u64(valid.as_secs());
        self.u32(valid.subsec_nanos());
        self.u32(0);
        self.attr(attr);
    }

    /// What a name leads to, and how long that holds. Without attributes: to nothing.
    pub(crate) fn entry(&mut self, entry: &EntryOut) {
        self.u64(self.tree.outside(entry.node));
        // A number is given to one node only, ever.
        self.u64(0);
        self.u64(entry.name_valid.as_secs());
        self.u64(entry.attr_valid.as_secs());
        self.u32(entry.name_valid.subsec_nanos());
        self.u32(entry.attr_valid.subsec_nanos());
        self.attr(&entry.attr);
    }

    /// A handle.
    pub(crate) fn opened(&mut self, handle: u64, flags: u32) {
        self.u64(handle);
        self.u32(flags);
        self.u32(0);
    }

    /// An entry of a listing, if it fits; false if it does not. `entry` is what is told of it beside.
    pub(crate) fn dirent(&mut self, room: usize, entry: Option<&EntryOut>, dirent: &Dirent<'_>) -> bool {
        let head = if entry.is_some() { ENTRY_OUT } else { 0 };
        let len = (head + DIRENT + dirent.name.len()).next_multiple_of(8);
        if self.len() + len > room {
            return false;
        }
        let end = self.used + len;
        if let Some(entry) = entry {
            self.entry(entry);
        }
        self.u64(self.tree.ino(dirent.ino));
        self.u64(dirent.next);
        self.u32(dirent.name.len() as u32);
        self.u32(dirent.kind);
        self.put(dirent.name);
        let pad = end.saturating_sub(self.used).min(7);
        self.put([0; 7].get(..pad).unwrap_or_default());
        true
    }
}

/// Bytes of what is told of a name.
pub(crate) const ENTRY_OUT: usize = 128;
/// Bytes of an entry of a listing before its name.
pub(crate) const DIRENT: usize = 24;

/// Attributes as the kernel has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NodeAttr {
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    /// Of access, of content, of all: seconds and nanoseconds.
    pub(crate) times: [(i64, u32); 3],
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) block_size: u32,
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EntryOut {
    pub(crate) node: u64,
    pub(crate) name_valid: std::time::Duration,
    pub(crate) attr_valid: std::time::Duration,
    pub(crate) attr: NodeAttr,
}

/// An entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dirent<'a> {
    pub(crate) ino: u64,
    /// Where the listing goes on behind it.
    pub(crate) next: u64,
    /// The kind as `readdir` has it: bits 12 to 15 of a mode.
    pub(crate) kind: u32,
    pub(crate) name: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn asked(opcode: u32, args: &[u8]) -> Vec<u8> {
        let mut bytes = ((40 + args.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(opcode.to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(9_u64.to_ne_bytes());
        bytes.extend([1_u32, 2, 3, 0].map(u32::to_ne_bytes).concat());
        bytes.extend(args);
        bytes
    }

    #[test]
    fn nodes_tell_their_tree() {
        for (tree, node) in
            [(Tree::ROOT, ROOT), (Tree(1), ROOT), (Tree(u16::MAX), (1 << 48) - 1), (Tree(7), 8)]
        {
            assert_eq!(Tree::inside(tree.outside(node)), (tree, node));
        }
        assert_eq!((Tree(7).outside(0), Tree::ROOT.outside(5), Tree::ROOT.ino(5)), (0, 5, 5));
        assert_ne!(Tree(1).ino(ROOT), Tree(2).ino(ROOT));
    }

    #[test]
    fn a_request_is_taken_apart() {
        let bytes = asked(1, b"name\0rest");
        let (header, mut args) = request(&bytes).unwrap();
        assert_eq!(header, Header { opcode: 1, unique: 7, node: 9, uid: 1, gid: 2, thread: 3 });
        assert_eq!(args.name().unwrap(), b"name");
        assert_eq!(args.name(), Err(Malformed));
        assert_eq!(args.0, b"rest");
        assert_eq!(args.u64(), Err(Malformed));
    }

    #[test]
    fn what_is_cut_short_is_no_request() {
        let bytes = asked(15, &[0; 40]);
        for len in 0..bytes.len() {
            assert!(request(&bytes[..len]).is_err(), "{len}");
        }
        request(&bytes).unwrap();
    }

    #[test]
    fn a_name_that_is_gone_is_told_with_what_it_led_to() {
        let told = removed_entry(7, 9, b"ab");
        assert_eq!(told.len(), OUT_HEADER + 24 + 3);
        let mut args = Args(&told);
        assert_eq!((args.u32(), args.u32(), args.u64()), (Ok(told.len() as u32), Ok(6), Ok(0)));
        assert_eq!((args.u64(), args.u64(), args.u32(), args.u32()), (Ok(7), Ok(9), Ok(2), Ok(0)));
        assert_eq!(args.name(), Ok(&b"ab"[..]));
    }

    #[test]
    fn a_failure_is_told_without_what_was_put_before() {
        let mut buffer = [0; 64];
        let mut reply = Reply::new(&mut buffer);
        reply.u64(5);
        let told = reply.finish(7, libc::EIO).to_vec();
        assert_eq!(told.len(), OUT_HEADER);
        assert_eq!(told[4..8], (-libc::EIO).to_ne_bytes());
        assert_eq!(told[8..16], 7_u64.to_ne_bytes());
    }

    #[test]
    fn structures_have_the_lengths_that_the_kernel_expects() {
        let mut buffer = [0; 512];
        let mut reply = Reply::new(&mut buffer);
        reply.attr_out(Duration::from_millis(1500), &NodeAttr::default());
        assert_eq!(reply.len(), 104);
        let mut reply = Reply::new(&mut buffer);
        reply.entry(&EntryOut::default());
        assert_eq!(reply.len(), ENTRY_OUT);
        let mut reply = Reply::new(&mut buffer);
        reply.init(&Agreed { readahead: 0, flags: 0, background: 16, write: 1 << 20, page: 4096 });
        assert_eq!(reply.len(), 64);
    }

    #[test]
    fn a_listing_is_filled_up_to_its_bound() {
        let mut buffer = [0; 512];
        let mut reply = Reply::new(&mut buffer);
        let dirent = |name| Dirent { ino: 1, next: 2, kind: 8, name };
        assert!(reply.dirent(64, None, &dirent(b"a")));
        assert_eq!(reply.len(), 32);
        assert!(!reply.dirent(64, None, &dirent(b"ninebytes")));
        assert!(reply.dirent(64, None, &dirent(b"8bytes__")));
        assert_eq!(reply.len(), 64);
        assert!(!reply.dirent(64 + 151, Some(&EntryOut::default()), &dirent(b"")));
        assert!(reply.dirent(64 + 152, Some(&EntryOut::default()), &dirent(b"")));
    }

    #[test]
    fn flags_are_of_64_bits_where_the_kernel_has_room_for_them() {
        let words = |flags: u32, more: u32| [7_u32, 38, 4096, flags, more].map(u32::to_ne_bytes).concat();
        let old = Offer::decode(Args(&words(1, 16))).unwrap();
        assert_eq!((old.flags, old.readahead), (1, 4096));
        let new = Offer::decode(Args(&words(1 | init::INIT_EXT as u32, 16))).unwrap();
        assert_eq!(new.flags, 1 | init::INIT_EXT | init::DIRECT_IO_ALLOW_MMAP);
        assert_eq!(Offer::decode(Args(&words(0, 0)[..15])), Err(Malformed));
    }
}
