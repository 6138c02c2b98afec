//! Walking a path.

use super::Paths;
use crate::access::{EXECUTE, Guarded};
use crate::attr::At;
use crate::entries::Entry;
use crate::errno::{Errno, Error, Result};
use crate::mount::Dir;
use crate::names::{PATH_LEN_MAX, shown};
use crate::record::Kind;
use std::collections::VecDeque;

/// Symbolic links that one path may lead through.
const LINKS_FOLLOWED_MAX: usize = 40;

/// Which last symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// All.
    Always,
    /// Those with a slash behind them.
    WithSlash,
    /// Those without: nothing with a slash behind it is made, whatever is there.
    WithoutSlash,
    /// None: a slash behind something means that it must be a directory itself.
    Never,
}

/// A directory on the way, and what its record says.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) dir: Dir,
    pub(super) guarded: Guarded,
}

/// Why a path has no last name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nameless {
    Root,
    Dot,
    DotDot,
}

/// What a path ends with.
#[derive(Debug)]
pub(super) enum Last {
    /// The last directory of the way itself.
    Here(Nameless),
    /// A name in it, what that leads to, and whether a slash was behind it.
    Name(Vec<u8>, Option<(Entry, Option<Dir>)>, bool),
}

/// A path that was walked.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) top: Step,
    pub(super) last: Last,
}

/// Something that is there.
#[derive(Debug)]
pub(super) struct There {
    pub(super) top: Step,
    /// Its name in that directory; `None` if it is the directory.
    pub(super) name: Option<Vec<u8>>,
    pub(super) kind: Kind,
    pub(super) guarded: Guarded,
}

impl There {
    pub(super) fn at(&self) -> At<'_> {
        match &self.name {
            Some(name) => At::Entry(&self.top.dir, name),
            None => At::Dir(&self.top.dir),
        }
    }
}

/// The names of a path, and whether a slash is behind the last one.
pub(super) fn split(path: &[u8]) -> Result<(VecDeque<Vec<u8>>, bool)> {
    if path.is_empty() {
        return Err(Error::new(Errno::ENOENT, "an empty path"));
    }
    if path.len() > PATH_LEN_MAX {
        let message = format!("a path of {} bytes; at most {PATH_LEN_MAX}", path.len());
        return Err(Error::new(Errno::ENAMETOOLONG, message));
    }
    if path.contains(&0) {
        return Err(Error::new(Errno::EINVAL, "a path with a NUL in it"));
    }
    let names: VecDeque<Vec<u8>> =
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    Ok((names, path.ends_with(b"/")))
}

/// A path's last name and what leads to the directory that it is in; `None` where it ends with none, or with a slash, and for what is
/// no path.
pub(super) fn last_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() > PATH_LEN_MAX || path.contains(&0) {
        return None;
    }
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (above, name) = path.split_at(at);
    let has_name = !matches!(name, b"" | b"." | b"..");
    has_name.then_some((if above.is_empty() { b"/" } else { above }, name))
}

pub(super) fn no_directory(name: &[u8]) -> Error {
    Error::new(Errno::ENOTDIR, format!("{} is no directory", shown(name)))
}

pub(super) fn exists(path: &[u8]) -> Error {
    Error::new(Errno::EEXIST, format!("{} is there", shown(path)))
}

impl Paths {
    pub(super) fn walk(&self, path: &[u8], follow: Follow) -> Result<Walked> {
        let (mut names, mut slash) = split(path)?;
        let root = self.dfs.root();
        let guarded = self.dfs.stat(At::Dir(&root))?.guarded();
        let mut stack = vec![];
        let mut top = Step { dir: root, guarded };
        let mut last = Last::Here(Nameless::Root);
        let mut followed = 0;
        while let Some(name) = names.pop_front() {
            self.may(top.guarded, EXECUTE, path)?;
            if name == b"." {
                last = Last::Here(Nameless::Dot);
                continue;
            }
            if name == b".." {
                top = stack.pop().unwrap_or(top);
                last = Last::Here(Nameless::DotDot);
                continue;
            }
            let is_last = names.is_empty();
            let (entry, dir) = match self.dfs.walk(&top.dir, &name) {
                Err(error) if error.errno == Errno::ENOENT && is_last => {
                    return Ok(Walked { top, last: Last::Name(name, None, slash) });
                }
                found => found?,
            };
            if entry.kind == Kind::Symlink {
                let follows = match follow {
                    Follow::Always => true,
                    Follow::WithSlash => slash,
                    Follow::WithoutSlash => !slash,
                    Follow::Never => false,
                };
                if !is_last || follows {
                    followed += 1;
                    if followed > LINKS_FOLLOWED_MAX {
                        return Err(Error::new(
                            Errno::ELOOP,
                            format!(
                                "{} leads through more than {LINKS_FOLLOWED_MAX} symbolic links",
                                shown(path)
                            ),
                        ));
                    }
                    let (mut more, more_slash) = split(&entry.value)?;
                    slash |= is_last && more_slash;
                    if entry.value.starts_with(b"/") {
                        top = stack.into_iter().next().unwrap_or(top);
                        stack = vec![];
                        last = Last::Here(Nameless::Root);
                    }
                    more.append(&mut names);
                    names = more;
                    continue;
                }
            }
            if is_last {
                return Ok(Walked { top, last: Last::Name(name, Some((entry, dir)), slash) });
            }
            let dir = dir.ok_or_else(|| no_directory(&name))?;
            stack.push(std::mem::replace(&mut top, Step { dir, guarded: entry.guarded() }));
        }
        Ok(Walked { top, last })
    }

    /// Something that has to be there.
    pub(super) fn there(&self, path: &[u8], follow: bool) -> Result<There> {
        let follow = if follow { Follow::Always } else { Follow::WithSlash };
        let Walked { top, last } = self.walk(path, follow)?;
        match last {
            Last::Here(_) => {
                let guarded = top.guarded;
                Ok(There { top, name: None, kind: Kind::Directory, guarded })
            }
            Last::Name(name, Some((entry, _)), slash) => {
                if slash && entry.kind != Kind::Directory {
                    return Err(no_directory(path));
                }
                Ok(There { top, name: Some(name), kind: entry.kind, guarded: entry.guarded() })
            }
            Last::Name(_, None, _) => Err(Error::new(Errno::ENOENT, format!("there is no {}", shown(path)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_name_is_one_without_a_slash() {
        assert_eq!(last_name(b"/a//b"), Some((&b"/a//"[..], &b"b"[..])));
        assert_eq!(last_name(b"b"), Some((&b"/"[..], &b"b"[..])));
        assert_eq!(last_name(b"a/...").unwrap().1, b"...");
        for none in [&b"a/"[..], b"/", b"", b"a/.", b"..", b"a\0b", &[b'a'; 4096]] {
            assert_eq!(last_name(none), None);
        }
    }

    #[test]
    fn a_path_is_names_and_maybe_a_slash() {
        let names = |path: &[u8]| {
            let (names, slash) = split(path).unwrap();
            (names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect::<Vec<_>>(), slash)
        };
        assert_eq!(names(b"/a//b/"), (vec!["a".to_owned(), "b".to_owned()], true));
        assert_eq!(names(b"a/./.."), (vec!["a".to_owned(), ".".to_owned(), "..".to_owned()], false));
        assert_eq!(names(b"/"), (vec![], true));
        assert_eq!(split(b"").unwrap_err().errno, Errno::ENOENT);
        assert_eq!(split(&[b'a'; 4096]).unwrap_err().errno, Errno::ENAMETOOLONG);
        assert_eq!(split(b"a\0").unwrap_err().errno, Errno::EINVAL);
    }
}
