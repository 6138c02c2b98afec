//! The extreme integer keys of an object: what sizes of arrays are made of.

use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::levels::Seen;
use crate::read::{ListRange, ObjectRef, Scope, View};
use daos_types::Version;
use daos_types::object_id::KeyKind;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct KeyQuery<'a> {
    /// The greatest keys, or the least.
    pub greatest: bool,
    /// In this dkey; `None` asks for the extreme dkey as well.
    pub dkey: Option<&'a [u8]>,
    /// Ask for the extreme akey of that dkey.
    pub akey: bool,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFound {
    /// The extreme dkey, where it was asked for.
    pub dkey: Option<u64>,
    /// The extreme akey in it, where it was asked for.
    pub akey: Option<u64>,
}

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
    if query.dkey.is_none() && kind.dkey_kind() != KeyKind::Uint64 {
        return Err(VosError::Invalid {
            why: "the extreme dkey is of objects with integer dkeys".to_owned(),
        });
    }
    if query.akey && kind.akey_kind() != KeyKind::Uint64 {
        return Err(VosError::Invalid {
            why: "the extreme akey is of objects with integer akeys".to_owned(),
        });
    }
    if query.dkey.is_some() && !query.akey {
        return Err(VosError::Invalid { why: "a query asks for a dkey, an akey, or both".to_owned() });
    }
    Ok(())
}

impl Scope<'_, '_> {
    fn query_key(&mut self, query: KeyQuery<'_>) -> Result<Option<KeyFound>> {
        if let Some(dkey) = query.dkey {
            let akey = self.extreme_akey(dkey, query.greatest)?;
            return Ok(akey.map(|akey| KeyFound { dkey: None, akey: Some(akey) }));
        }
        // A dkey may be there without an akey that is: then the next one counts.
        let mut from = None;
        loop {
            let range = ListRange {
                from: from.as_deref(),
                count_max: 1,
                bytes_max: usize::MAX,
                reverse: query.greatest,
            };
            let node = KeyBuf::tree(self.num);
            let page = self.list_below(&node, KeyKind::Uint64, self.object.floor, range)?;
            if let Some(key) = page.keys.first() {
                let dkey = Some(number(key)?);
                if !query.akey {
                    return Ok(Some(KeyFound { dkey, akey: None }));
                }
                if let Some(akey) = self.extreme_akey(key, query.greatest)? {
                    return Ok(Some(KeyFound { dkey, akey: Some(akey) }));
                }
            }
            let Some(next) = page.next else { return Ok(None) };
            from = Some(next);
        }
    }

    fn extreme_akey(&mut self, dkey: &[u8], greatest: bool) -> Result<Option<u64>> {
        let (mut node, state) = self.dkey(dkey)?;
        node.below();
        let mut from = None;
        loop {
            let range =
                ListRange { from: from.as_deref(), count_max: 1, bytes_max: usize::MAX, reverse: greatest };
            let page = self.list_below(&node, KeyKind::Uint64, state.floor, range)?;
            if let Some(key) = page.keys.first() {
                return number(key).map(Some);
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
