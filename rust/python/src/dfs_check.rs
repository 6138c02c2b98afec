//! What a check of a file system tells, as Python has it.

use crate::dfs::name;
use daos_dfs::{CheckMode, Finding, Kind, Report};
use daos_types::ObjectId;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What is wrong, object, paths, what is stored and what was counted, and why.
type Wrong<'py> =
    (&'static str, Option<(u64, u64)>, Vec<Bound<'py, PyString>>, Option<(u32, u32)>, Option<String>);
/// Directories, files, symbolic links, repaired, what is wrong.
pub(crate) type Checked<'py> = (u64, u64, u64, usize, Vec<Wrong<'py>>);
/// What a check does about what it finds, by its number.
pub(crate) const fn mode(how: u8) -> CheckMode {
    match how {
        0 => CheckMode::Print,
        1 => CheckMode::Remove,
        _ => CheckMode::Relink,
    }
}

/// A report as a tuple.
pub(crate) fn checked<'py>(py: Python<'py>, report: &Report) -> PyResult<Checked<'py>> {
    let Report { directories, files, symlinks, findings, repaired } = report;
    let findings = findings.iter().map(|found| wrong(py, found)).collect::<PyResult<_>>()?;
    Ok((*directories, *files, *symlinks, *repaired, findings))
}

fn wrong<'py>(py: Python<'py>, found: &Finding) -> PyResult<Wrong<'py>> {
    let pair = |oid: &ObjectId| Some((oid.hi, oid.lo));
    let one = |path: &[u8]| Ok::<_, PyErr>(vec![name(py, path)?]);
    Ok(match found {
        Finding::Leaked { oid, kind } => {
            let what = match kind {
                Some(Kind::Directory) => "leaked_directory",
                Some(Kind::File | Kind::Symlink) => "leaked_file",
                None => "leaked_object",
            };
            (what, pair(oid), vec![], None, None)
        }
        Finding::LeakedInode { oid } => ("leaked_inode", pair(oid), vec![], None, None),
        Finding::Orphan { oid } => ("orphan", pair(oid), vec![], None, None),
        Finding::Links { path, stored, counted } => {
            ("links", None, one(path)?, Some((*stored, *counted)), None)
        }
        Finding::SeveralNames { paths } => {
            let paths = paths.iter().map(|path| name(py, path)).collect::<PyResult<_>>()?;
            ("several_names", None, paths, None, None)
        }
        Finding::SecondName { first, path } => {
            ("second_name", None, vec![name(py, first)?, name(py, path)?], None, None)
        }
        Finding::Dangling { path } => ("dangling", None, one(path)?, None, None),
        Finding::Damaged { path, why } => ("damaged", None, one(path)?, None, Some(why.clone())),
    })
}
