//! Control requests to the service of a pool, and what engines say to each other. The service is replicated: a request says
//! which it is, so that it happens once whoever answers, and its reply may be where to ask instead.
//! `docs/formats/messages.md`.

use crate::control::{Control, Uuid};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The opcode of requests of clients to the service of a pool.
pub const SERVED: u16 = 33;
/// The opcode of requests of engines to engines; their bodies are the services' affair.
pub const PEER: u16 = 34;

/// A request to the service of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The pool.
    pub pool: Uuid,
    /// The handle of the pool or of a container by which it is asked; none for connecting.
    pub handle: Option<Uuid>,
    /// The client.
    pub client: Uuid,
    /// Of the client's hybrid clock, larger for each request by at least 2; the same for one that is sent again.
    pub stamp: u64,
    /// The UUID of what is opened by it.
    pub opens: Option<Uuid>,
    /// The UUID of what is made by it.
    pub makes: Option<Uuid>,
    /// Who connects.
    pub credential: Option<ByteBuf>,
    /// How what is opened is asked for: 1 to read, 2 to read and write, 4 to have it for oneself.
    pub access: u8,
    /// What is asked.
    pub request: Asked,
}

/// What is asked of a pool's service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// What any holder of pools is asked.
    Control(Control),
    /// What only a service is asked.
    Service(Service),
}

/// What only the service of a pool is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Service {
    /// Of an engine that refused the handle: to learn of it from the service. Nothing.
    HandlePresent {
        /// The ranks of the service.
        replicas: Vec<u32>,
    },
    /// What the library of the client knows nothing of: a request as those here, in bytes of its own.
    Other {
        /// A map with its `type`.
        body: ByteBuf,
    },
    /// Closes the handle of the pool, and all that was opened through it: nothing.
    PoolDisconnect,
    /// Closes handles of containers of the pool, those that are open: nothing.
    ContainerCloseAll {
        /// Their UUIDs.
        handles: Vec<Uuid>,
    },
}

/// The reply to [`Served`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedReply {
    /// Another leads the service: its rank. Without one and without a result nobody is known to.
    pub leader: Option<u32>,
    /// The body of the reply, as of a control request.
    pub result: Option<ByteBuf>,
}

/// The number that stands for a handle in the header of requests for data.
pub fn handle_number(handle: &[u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *handle;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{decode_control, encode_control};
    use serde_bytes::ByteArray;

    #[test]
    fn requests_come_back_whatever_is_asked() {
        let id = |byte| ByteArray::new([byte; 16]);
        for request in [
            Asked::Control(Control::ContainerOpen { container: "c".to_owned() }),
            Asked::Control(Control::SystemTargets),
            Asked::Service(Service::HandlePresent { replicas: vec![0, 7] }),
            Asked::Service(Service::ContainerCloseAll { handles: vec![id(5), id(6)] }),
        ] {
            let asked = Served {
                pool: id(1),
                handle: Some(id(2)),
                client: id(3),
                stamp: u64::MAX,
                opens: None,
                makes: Some(id(4)),
                credential: Some(ByteBuf::from(vec![1, 2])),
                access: 2,
                request,
            };
            assert_eq!(decode_control::<Served>(&encode_control(&asked).unwrap()).unwrap(), asked);
        }
        assert_eq!(handle_number(&[1, 0, 0, 0, 0, 0, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9]), (2 << 56) | 1);
    }
}
