//! Taking apart what nobody can name any more.

use crate::error::{Result, VosError};
use crate::key::{ContNum, KeyBuf, OBJECT_NODE_LEN, ObjNum};
use crate::levels::Merge;

/// Up to `budget` index keys of a destroyed container: what its first object holds, and when that is gone, the object.
pub(crate) fn doomed(merge: &mut Merge<'_>, cont: ContNum, budget: usize) -> Result<Vec<Vec<u8>>> {
    let objects = KeyBuf::objects(cont);
    if !merge.seek(objects.as_slice())? || !merge.key().starts_with(objects.as_slice()) {
        return Ok(Vec::new());
    }
    let node = merge.key().get(..OBJECT_NODE_LEN).map(<[u8]>::to_vec);
    let node =
        node.ok_or_else(|| VosError::Corrupt { why: "an object's key has no known form".to_owned() })?;
    let mut below = KeyBuf::from_slice(&node)?;
    below.below();
    let num = merge.get(below.as_slice(), |bytes| bytes.try_into().ok().map(u64::from_le_bytes))?;
    let mut keys = Vec::new();
    if let Some(num) = num.flatten() {
        under(merge, KeyBuf::tree(ObjNum(num)).as_slice(), budget, &mut keys)?;
    }
    if keys.is_empty() {
        under(merge, &node, usize::MAX, &mut keys)?;
    }
    Ok(keys)
}

fn under(merge: &mut Merge<'_>, prefix: &[u8], budget: usize, keys: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut on = merge.seek(prefix)?;
    while on && keys.len() < budget && merge.key().starts_with(prefix) {
        keys.push(merge.key().to_vec());
        on = merge.step()?;
    }
    Ok(())
}
