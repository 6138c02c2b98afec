//! Changing shards: what an operation or a transaction of several does to the index, decided before anything is logged.
//!
//! A `Tx` holds the writer's lock. Its operations read what is there and what its earlier operations did, and write
//! index changes into one record; `Store` logs the record and inserts it, or drops it all.

use crate::array::Records;
use crate::changes::Changes;
use crate::checksum::single;
use crate::data::VALUE_LEN_MAX;
use crate::entry::{Change, DtxNum, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf, LEVEL_END, LEVEL_VERSIONS, ObjNum};
use crate::levels::{Merge, Seen};
use crate::memtable::MemTable;
use crate::node::{self, At, NodeState};
use crate::read::{self, ListRange, ObjectRef, Scope, View, object_at};
use crate::rollback::Stretch;
use crate::shard::{Look, Shard};
use crate::stage::{Staged, StagedIod};
use crate::store::ROW_OBJECT_NUMS;
use daos_types::object_id::KeyKind;
use daos_types::{Cond, Epoch, Iod, IodValue, Lsn, ObjectType, Punched, Version};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Object numbers that one row reserves, so that most new objects need no row of their own.
pub(crate) const OBJECT_NUMS_STEP: u64 = 1 << 10;

/// Object numbers that are free to give.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ObjectNums {
    pub(crate) next: u64,
    pub(crate) end: u64,
}

/// The part of a transaction that touches one shard.
pub(crate) struct Part {
    pub(crate) shard: Arc<Shard>,
    look: Look,
    /// What earlier operations of the transaction changed here; `None` until there is a second one.
    overlay: Option<Arc<MemTable>>,
    pub(crate) nums: ObjectNums,
    /// Its versions are newer than all that is stored, or all that it may know of.
    pub(crate) is_newest: bool,
}

impl Part {
    pub(crate) fn new(shard: Arc<Shard>, nums: ObjectNums) -> Self {
        let look = shard.look();
        Self { shard, look, overlay: None, nums, is_newest: false }
    }

    /// Makes changes of earlier operations visible to the next.
    pub(crate) fn overlay(&mut self, changes: crate::changes::Iter<'_>) -> Result<()> {
        let overlay = self.overlay.get_or_insert_default();
        let mut write = overlay.write();
        for change in changes {
            let change = change?;
            if change.shard == self.shard.num {
                write.insert(change.key, change.value, Lsn::ZERO);
            }
        }
        Ok(())
    }

    /// Takes the shard's levels as they are now.
    pub(crate) fn look_again(&mut self) {
        self.look = self.shard.look();
    }

    /// Whether anything newer than an epoch may be stored, or may have come forth again.
    pub(crate) fn may_be_newer(&self, than: Epoch) -> bool {
        self.look.levels.may_be_newer(than) || self.shard.rolled_back_after(than)
    }

    /// For reading, with what earlier operations changed.
    pub(crate) fn view(&self) -> View {
        View { shard: Arc::clone(&self.shard), look: self.look.clone(), overlay: self.overlay.clone() }
    }

    /// What earlier operations changed.
    pub(crate) fn overlay_shared(&self) -> Option<Arc<MemTable>> {
        self.overlay.clone()
    }

    /// Runs one operation over the shard's levels, `with_earlier` ones of the transaction on top of them.
    pub(crate) fn run(
        &mut self,
        of: ObjectRef,
        version: Version,
        dtx: DtxNum,
        changes: &mut Changes,
        with_earlier: bool,
        operation: impl FnOnce(&mut Writing<'_, '_>) -> Result<()>,
    ) -> (Seen, Result<()>) {
        let kind = match of.kind() {
            Ok(kind) => kind,
            Err(error) => return (Seen::default(), Err(error)),
        };
        let Self { shard, look, overlay, nums, is_newest } = self;
        let is_newest = *is_newest;
        let overlay = overlay.as_deref().filter(|_| with_earlier);
        look.levels.read(overlay, |merge| {
            let overlaid = overlay.is_some();
            let look = look.objects_changed;
            let decided = &Cell::new(Lsn::ZERO);
            let hidden = &shard.hidden(of.cont, version.epoch);
            let mut writing = Writing {
                shard,
                hidden,
                look,
                merge,
                of,
                kind,
                version,
                dtx,
                decided,
                changes,
                nums,
                overlaid,
                is_newest,
            };
            let result = operation(&mut writing);
            (merge.seen().and(Seen(decided.get())), result)
        })
    }
}

