//! Many entries of a directory at once: what they lead to, by as few waits as there are kinds of questions.

use crate::attr::Attr;
use crate::content;
use crate::errno::Result;
use crate::mount::{Dfs, Dir, Shared};
use crate::names::check_name;
use crate::record::{Kind, LEN_4};
use crate::work::{Found, Held, RECORD_AKEY, Slot, WHOLE, Work, held};
use daos_client::{Array, Route};
use daos_types::{ArrayFetch, FetchIod, FetchValue, ObjectId};

/// What a name leads to, if it is there, and, if that is a directory, the directory.
pub type Looked = Option<(Attr, Option<Dir>)>;

/// Kind and object id of what a name leads to, if it is there.
pub type KindOf = Option<(Kind, ObjectId)>;

impl Work<'_> {
    /// The records of entries; an error where one of them cannot be read.
    fn read_all(&self, directory: ObjectId, names: &[&[u8]]) -> Result<Vec<Result<Option<Held>>>> {
        let mut bytes = vec![[0; LEN_4]; names.len()];
        let wanted = names.iter().zip(&mut bytes).map(|(name, bytes)| {
            (*name, FetchIod::new(RECORD_AKEY, FetchValue::Array(ArrayFetch::new(&WHOLE, bytes, 1))))
        });
        let fetched = self.object(directory)?.fetch_all(wanted)?;
        let told: Vec<_> = fetched
            .into_iter()
            .map(|iod| match iod.value {
                FetchValue::Array(fetch) => (fetch.rec_size, fetch.holes),
                FetchValue::Single(_) => (0, Vec::new()),
            })
            .collect();
        Ok(bytes.iter().zip(told).map(|(bytes, (stored, holes))| held(stored, bytes, &holes)).collect())
    }

    /// What entries lead to, in their order.
    pub(crate) fn find_all(&self, directory: ObjectId, names: &[&[u8]]) -> Vec<Result<Option<Found>>> {
        let one = |name: &[u8]| self.find(&Slot::entry(directory, name));
        let Ok(read) = self.read_all(directory, names) else {
            // Each for itself: it is told which of them cannot be read.
            return names.iter().map(|name| one(name)).collect();
        };
        let found = names.iter().zip(read).map(|(name, read)| match read {
            // Its record is elsewhere.
            Ok(Some(entry)) if entry.record.is_linked() => one(name),
            Ok(Some(entry)) => Ok(Some(Found { entry, slot: Slot::entry(directory, name), held: entry })),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        });
        found.collect()
    }
}

impl Shared {
    /// What is told of what was found, in its order; the sizes of files are asked for.
    pub(crate) fn attrs(
        &self,
        work: &Work<'_>,
        found: &[Result<Option<Found>>],
    ) -> Vec<Result<Option<Attr>>> {
        let array = |found: &Found| {
            let record = &found.held.record;
            work.array(record.oid, self.chunk_size(record.chunk_size))
        };
        let is_file = |found: &&Found| found.kind() == Kind::File;
        let files = || found.iter().filter_map(|found| found.as_ref().ok()?.as_ref()).filter(is_file);
        let sizes = files().map(array).collect::<Result<Vec<_>>>();
        let sizes = sizes.and_then(|arrays: Vec<Array<dyn Route>>| content::sizes(&arrays));
        let Ok(sizes) = sizes else {
            let one = |found: &Found| self.attr(work, found, None);
            return found.iter().map(|found| found.clone()?.map(|found| one(&found)).transpose()).collect();
        };
        let mut sizes = sizes.into_iter();
        let attr = |found: Found| match found.kind() {
            Kind::File => self.attr_of(&found.held.record, None, sizes.next().unwrap_or_default()),
            Kind::Directory => self.attr_of(&found.held.record, None, 0),
            Kind::Symlink => self.attr_of(&found.held.record, None, found.held.record.value_len),
        };
        let mut attr = attr;
        found.iter().map(|found| Ok(found.clone()?.map(&mut attr))).collect()
    }
}

impl Dfs {
    /// As [`Dfs::look`], of many names: what each leads to, in their order.
    pub fn look_all(&self, parent: &Dir, names: &[&[u8]]) -> Result<Vec<Result<Looked>>> {
        let shared = &*self.shared;
        shared.check()?;
        let looked = shared.table.moment();
        let work = shared.plain();
        let found = work.find_all(parent.node.oid, names);
        let attrs = shared.attrs(&work, &found);
        let all = names.iter().zip(found).zip(attrs);
        Ok(all
            .map(|((name, found), attr)| {
                check_name(name)?;
                let (Some(found), Some(attr)) = (found?, attr?) else { return Ok(None) };
                let dir = shared.directory_of(parent, name, &found, looked);
                Ok(Some((attr, dir)))
            })
            .collect())
    }

    /// What each of many names leads to, in their order.
    pub fn kinds(&self, parent: &Dir, names: &[&[u8]]) -> Result<Vec<Result<KindOf>>> {
        self.shared.check()?;
        let found = self.shared.plain().find_all(parent.node.oid, names);
        Ok(names
            .iter()
            .zip(found)
            .map(|(name, found)| {
                check_name(name)?;
                Ok(found?.map(|found| (found.kind(), found.held.record.oid)))
            })
            .collect())
    }
}
