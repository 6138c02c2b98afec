//! The superblock: what a file system says of itself. Pure.

use crate::classes::{self, Hints};
use crate::errno::{Errno, Error, Result};
use daos_placement::ObjectClass;

/// The dkey that has it.
pub(crate) const DKEY: &[u8] = b"DFS_SB_METADATA";
/// The akey of the layout's version.
pub(crate) const LAYOUT_AKEY: &[u8] = b"DFS_LAYOUT_VERSION";

const MAGIC: u64 = 0xda05_df50_da05_df50;
const VERSION: u16 = 2;
/// The layout that is written, and the one from the first hard link on.
pub(crate) const LAYOUT: u16 = 3;
pub(crate) const LAYOUT_LINKED: u16 = 4;

/// Bytes of a chunk of files, where nobody says how many.
pub const CHUNK_SIZE: u64 = 1 << 20;

/// How namespace operations of several mounts meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Something is made by one request, which does not look whether its directory was removed by another mount meanwhile.
    #[default]
    Relaxed,
    /// All of them are serialized.
    Balanced,
}

/// A superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) layout: u16,
    pub(crate) chunk_size: u64,
    pub(crate) class: Option<ObjectClass>,
    pub(crate) directory_class: Option<ObjectClass>,
    pub(crate) file_class: Option<ObjectClass>,
    pub(crate) consistency: Consistency,
    pub(crate) hints: String,
}

/// Its akeys, in the order of its values.
pub(crate) const AKEYS: [&[u8]; 9] = [
    b"DFS_MAGIC",
    b"DFS_SB_VERSION",
    LAYOUT_AKEY,
    b"DFS_CHUNK_SIZE",
    b"DFS_OBJ_CLASS",
    b"DFS_DIR_OBJ_CLASS",
    b"DFS_FILE_OBJ_CLASS",
    b"DFS_MODE",
    b"DFS_HINTS",
];

/// Refuses sizes that no chunk can have.
pub(crate) fn check_chunk_size(chunk_size: u64) -> Result<()> {
    if (1..=CHUNK_SIZE_MAX).contains(&chunk_size) {
        return Ok(());
    }
    let message = format!("chunks of {chunk_size} bytes; 1 to {CHUNK_SIZE_MAX} are possible");
    Err(Error::new(Errno::EINVAL, message))
}

/// Bytes of a chunk.
pub const CHUNK_SIZE_MAX: u64 = 1 << 40;

impl Superblock {
    pub(crate) fn encode(&self) -> [Vec<u8>; 9] {
        let mode: u32 = match self.consistency {
            Consistency::Relaxed => 0,
            Consistency::Balanced => 4,
        };
        [
            MAGIC.to_le_bytes().to_vec(),
            VERSION.to_le_bytes().to_vec(),
            self.layout.to_le_bytes().to_vec(),
            self.chunk_size.to_le_bytes().to_vec(),
            classes::id_of(self.class).to_le_bytes().to_vec(),
            classes::id_of(self.directory_class).to_le_bytes().to_vec(),
            classes::id_of(self.file_class).to_le_bytes().to_vec(),
            mode.to_le_bytes().to_vec(),
            self.hints.clone().into_bytes(),
        ]
    }

