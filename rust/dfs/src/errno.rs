//! What a caller is told: a POSIX number, exact, and a line for people.

use daos_types::Der;
use std::borrow::Cow;
use std::fmt;

macro_rules! errnos {
    ($($name:ident = $text:literal;)+) => {
        /// A POSIX error number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Errno {
            $(#[doc = concat!("`", stringify!($name), "`: ", $text, ".")] $name,)+
        }

        impl Errno {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its number on this system.
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => libc::$name,)+ }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// One line for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

errnos! {
    EPERM = "operation not permitted";
    ENOENT = "no such file or directory";
    EIO = "input/output error";
    ENXIO = "no data there";
    E2BIG = "argument list too long";
    EBADF = "bad file descriptor";
    ENOMEM = "out of memory";
    EACCES = "permission denied";
    EBUSY = "device or resource busy";
    EEXIST = "file exists";
    ENODEV = "no such device";
    ENOTDIR = "not a directory";
    EISDIR = "is a directory";
    EINVAL = "invalid argument";
    EFBIG = "file too large";
    ENOSPC = "no space left on device";
    EROFS = "read-only file system";
    EMLINK = "too many links";
    ERANGE = "numerical result out of range";
    ENAMETOOLONG = "file name too long";
    ENOTEMPTY = "directory not empty";
    ELOOP = "too many levels of symbolic links";
    ENODATA = "no data available";
    EOPNOTSUPP = "operation not supported";
    ETIMEDOUT = "connection timed out";
    ESTALE = "stale file handle";
    ESHUTDOWN = "cannot send after transport endpoint shutdown";
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A failure.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}: {errno}")]
pub struct Error {
    /// Its number.
    pub errno: Errno,
    /// What failed, on what.
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<Cow<'static, str>>,
    /// What the store said, where it was asked.
    pub der: Option<Der>,
    /// A child process used what its parent opened.
    pub forked: bool,
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure with its number.
    pub fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self { errno, message: message.into(), hint: None, der: None, forked: false }
    }

    /// The same with an advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What the store refused with this.
    pub(crate) fn is_der(&self, der: Der) -> bool {
        self.der == Some(der)
    }

    /// Whether something is wrong with what was read, and not with reading it.
    pub(crate) fn is_damage(&self) -> bool {
        self.errno == Errno::EIO && self.der.is_none()
    }

    /// The same by another number, where the store's word means another thing here.
    #[must_use]
    pub(crate) fn meaning(self, der: Der, errno: Errno, message: impl FnOnce() -> String) -> Self {
        if self.is_der(der) { Self { errno, message: message(), ..self } } else { self }
    }
}

/// The number of what the store says, where nothing more is known of what was asked.
pub(crate) const fn errno_of(der: Der) -> Errno {
    match der {
        Der::NoPerm | Der::OpNotPermitted => Errno::EPERM,
        Der::Nonexist | Der::Enoent => Errno::ENOENT,
        Der::ContNonexist | Der::ContDestroying | Der::NoService => Errno::ENODEV,
        Der::Exist => Errno::EEXIST,
        Der::Nospace | Der::QuotaLimit => Errno::ENOSPC,
        Der::Nomem => Errno::ENOMEM,
        Der::Inval => Errno::EINVAL,
        Der::Overflow | Der::Rec2big => Errno::EFBIG,
        Der::Key2big => Errno::ENAMETOOLONG,
        Der::Busy | Der::TxRestart | Der::Inprogress | Der::TxBusy => Errno::EBUSY,
        Der::Nosys | Der::Notsupported | Der::DfIncompt => Errno::EOPNOTSUPP,
        Der::Timedout => Errno::ETIMEDOUT,
        Der::NoHdl | Der::Shutdown => Errno::ESHUTDOWN,
        _ => Errno::EIO,
    }
}

impl From<daos_client::Error> for Error {
    fn from(error: daos_client::Error) -> Self {
        let daos_client::Error { der, message, hint, forked, .. } = error;
        Self { errno: errno_of(der), message, hint, der: Some(der), forked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_are_those_of_the_system_and_all_differ() {
        assert_eq!((Errno::ENOENT.number(), Errno::ENOTEMPTY.number()), (2, 39));
        let numbers: HashSet<i32> = Errno::ALL.iter().map(|errno| errno.number()).collect();
        assert_eq!(numbers.len(), Errno::ALL.len());
    }

    #[test]
    fn what_the_store_says_has_a_number_and_keeps_its_words() {
        for (der, errno) in [
            (Der::Nospace, Errno::ENOSPC),
            (Der::Csum, Errno::EIO),
            (Der::TxUncertain, Errno::EIO),
            (Der::ContNonexist, Errno::ENODEV),
            (Der::NoHdl, Errno::ESHUTDOWN),
        ] {
            let error = Error::from(daos_client::Error::new(der, "why").hint("do this"));
            assert_eq!((error.errno, error.der), (errno, Some(der)));
            assert_eq!(error.to_string(), format!("why: {}", errno.text()));
            assert_eq!(error.hint.as_deref(), Some("do this"));
        }
    }

    #[test]
    fn a_meaning_is_given_to_that_word_alone() {
        let error = Error::from(daos_client::Error::new(Der::Exist, "akey exists"));
        let other = error.clone().meaning(Der::Nonexist, Errno::ENODATA, || "no".to_owned());
        assert_eq!((other.errno, &*other.message), (Errno::EEXIST, "akey exists"));
        let error = error.meaning(Der::Exist, Errno::EEXIST, || "it is there".to_owned());
        assert_eq!(error.message, "it is there");
    }
}
