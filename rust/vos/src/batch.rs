//! Several values of one flat key-value object as one operation.

use crate::checksum::single;
use crate::data::VALUE_LEN_MAX;
use crate::entry::{Change, Content};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf};
use crate::tx::Writing;
use daos_types::{Pair, Version};

impl Writing<'_, '_> {
    /// Puts values of several keys of a flat key-value object, as versions of one epoch with minors that count up: of a key that
    /// comes twice the later value stays. They depend on nothing that is there, so none needs to see those before it.
    pub(crate) fn update_batch(&mut self, pairs: &[Pair<'_>]) -> Result<()> {
        if !self.kind.is_kv() {
            return Err(VosError::Invalid { why: "only key-value objects take batches".to_owned() });
        }
        let Version { epoch, minor } = self.version;
        if pairs.len() > usize::from(u16::MAX - minor) {
            return Err(VosError::Invalid { why: format!("{} pairs are too many for a batch", pairs.len()) });
        }
        let found = self.object()?;
        let (num, _) = self.ensure_object(found)?;
        let tree = KeyBuf::tree(num);
        // What the levels do not know yet of keys that are kept by their hash.
        let mut longs: Vec<(KeyBuf, &[u8])> = Vec::new();
        for (minor, &Pair { key: user, value, sums }) in (minor..).zip(pairs) {
            if value.len() > VALUE_LEN_MAX {
                return Err(VosError::ValueTooLong { len: value.len(), max: VALUE_LEN_MAX });
            }
            let mut node = tree.clone();
            node.user_key(self.kind.dkey_kind(), user)?;
            if key::is_long(user) {
                let same = |(other, _): &&(KeyBuf, &[u8])| other.as_slice() == node.as_slice();
                if longs.iter().find(same).is_some_and(|(_, other)| *other != user) {
                    return Err(VosError::KeyShape {
                        why: "another long key has the same beginning and hash".to_owned(),
                    });
                }
                longs.push((node.clone(), user));
            }
            let payload = single(sums, Content::Inline(value), value.len())?;
            let change = Change::Value(payload);
            self.put(&mut node, Some(user), Version::new(epoch, minor), change)?;
        }
        Ok(())
    }
}
