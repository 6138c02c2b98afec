//! Names: of entries, of extended attributes, and where symbolic links lead. Pure.

use crate::errno::{Errno, Error, Result};

/// Bytes of an entry's name.
pub const NAME_LEN_MAX: usize = 255;
/// Bytes of a path.
pub const PATH_LEN_MAX: usize = 4095;
/// Bytes of the name of an extended attribute.
pub const XATTR_NAME_LEN_MAX: usize = 255;
/// Bytes of the value of an extended attribute.
pub const XATTR_VALUE_LEN_MAX: usize = 64 << 10;

/// A name as it is told: what cannot be printed is escaped.
pub(crate) fn shown(name: &[u8]) -> String {
    format!("\"{}\"", name.escape_ascii())
}

/// Refuses what no entry may be called.
pub fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_LEN_MAX {
        let message = format!("a name of {} bytes; at most {NAME_LEN_MAX} are possible", name.len());
        return Err(Error::new(Errno::ENAMETOOLONG, message));
    }
    if name.is_empty() {
        return Err(Error::new(Errno::ENOENT, "an empty name"));
    }
    if name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(Error::new(Errno::EINVAL, format!("{} is no name of an entry", shown(name))));
    }
    Ok(())
}

/// Refuses where no symbolic link can lead.
pub(crate) fn check_link_value(value: &[u8]) -> Result<()> {
    if value.is_empty() {
        return Err(Error::new(Errno::ENOENT, "a symbolic link that leads nowhere"));
    }
    if value.len() > PATH_LEN_MAX {
        let message = format!("a symbolic link of {} bytes; at most {PATH_LEN_MAX}", value.len());
        return Err(Error::new(Errno::ENAMETOOLONG, message));
    }
    if value.contains(&0) {
        return Err(Error::new(Errno::EINVAL, "a symbolic link with a NUL in it"));
    }
    Ok(())
}

/// The akey of an extended attribute.
pub(crate) fn xattr_akey(name: &[u8]) -> Result<Vec<u8>> {
    if name.is_empty() || name.len() > XATTR_NAME_LEN_MAX {
        let message = format!(
            "the name of an extended attribute has {} bytes; 1 to {XATTR_NAME_LEN_MAX} are possible",
            name.len()
        );
        return Err(Error::new(Errno::ERANGE, message));
    }
    if name.contains(&0) {
        return Err(Error::new(Errno::EINVAL, "the name of an extended attribute has a NUL in it"));
    }
    Ok([XATTR_PREFIX, name].concat())
}

/// What the akeys of extended attributes begin with.
pub(crate) const XATTR_PREFIX: &[u8] = b"x:";
/// The akey of what a program may do beyond what its user may.
pub(crate) const CAPABILITY_AKEY: &[u8] = b"x:security.capability";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_any_bytes_but_a_few() {
        for name in [&b"a"[..], b"...", b".a", b"\xff\xfe", b" ", b"\n", &[b'x'; 255]] {
            check_name(name).unwrap();
        }
        for (name, errno) in [
            (&b""[..], Errno::ENOENT),
            (b".", Errno::EINVAL),
            (b"..", Errno::EINVAL),
            (b"a/b", Errno::EINVAL),
            (b"a\0", Errno::EINVAL),
            (&[b'x'; 256], Errno::ENAMETOOLONG),
        ] {
            assert_eq!(check_name(name).unwrap_err().errno, errno, "{}", shown(name));
        }
    }

    #[test]
    fn links_and_attributes_have_bounds() {
        check_link_value(b"/a/../b").unwrap();
        assert_eq!(check_link_value(b"").unwrap_err().errno, Errno::ENOENT);
        assert_eq!(check_link_value(&[b'x'; 4096]).unwrap_err().errno, Errno::ENAMETOOLONG);
        assert_eq!(check_link_value(b"a\0b").unwrap_err().errno, Errno::EINVAL);
        assert_eq!(xattr_akey(b"user.a").unwrap(), b"x:user.a");
        assert_eq!(xattr_akey(b"").unwrap_err().errno, Errno::ERANGE);
        assert_eq!(xattr_akey(&[b'x'; 256]).unwrap_err().errno, Errno::ERANGE);
        assert_eq!(xattr_akey(b"a\0").unwrap_err().errno, Errno::EINVAL);
    }
}
