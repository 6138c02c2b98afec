//! Control requests: what is asked of pools and containers and not of their objects. Rare, so they are maps with names,
//! which other languages read too: MessagePack behind the version of the body. `docs/formats/messages.md`.

use crate::decoder::Decoder;
use crate::error::WireError;
use crate::limits::{BODY_LEN_MAX, BODY_VERSION};
use crate::msgpack;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

/// The opcode of all of them.
pub const CONTROL: u16 = 32;

/// A UUID.
pub type Uuid = ByteArray<16>;

/// A request. Those of a pool or container travel with its handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// How many targets the system has: `u32`.
    SystemTargets,
    /// How the bytes of the system are used: [`SpaceReply`].
    SystemSpace,
    /// Whether a change of this session happened; where it has not, it never will: `bool`.
    ChangeSettle {
        /// Which.
        sequence: u64,
    },
    /// The pools: `Vec<Named>`.
    PoolList,
    /// Makes a pool and opens it: [`PoolReply`].
    PoolCreate {
        /// Its label.
        label: String,
        /// Properties, opaque.
        props: ByteBuf,
    },
    /// Opens a pool: [`PoolReply`].
    PoolConnect {
        /// Label or UUID.
        pool: String,
    },
    /// Destroys a pool: nothing.
    PoolDestroy {
        /// Label or UUID.
        pool: String,
    },
    /// Changes what is given, all or nothing: nothing.
    PoolChange {
        /// Another label.
        label: Option<String>,
        /// Another mode of scrubbing.
        scrub_mode: Option<u8>,
        /// Another time of scrubbing, in seconds.
        scrub_freq: Option<u32>,
        /// Another threshold of scrubbing.
        scrub_thresh: Option<u32>,
    },
    /// What the scrubber has to tell: [`ScrubReply`].
    PoolScrubStatus,
    /// The containers: `Vec<Named>`.
    ContainerList,
    /// Makes a container and opens it: [`ContainerReply`].
    ContainerCreate {
        /// Its label.
        label: String,
        /// Properties, opaque.
        props: ByteBuf,
        /// How its data is summed.
        checksums: Summing,
        /// The scrubber passes it over.
        scrub_disabled: bool,
    },
    /// Opens a container: [`ContainerReply`].
    ContainerOpen {
        /// Label or UUID.
        container: String,
    },
    /// Destroys a container: nothing.
    ContainerDestroy {
        /// Label or UUID.
        container: String,
    },
    /// Gives the container another label: nothing.
    ContainerSetLabel {
        /// The new one.
        label: String,
    },
    /// Numbers that the container never gave: the first, `u64`.
    ContainerAllocOids {
        /// How many.
        count: u64,
    },
    /// Removes what nobody can see: how many entries went, `u64`.
    ContainerAggregate,
    /// Takes a snapshot: its epoch, `u64`.
    SnapshotCreate {
        /// Its name.
        name: Option<String>,
    },
    /// The snapshots: `Vec<(u64, Option<String>)>`.
    SnapshotList,
    /// Refuses an epoch that is no snapshot: nothing.
    SnapshotCheck {
        /// The epoch.
        epoch: u64,
    },
    /// Destroys snapshots: how many, `u64`.
    SnapshotDestroy {
        /// From this epoch,
        first: u64,
        /// to this one.
        last: u64,
    },
    /// Goes back to a snapshot: nothing.
    SnapshotRollback {
        /// Its epoch.
        epoch: u64,
    },
    /// Sets attributes, all or none: nothing.
    AttributeSet {
        /// Names and values.
        items: Vec<(String, ByteBuf)>,
    },
    /// Values of attributes: `Vec<Option<ByteBuf>>`.
    AttributeGet {
        /// Their names.
        names: Vec<String>,
    },
    /// The names of all attributes: `Vec<String>`.
    AttributeList,
    /// Removes attributes: how many were there, `u64`.
    AttributeRemove {
        /// Their names.
        names: Vec<String>,
    },
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
}

/// How the bytes of a system are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // as in `daos_client::SystemSpace`
pub struct SpaceReply {
    pub total: u64,
    pub free: u64,
    pub used: u64,
    pub reserved: u64,
}

/// An open pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReply {
    /// By which requests name it.
    pub handle: u64,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
    /// Its properties, opaque.
    pub props: ByteBuf,
    /// The version of its map.
    pub map_version: u32,
    /// Where its targets are, in their order.
    pub targets: Vec<TargetPlace>,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlace {
    /// Its engine.
    pub rank: u32,
    /// Its number there.
    pub index: u32,
    /// The address of its endpoint; empty for that which told this.
    pub address: String,
}

/// An open container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReply {
    /// By which requests name it.
    pub handle: u64,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
    /// Its properties, opaque.
    pub props: ByteBuf,
    /// How its data is summed.
    pub checksums: Summing,
}

/// How data is summed: [`daos_types::Checksums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summing {
    /// The number of the algorithm, 0 for none.
    pub kind: u8,
    /// Bytes of an array under one sum.
    pub piece_size: u32,
    /// Whether the target compares.
    pub server_verifies: bool,
}

/// What the scrubber has to tell: [`daos_types::ScrubStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // as there
pub struct ScrubReply {
    pub mode: u8,
    pub freq_s: u32,
    pub thresh: u32,
    pub is_running: bool,
    pub passes: u64,
    pub bytes: u64,
    pub corruptions: u64,
    pub found: Vec<String>,
    pub ended_s: Option<u64>,
    pub next_s: Option<u64>,
}

impl Control {
    /// Whether it changes anything: a lost reply is then an unknown outcome. What only opens is no change: a handle that nobody
    /// knows of is dropped some day.
    pub fn changes(&self) -> bool {
        !matches!(
            self,
            Self::SystemTargets
                | Self::SystemSpace
                | Self::ChangeSettle { .. }
                | Self::PoolList
                | Self::PoolConnect { .. }
                | Self::PoolScrubStatus
                | Self::ContainerList
                | Self::ContainerOpen { .. }
                | Self::SnapshotList
                | Self::SnapshotCheck { .. }
                | Self::AttributeGet { .. }
                | Self::AttributeList
        )
    }

    /// Whether it may take as long as the container is large.
    pub fn is_long(&self) -> bool {
        matches!(self, Self::ContainerAggregate | Self::SnapshotRollback { .. })
    }
}

/// The body of a request or of its reply.
pub fn encode_control<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut body = BODY_VERSION.to_le_bytes().to_vec();
    rmp_serde::encode::write_named(&mut body, value)
        .map_err(|error| WireError::Control { why: error.to_string() })?;
    if body.len() > BODY_LEN_MAX {
        let (what, len, max) = ("bytes of a message's body", body.len(), BODY_LEN_MAX);
        return Err(WireError::TooLong { what, len, max });
    }
    Ok(body)
}

/// A request or a reply from its body.
pub fn decode_control<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    let none: [&[u8]; 0] = [];
    let value = Decoder::new(body, &none)?.rest();
    msgpack::check(value).map_err(|why| WireError::Control { why: why.to_owned() })?;
    rmp_serde::from_slice(value).map_err(|error| WireError::Control { why: error.to_string() })
}
