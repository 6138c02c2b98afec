//! The extreme integer keys of an object: what sizes of arrays are made of.

use crate::array::{Holds, Leaf, Pieces};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf, ObjNum};
use crate::levels::Seen;
use crate::node;
use crate::read::{ListRange, ObjectRef, Scope, View};
use daos_types::object_id::KeyKind;
use daos_types::{AkeyQuery, KeyFound, KeyQuery, Version};

impl View {
    /// The greatest or least visible keys of an object; `None` where nothing is visible. Keys that are asked for must be
    /// integers.
    pub fn query_key(
        &self,
        of: ObjectRef,
        query: KeyQuery<'_>,
        version: Version,
    ) -> (Seen, Result<Option<KeyFound>>) {
        if let Err(error) = check(of, query) {
            return (Seen::default(), Err(error));
        }
        let (seen, found) = self.scoped(of, version, |scope| scope.query_key(query));
        (seen, found.map(Option::flatten))
    }
}

fn check(of: ObjectRef, query: KeyQuery<'_>) -> Result<()> {
    let kind = of.kind()?;
    let invalid = |why: &str| Err(VosError::Invalid { why: why.to_owned() });
    if query.dkey.is_none() && kind.dkey_kind() != KeyKind::Uint64 {
        return invalid("the extreme dkey is of objects with integer dkeys");
    }
    match query.akey {
        AkeyQuery::Extreme if kind.akey_kind() != KeyKind::Uint64 => {
            invalid("the extreme akey is of objects with integer akeys")
        }
        AkeyQuery::None if query.recx => invalid("the extreme record is of an akey"),
        AkeyQuery::None if query.dkey.is_some() => invalid("a query asks for a dkey, an akey, or a record"),
        _ if query.recx && kind.is_kv() => invalid("a key-value object holds no arrays"),
        _ => Ok(()),
    }
}

impl Scope<'_, '_> {
    fn query_key(&mut self, query: KeyQuery<'_>) -> Result<Option<KeyFound>> {
        if let Some(dkey) = query.dkey {
            return self.query_dkey(dkey, query);
        }
        if let AkeyQuery::Given(akey) = query.akey
            && query.greatest
            && query.recx
            && let Some(found) = self.last_recx(akey)?
        {
            return Ok(Some(found));
        }
        // A dkey may be there without what is asked of it: then the next one counts.
        let node = KeyBuf::tree(self.num);
        self.first_below(&node, self.object.floor, query.greatest, |scope, key| {
            let found = scope.query_dkey(key, query)?;
            found.map(|found| Ok(KeyFound { dkey: Some(number(key)?), ..found })).transpose()
        })
    }

    /// The last record below the last dkey, if it is visible and has few extents: what nearly all arrays end with. One search finds the
    /// dkey, and one what is below it.
    fn last_recx(&mut self, akey: &[u8]) -> Result<Option<KeyFound>> {
        let mut node = KeyBuf::tree(self.num);
        let begin = node.mark();
        let behind = KeyBuf::tree(ObjNum(self.num.0 + 1));
        if key::is_long(akey) || behind.as_slice() <= node.as_slice() {
            return Ok(None);
        }
        if !self.merge.seek_before(behind.as_slice())? || !self.merge.key().starts_with(node.as_slice()) {
            return Ok(None);
        }
        let Some(dkey) = self.merge.key()[begin..].first_chunk().map(|dkey| u64::from_be_bytes(*dkey)) else {
            return Ok(None);
        };
        node.user_key(KeyKind::Uint64, &dkey.to_le_bytes())?;
        let state = node::state(self.merge, &mut node, self.at, self.object.floor)?;
        if !state.alive {
            return Ok(None);
        }
        node.below();
        node.user_key(self.kind.akey_kind(), akey)?;
        let leaf = Leaf::load_from(self.merge, &mut node, self.at, state.floor, true)?;
        let Holds::Array(rec_size) = leaf.holds else { return Ok(None) };
        let mut pieces = Pieces::bare();
        if rec_size == 0 || !pieces.collect_few(self.merge, &mut node, self.at, leaf.floor, rec_size)? {
            return Ok(None);
        }
        let found = |recx| KeyFound { dkey: Some(dkey), recx: Some(recx), rec_size, ..KeyFound::default() };
        Ok(pieces.last().map(found))
    }

    /// What is asked for below one dkey.
    fn query_dkey(&mut self, dkey: &[u8], query: KeyQuery<'_>) -> Result<Option<KeyFound>> {
        match query.akey {
            AkeyQuery::None => Ok(Some(KeyFound::default())),
            AkeyQuery::Given(akey) => self.query_akey(dkey, akey, query),
            AkeyQuery::Extreme => {
                let (mut node, state) = self.dkey(dkey)?;
                node.below();
                self.first_below(&node, state.floor, query.greatest, |scope, akey| {
                    let found = scope.query_akey(dkey, akey, query)?;
                    found.map(|found| Ok(KeyFound { akey: Some(number(akey)?), ..found })).transpose()
                })
            }
        }
    }

    fn query_akey(&mut self, dkey: &[u8], akey: &[u8], query: KeyQuery<'_>) -> Result<Option<KeyFound>> {
        let (mut node, state) = self.dkey(dkey)?;
        if !query.recx {
            let alive = self.akey_alive(dkey, akey, state)?;
            return Ok(alive.then(KeyFound::default));
        }
        self.down_to_akey(&mut node, akey)?;
        let leaf = Leaf::load(self.merge, &mut node, self.at, state.floor)?;
        let Holds::Array(rec_size) = leaf.holds else { return Ok(None) };
        let mut pieces = Pieces::bare();
        let recx = pieces.extreme(self.merge, &node, self.at, leaf.floor, rec_size, query.greatest)?;
        Ok(recx.map(|recx| KeyFound { recx: Some(recx), rec_size, ..KeyFound::default() }))
    }

    /// The first integer key below a node, in one direction, of which `find` finds something.
    fn first_below(
        &mut self,
        parent: &KeyBuf,
        floor: Version,
        greatest: bool,
        mut find: impl FnMut(&mut Self, &[u8]) -> Result<Option<KeyFound>>,
    ) -> Result<Option<KeyFound>> {
        let mut from = None;
        loop {
            let range =
                ListRange { from: from.as_deref(), count_max: 1, reverse: greatest, ..ListRange::ALL };
            let page = self.list_below(parent, KeyKind::Uint64, floor, range)?;
            if let Some(key) = page.keys.first()
                && let Some(found) = find(self, key)?
            {
                return Ok(Some(found));
            }
            let Some(next) = page.next else { return Ok(None) };
            from = Some(next);
        }
    }
}

fn number(key: &[u8]) -> Result<u64> {
    let wrong = |_| VosError::Corrupt { why: format!("an integer key has {} bytes", key.len()) };
    Ok(u64::from_le_bytes(key.try_into().map_err(wrong)?))
}
