//! Pages of keys over the shards of an object.

use crate::error::{Error, Result};
use crate::route::Route;
use daos_types::{Der, ShardIdx, TargetIdx};
use daos_wire::List;

/// Bytes of keys in one page of a listing: a reply stays small whatever the keys.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// Keys in one page of a listing.
pub(crate) const PAGE_COUNT_MAX: usize = 64 << 10;

/// A page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end. Opaque.
    pub anchor: Option<Vec<u8>>,
}

/// One page of what `request` asks for, in the order of the keys inside each shard, shard after shard. Of the request, the
/// shard and the place to go on from are set here.
pub(crate) fn page<R: Route + ?Sized>(
    route: &R,
    shards: &[(ShardIdx, TargetIdx)],
    request: &List<'_>,
    anchor: Option<&[u8]>,
) -> Result<KeyPage> {
    let mut keys = Vec::new();
    let anchor = each(shards, request, anchor, |target, request| {
        let listed = route.list(target, request)?;
        keys.extend(listed.keys);
        Ok((keys.len(), listed.next))
    })?;
    Ok(KeyPage { keys, anchor })
}

/// Asks one shard after the other for what follows an anchor, until there are as many as the request wants or a shard has
/// more. `ask` tells how many there are now, and where the shard goes on. The answer is the next anchor.
pub(crate) fn each(
    shards: &[(ShardIdx, TargetIdx)],
    request: &List<'_>,
    anchor: Option<&[u8]>,
    mut ask: impl FnMut(TargetIdx, &List<'_>) -> Result<(usize, Option<Vec<u8>>)>,
) -> Result<Option<Vec<u8>>> {
    let (mut at, mut from) = match anchor {
        None => (0, None),
        Some([a, b, c, d, rest @ ..]) => {
            let from = if rest.is_empty() { None } else { Some(rest.to_vec()) };
            (u32::from_le_bytes([*a, *b, *c, *d]) as usize, from)
        }
        Some(_) => return Err(Error::new(Der::Inval, "no anchor of a listing")),
    };
    let mut found = 0;
    let count = request.count_max.clamp(1, PAGE_COUNT_MAX);
    while let Some((shard, target)) =
        shards.get(if request.reverse { shards.len().wrapping_sub(at + 1) } else { at })
    {
        let mut part = *request;
        part.of.oid.shard = *shard;
        part.from = from.as_deref();
        part.count_max = count - found;
        let next;
        (found, next) = ask(*target, &part)?;
        at += usize::from(next.is_none());
        from = next;
        if found >= count || from.is_some() {
            break;
        }
    }
    let more = at < shards.len();
    Ok(more.then(|| [&(at as u32).to_le_bytes()[..], &from.unwrap_or_default()].concat()))
}
