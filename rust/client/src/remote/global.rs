//! What another process needs of an open pool or container beside its handle, so that it asks nobody to have it open too.

use crate::error::{Error, Result};
use daos_types::Der;
use daos_wire::control::{Summing, Uuid};
use daos_wire::{decode_control, encode_control};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// An open pool, as another process has it open too.
#[derive(Debug, Clone)]
pub struct SharedPool {
    /// What its opener told: [`PoolService::local2global`](crate::PoolService::local2global).
    pub pool: Vec<u8>,
    /// Ranks to the addresses of their targets. They are not its opener's to tell: whoever made up what he tells could have this
    /// process go anywhere.
    pub targets: BTreeMap<u32, Vec<String>>,
}

/// A pool.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobalPool {
    pub(super) uuid: Uuid,
    pub(super) label: String,
    pub(super) props: ByteBuf,
    /// Rank and index there of each target, in their order.
    pub(super) targets: Vec<(u32, u32)>,
}

/// A container.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobalContainer {
    pub(super) handle: Uuid,
    pub(super) uuid: Uuid,
    pub(super) label: String,
    pub(super) props: ByteBuf,
    pub(super) checksums: Summing,
}

pub(super) fn encode(what: &impl Serialize) -> Result<Vec<u8>> {
    encode_control(what).map_err(|error| Error::new(error.der(), error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    decode_control(bytes)
        .map_err(|error| Error::new(Der::Inval, format!("this is no handle of another process: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_fuzz::{fuzz, unsealed};
    use serde_bytes::ByteArray;

    fn samples() -> (GlobalPool, GlobalContainer) {
        let pool = GlobalPool {
            uuid: ByteArray::new([7; 16]),
            label: "tank".to_owned(),
            props: ByteBuf::from(vec![0x80]),
            targets: vec![(0, 0), (0, 1), (u32::MAX, 7)],
        };
        let container = GlobalContainer {
            handle: ByteArray::new([1; 16]),
            uuid: ByteArray::new([2; 16]),
            label: String::new(),
            props: ByteBuf::new(),
            checksums: Summing { kind: 3, piece_size: 1 << 15, server_verifies: true },
        };
        (pool, container)
    }

    #[test]
    fn what_is_told_comes_back_and_a_part_of_it_is_refused() {
        let (pool, container) = samples();
        let told = encode(&pool).unwrap();
        assert_eq!(decode::<GlobalPool>(&told).unwrap(), pool);
        for len in 0..told.len() {
            assert_eq!(decode::<GlobalPool>(&told[..len]).unwrap_err().der, Der::Inval);
        }
        assert_eq!(decode::<GlobalContainer>(&encode(&container).unwrap()).unwrap(), container);
        assert_eq!(decode::<GlobalContainer>(&told).unwrap_err().der, Der::Inval);
    }

    #[test]
    fn what_is_altered_is_refused_or_another() {
        let (pool, container) = samples();
        fuzz("global pool", &[encode(&pool).unwrap()], &unsealed, |bytes| {
            let Ok(pool) = decode::<GlobalPool>(bytes) else { return false };
            decode::<GlobalPool>(&encode(&pool).unwrap()).unwrap() == pool
        });
        fuzz("global container", &[encode(&container).unwrap()], &unsealed, |bytes| {
            let Ok(container) = decode::<GlobalContainer>(bytes) else { return false };
            decode::<GlobalContainer>(&encode(&container).unwrap()).unwrap() == container
        });
    }
}