    /// The superblock of its values; those that are absent are empty.
    pub(crate) fn decode(values: &[Vec<u8>; 9]) -> Result<Self> {
        let [magic, version, layout, chunk_size, class, directory_class, file_class, mode, hints] = values;
        if magic.is_empty() {
            return Err(Error::new(Errno::EINVAL, "the container holds no file system")
                .hint("create a container of type POSIX, or format this one"));
        }
        if magic[..] != MAGIC.to_le_bytes() {
            return Err(damaged("the magic number is another"));
        }
        let u16_of = |value: &[u8], what| value.try_into().map(u16::from_le_bytes).map_err(|_| damaged(what));
        let u32_of = |value: &[u8], what| match value {
            // Older file systems have no classes by kind, and no mode.
            [] => Ok(0),
            value => value.try_into().map(u32::from_le_bytes).map_err(|_| damaged(what)),
        };
        let version = u16_of(version, "its version is no number")?;
        let layout = u16_of(layout, "the version of the layout is no number")?;
        if version != VERSION || !(LAYOUT..=LAYOUT_LINKED).contains(&layout) {
            let message = format!(
                "a file system of version {version}, layout {layout}; known are {VERSION}, layouts {LAYOUT} and {LAYOUT_LINKED}"
            );
            return Err(Error::new(Errno::EOPNOTSUPP, message).hint("install a newer version of daos"));
        }
        let chunk_size = chunk_size[..].try_into().map(u64::from_le_bytes);
        let chunk_size = chunk_size.map_err(|_| damaged("the size of a chunk is no number"))?;
        check_chunk_size(chunk_size).map_err(|_| damaged("no chunk can have its size"))?;
        let consistency = match u32_of(mode, "its mode is no number")? {
            0 => Consistency::Relaxed,
            4 => Consistency::Balanced,
            _ => return Err(damaged("its mode is unknown")),
        };
        let hints = String::from_utf8(hints.clone()).map_err(|_| damaged("its hints are no text"))?;
        Hints::parse(&hints).map_err(|_| damaged("its hints are unknown"))?;
        Ok(Self {
            layout,
            chunk_size,
            class: classes::of_id(u32_of(class, "its class is no number")?),
            directory_class: classes::of_id(u32_of(
                directory_class,
                "the class of directories is no number",
            )?),
            file_class: classes::of_id(u32_of(file_class, "the class of files is no number")?),
            consistency,
            hints,
        })
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Errno::EIO, format!("the superblock is damaged: {why}")).hint("daos fs fix-sb writes it anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            layout: 3,
            chunk_size: CHUNK_SIZE,
            class: None,
            directory_class: Some(ObjectClass::S1),
            file_class: Some(ObjectClass::SX),
            consistency: Consistency::Balanced,
            hints: "file:max".to_owned(),
        }
    }

    #[test]
    fn its_values_are_those_of_the_format() {
        let values = sample().encode();
        let expected: [&[u8]; 9] = [
            &[0x50, 0xdf, 0x05, 0xda, 0x50, 0xdf, 0x05, 0xda],
            &[2, 0],
            &[3, 0],
            &[0, 0, 0x10, 0, 0, 0, 0, 0],
            &[0; 4],
            &[1, 0, 0, 1],
            &[0xff, 0xff, 0, 1],
            &[4, 0, 0, 0],
            b"file:max",
        ];
        assert!(values.iter().eq(expected));
        assert_eq!(Superblock::decode(&values).unwrap(), sample());
    }

    #[test]
    fn what_older_ones_lack_has_a_default() {
        let mut values = sample().encode();
        values[4..].iter_mut().for_each(Vec::clear);
        let read = Superblock::decode(&values).unwrap();
        assert_eq!((read.file_class, read.consistency, &*read.hints), (None, Consistency::Relaxed, ""));
    }

    #[test]
    fn others_are_refused_each_with_its_number() {
        let refused = |at: usize, value: &[u8]| {
            let mut values = sample().encode();
            values[at] = value.to_vec();
            Superblock::decode(&values).unwrap_err().errno
        };
        assert_eq!(refused(0, b""), Errno::EINVAL);
        assert_eq!(refused(0, &[1; 8]), Errno::EIO);
        assert_eq!(refused(1, &[3, 0]), Errno::EOPNOTSUPP);
        assert_eq!(refused(2, &[2, 0]), Errno::EOPNOTSUPP);
        assert_eq!(refused(2, &[5, 0]), Errno::EOPNOTSUPP);
        for (at, value) in
            [(2, &[3][..]), (3, &[0; 8]), (3, &[1]), (5, &[1]), (7, &[1, 0, 0, 0]), (8, b"\xff"), (8, b"x")]
        {
            assert_eq!(refused(at, value), Errno::EIO, "{at}");
        }
    }
}