/// One operation at work.
pub(crate) struct Writing<'a, 'm> {
    pub(crate) shard: &'a Shard,
    hidden: &'a [Stretch],
    look: u64,
    pub(crate) merge: &'a mut Merge<'m>,
    of: ObjectRef,
    pub(crate) kind: ObjectType,
    pub(crate) version: Version,
    pub(crate) dtx: DtxNum,
    decided: &'a Cell<Lsn>,
    pub(crate) changes: &'a mut Changes,
    nums: &'a mut ObjectNums,
    overlaid: bool,
    is_newest: bool,
}

impl<'a, 'm> Writing<'a, 'm> {
    pub(crate) fn at(&self) -> At<'a> {
        At {
            version: self.version,
            hidden: self.hidden,
            own: self.dtx,
            dtx: &self.shard.dtx,
            decided: self.decided,
        }
    }

    fn scope(&mut self, num: ObjNum, object: NodeState) -> Scope<'_, 'm> {
        let at = self.at();
        Scope { merge: self.merge, at, kind: self.kind, num, object }
    }

    /// Whether something as new or newer may be there already: then a change must not hide it, nor collide with it.
    pub(crate) fn may_be_late(&self) -> bool {
        !self.is_newest && self.merge.may_hold(self.version.epoch)
    }

    /// Writes one version of a node. Two changes of one node must not carry the same version.
    pub(crate) fn put(
        &mut self,
        node: &mut KeyBuf,
        user: Option<&[u8]>,
        version: Version,
        change: Change<'_>,
    ) -> Result<()> {
        if let Some(user) = user {
            node::check_long(self.merge, node, user)?;
        }
        let mark = node.mark();
        node.version(version);
        if self.may_be_late() && self.merge.get(node.as_slice(), |_| ())?.is_some() {
            return Err(VosError::SameVersion);
        }
        let long_key = user.filter(|user| key::is_long(user));
        let entry = Entry { dtx: self.dtx, long_key, change };
        self.changes.put(self.shard.num, node.as_slice(), |out| entry.encode(out));
        node.truncate(mark);
        Ok(())
    }

    /// The object's number and how it stands; `None` where nothing was ever put into it.
    pub(crate) fn object(&mut self) -> Result<Option<(ObjNum, NodeState)>> {
        let at = self.at();
        let found = object_at(self.shard, self.look, self.merge, self.of, at, self.overlaid)?;
        Ok(found.and_then(|(num, stands)| Some((num?, stands))))
    }

    /// The object's number and how it stands, made to exist if it does not.
    pub(crate) fn ensure_object(
        &mut self,
        found: Option<(ObjNum, NodeState)>,
    ) -> Result<(ObjNum, NodeState)> {
        if let Some((num, state)) = found
            && state.alive
        {
            return Ok((num, state));
        }
        let mut node = KeyBuf::object(self.of.cont, self.of.oid);
        self.put(&mut node, None, self.version, Change::Create)?;
        let (num, floor) = match found {
            Some((num, state)) => (num, state.floor),
            None => (self.number_object(&mut node)?, Version::default()),
        };
        Ok((num, NodeState { alive: true, floor }))
    }

    /// Writes the object's number again, if it has one: what is written below it here stays found, should the store forget the number
    /// of an object that holds nothing any more.
    pub(crate) fn keep_number(&mut self) -> Result<()> {
        let mut node = KeyBuf::object(self.of.cont, self.of.oid);
        node.below();
        if let Some(num) = self.merge.get(node.as_slice(), <[u8]>::to_vec)? {
            self.changes.put(self.shard.num, node.as_slice(), |out| out.extend_from_slice(&num));
        }
        Ok(())
    }

    /// Gives an object its short number.
    fn number_object(&mut self, node: &mut KeyBuf) -> Result<ObjNum> {
        if self.nums.next >= self.nums.end {
            let end = self.nums.next + OBJECT_NUMS_STEP;
            self.nums.end = end;
            let row = KeyBuf::meta(ROW_OBJECT_NUMS)?;
            self.changes.put(self.shard.num, row.as_slice(), |out| out.extend_from_slice(&end.to_le_bytes()));
        }
        let num = self.nums.next;
        self.nums.next += 1;
        let mark = node.mark();
        node.below();
        self.changes.put(self.shard.num, node.as_slice(), |out| out.extend_from_slice(&num.to_le_bytes()));
        node.truncate(mark);
        Ok(ObjNum(num))
    }

    /// Puts new values under akeys of one dkey, all or none.
    ///
    /// What is `staged` of them lies in the data file already.
    pub(crate) fn update(
        &mut self,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
        staged: Option<&Staged>,
    ) -> Result<()> {
        check_iods(self.kind, iods, cond)?;
        let found = self.object()?;
        if self.kind.is_kv() {
            return self.update_flat(found, dkey, iods, cond, staged);
        }
        let dkey_state = match found {
            None => NodeState::default(),
            Some((num, object)) => self.scope(num, object).dkey(dkey)?.1,
        };
        check_insert_update(cond, Cond::DKEY_INSERT, Cond::DKEY_UPDATE, dkey_state.alive, "dkey")?;
        for iod in iods {
            let cond = if cond.has(Cond::PER_AKEY) { iod.cond } else { cond };
            if cond.has(Cond::AKEY_INSERT) || cond.has(Cond::AKEY_UPDATE) {
                let alive = match found {
                    None => false,
                    Some((num, object)) => self.scope(num, object).akey_alive(dkey, iod.akey, dkey_state)?,
                };
                check_insert_update(cond, Cond::AKEY_INSERT, Cond::AKEY_UPDATE, alive, "akey")?;
            }
        }
        let (num, _) = self.ensure_object(found)?;
        let mut node = KeyBuf::tree(num);
        node.user_key(self.kind.dkey_kind(), dkey)?;
        if !dkey_state.alive {
            self.put(&mut node, Some(dkey), self.version, Change::Create)?;
        }
        node.below();
        for (at, iod) in iods.iter().enumerate() {
            let mark = node.mark();
            node.user_key(self.kind.akey_kind(), iod.akey)?;
            let staged = staged.and_then(|staged| staged.iod(at));
            match iod.value {
                IodValue::Single(value) => {
                    self.check_single(&mut node, iod.akey, dkey_state.floor)?;
                    let change =
                        Change::Value(single(iod.sums, StagedIod::content(staged, 0, value), value.len())?);
                    self.put(&mut node, Some(iod.akey), self.version, change)?;
                }
                IodValue::NoSingle => {
                    self.check_single(&mut node, iod.akey, dkey_state.floor)?;
                    self.put(&mut node, Some(iod.akey), self.version, Change::NoValue)?;
                }
                IodValue::Array { rec_size, recxs, data } => {
                    let records = Records { rec_size, recxs, data, sums: iod.sums, staged };
                    self.write_array(&mut node, iod.akey, dkey_state, &records)?;
                }
                IodValue::Holes(recxs) => self.punch_records(&mut node, iod.akey, dkey_state, recxs)?,
            }
            node.truncate(mark);
        }
        Ok(())
    }

    /// A single value does not go where an array is.
    fn check_single(&mut self, node: &mut KeyBuf, akey: &[u8], floor: Version) -> Result<()> {
        node::check_long(self.merge, node, akey)?;
        let at = self.at();
        let is_array = |_, change: Change<'_>| matches!(change, Change::Array(_));
        match node::newest(self.merge, node, at, floor, is_array)? {
            Some(true) => Err(VosError::OtherKind { holds: "an array" }),
            _ => Ok(()),
        }
    }

    /// An update of a flat key-value object: one entry, and no look-up unless there is a condition.
    fn update_flat(
        &mut self,
        found: Option<(ObjNum, NodeState)>,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
        staged: Option<&Staged>,
    ) -> Result<()> {
        let mut cond = cond;
        if cond.has(Cond::PER_AKEY) {
            cond = iods.iter().fold(cond, |cond, iod| cond | iod.cond);
        }
        let insert = cond.has(Cond::DKEY_INSERT) || cond.has(Cond::AKEY_INSERT);
        let update = cond.has(Cond::DKEY_UPDATE) || cond.has(Cond::AKEY_UPDATE);
        if insert || update {
            let alive = match found {
                None => false,
                Some((num, object)) => self.scope(num, object).flat_alive(dkey)?,
            };
            match (alive, insert, update) {
                (true, true, _) => return Err(VosError::Exists { what: "key" }),
                (false, _, true) => return Err(VosError::NotFound { what: "key" }),
                _ => {}
            }
        }
        let (num, _) = self.ensure_object(found)?;
        let mut node = KeyBuf::tree(num);
        node.user_key(self.kind.dkey_kind(), dkey)?;
        // There is one: all would have the same akey.
        iods.iter().enumerate().try_for_each(|(at, iod)| {
            let change = match iod.value {
                IodValue::Single(value) => {
                    let staged = staged.and_then(|staged| staged.iod(at));
                    Change::Value(single(iod.sums, StagedIod::content(staged, 0, value), value.len())?)
                }
                _ => Change::NoValue,
            };
            self.put(&mut node, Some(dkey), self.version, change)
        })
    }

    /// Hides an object, a dkey or akeys from this version on.
    pub(crate) fn punch(&mut self, what: Punched<'_>, cond: Cond) -> Result<()> {
        let found = self.object()?;
        let must_exist = cond.has(Cond::PUNCH);
        let (dkey, akeys) = match what {
            Punched::Object => return self.punch_object(found, must_exist),
            Punched::Dkey(dkey) => (dkey, None),
            Punched::Akeys(dkey, akeys) => (dkey, Some(akeys)),
        };
        if must_exist && found.is_none() {
            return Err(VosError::NotFound { what: if akeys.is_some() { "akey" } else { "dkey" } });
        }
        // What is written at an older epoch later must find the punch: it is stored even where nothing is there yet.
        let (num, object) = if let Some(found) = found {
            found
        } else {
            let mut node = KeyBuf::object(self.of.cont, self.of.oid);
            (self.number_object(&mut node)?, NodeState::default())
        };
        match akeys {
            None => self.punch_dkey(num, object, dkey, must_exist),
            Some(akeys) if self.kind.is_kv() => {
                akeys.iter().try_for_each(|akey| read::check_kv_akey(akey))?;
                self.punch_dkey(num, object, dkey, must_exist)
            }
            Some(akeys) => self.punch_akeys(num, object, dkey, akeys, must_exist),
        }
    }

    fn punch_object(&mut self, found: Option<(ObjNum, NodeState)>, must_exist: bool) -> Result<()> {
        if must_exist && !found.is_some_and(|(_, object)| object.alive) {
            return Err(VosError::NotFound { what: "object" });
        }
        let mut node = KeyBuf::object(self.of.cont, self.of.oid);
        self.put(&mut node, None, self.version, Change::Punch)?;
        let Some((num, _)) = found.filter(|_| self.may_be_late()) else { return Ok(()) };
        let mut first = None;
        let parent = KeyBuf::tree(num);
        for dkey in self.nodes_below(&parent, self.kind.dkey_kind())? {
            let again = self.revive_dkey(&dkey)?;
            first = first.into_iter().chain(again).min();
        }
        self.revive_at(&mut node, None, first, Change::Create)
    }

    fn punch_dkey(&mut self, num: ObjNum, object: NodeState, dkey: &[u8], must_exist: bool) -> Result<()> {
        let mut node = KeyBuf::tree(num);
        node.user_key(self.kind.dkey_kind(), dkey)?;
        if must_exist {
            let mut scope = self.scope(num, object);
            let alive = if scope.kind.is_kv() { scope.flat_alive(dkey)? } else { scope.dkey(dkey)?.1.alive };
            if !alive {
                return Err(VosError::NotFound { what: "dkey" });
            }
        }
        self.put(&mut node, Some(dkey), self.version, Change::Punch)?;
        if self.may_be_late() {
            self.revive_dkey(node.as_slice())?;
        }
        Ok(())
    }

    fn punch_akeys(
        &mut self,
        num: ObjNum,
        object: NodeState,
        dkey: &[u8],
        akeys: &[&[u8]],
        must_exist: bool,
    ) -> Result<()> {
        let (mut node, dkey_state) = self.scope(num, object).dkey(dkey)?;
        if must_exist {
            for akey in akeys {
                if !self.scope(num, object).akey_alive(dkey, akey, dkey_state)? {
                    return Err(VosError::NotFound { what: "akey" });
                }
            }
        }
        node.below();
        let parent = node.clone();
        for akey in akeys {
            let mark = node.mark();
            node.user_key(self.kind.akey_kind(), akey)?;
            self.put(&mut node, Some(akey), self.version, Change::Punch)?;
            if self.may_be_late() {
                self.revive_array(node.as_slice())?;
            }
            node.truncate(mark);
        }
        if !dkey_state.alive {
            return Ok(());
        }
        // A dkey that shows no akey any more goes as well.
        let kind = self.kind.akey_kind();
        let mut others = false;
        self.scope(num, object).walk_nodes(&parent, kind, dkey_state.floor, ListRange::ALL, |akey| {
            others = akey.is_some_and(|akey| !akeys.contains(&akey));
            if others { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if others { Ok(()) } else { self.punch_dkey(num, object, dkey, false) }
    }

    /// The encoded nodes that follow a parent, visible or not.
    fn nodes_below(&mut self, parent: &KeyBuf, kind: KeyKind) -> Result<Vec<Vec<u8>>> {
        let parent = parent.as_slice();
        let mut nodes: Vec<Vec<u8>> = Vec::new();
        let mut on = self.merge.seek(parent)?;
        while on && self.merge.key().starts_with(parent) {
            let parsed = key::parse_user_key(kind, &self.merge.key()[parent.len()..]).ok_or_else(|| {
                VosError::Corrupt { why: "a key below an object has no known form".to_owned() }
            })?;
            let mut node = self.merge.key()[..parent.len() + parsed.encoded_len].to_vec();
            let mark = node.len();
            node.push(LEVEL_END);
            on = self.merge.seek(&node)?;
            node.truncate(mark);
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// A punch that arrives late must not hide what was written after it. Writers after it found the node there and
    /// did not create it again: this does it for them, at the first version of anything below the node that is newer
    /// than the punch and older than the node's own next entry. Answers the first version at which the node is alive
    /// again by what is stored.
    fn revive(&mut self, node: &[u8]) -> Result<Option<Version>> {
        let mut own_next: Option<Version> = None;
        let mut own_alive: Option<Version> = None;
        let mut below: Option<Version> = None;
        let mut long_key = None;
        let mut on = self.merge.seek(node)?;
        while on && key::is_of_node(self.merge.key(), node) {
            let entry = Entry::decode(self.merge.value())?;
            let is_own = self.merge.key().get(node.len()) == Some(&LEVEL_VERSIONS);
            if let (true, Some(key)) = (is_own, entry.long_key) {
                long_key = Some(key.to_vec());
            }
            let version = key::version_of(self.merge.key()).unwrap_or_default();
            let alive = entry.change.is_alive();
            // An undecided change makes a late punch wait.
            if version > self.version && self.at().counts(version, entry.dtx)? {
                let earliest = if is_own { &mut own_next } else { &mut below };
                if is_own || alive {
                    *earliest = earliest.iter().copied().chain([version]).min();
                }
                if is_own && alive {
                    own_alive = own_alive.into_iter().chain([version]).min();
                }
            }
            on = self.merge.step()?;
        }
        match below.filter(|below| own_next.is_none_or(|next| *below < next)) {
            None => Ok(own_alive),
            Some(below) => {
                let mut node = KeyBuf::from_slice(node)?;
                self.revive_at(&mut node, long_key.as_deref(), Some(below), Change::Create)?;
                Ok(Some(below))
            }
        }
    }

    /// The same of a dkey and of the arrays in it: their akeys' entries are as old as their first writes.
    fn revive_dkey(&mut self, node: &[u8]) -> Result<Option<Version>> {
        if !self.kind.is_kv() {
            let mut parent = KeyBuf::from_slice(node)?;
            parent.below();
            for akey in self.nodes_below(&parent, self.kind.akey_kind())? {
                self.revive_array(&akey)?;
            }
        }
        self.revive(node)
    }

    pub(crate) fn revive_at(
        &mut self,
        node: &mut KeyBuf,
        long_key: Option<&[u8]>,
        version: Option<Version>,
        again: Change<'_>,
    ) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        let mark = node.mark();
        node.version(version);
        let there = self.merge.get(node.as_slice(), |_| ())?.is_some();
        node.truncate(mark);
        if there { Ok(()) } else { self.put(node, long_key, version, again) }
    }
}

fn check_insert_update(
    cond: Cond,
    insert: Cond,
    update: Cond,
    alive: bool,
    what: &'static str,
) -> Result<()> {
    if cond.has(insert) && alive {
        return Err(VosError::Exists { what });
    }
    if cond.has(update) && !alive {
        return Err(VosError::NotFound { what });
    }
    Ok(())
}

fn check_iods(kind: ObjectType, iods: &[Iod<'_>], cond: Cond) -> Result<()> {
    if iods.is_empty() {
        return Err(VosError::Invalid { why: "an update names at least one akey".to_owned() });
    }
    let akey_bits = Cond::AKEY_INSERT | Cond::AKEY_UPDATE | Cond::AKEY_FETCH;
    if cond.has(Cond::PER_AKEY) && cond.0 & akey_bits.0 != 0 {
        return Err(VosError::Invalid {
            why: "akey conditions stand either in each iod or in the call".to_owned(),
        });
    }
    for (at, iod) in iods.iter().enumerate() {
        if kind.is_kv() {
            read::check_kv_akey(iod.akey)?;
            if matches!(iod.value, IodValue::Array { .. } | IodValue::Holes(_)) {
                return Err(VosError::Invalid { why: "a key-value object holds single values".to_owned() });
            }
        }
        if iods[..at].iter().any(|other| other.akey == iod.akey) {
            return Err(VosError::Invalid { why: "an update names each akey once".to_owned() });
        }
        if let IodValue::Single(value) = iod.value
            && value.len() > VALUE_LEN_MAX
        {
            return Err(VosError::ValueTooLong { len: value.len(), max: VALUE_LEN_MAX });
        }
    }
    Ok(())
}
