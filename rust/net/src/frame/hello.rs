//! The first words of a connection.

use super::{FrameError, fields::Fields};
use crate::limits::{Limits, SYSTEM_NAME_LEN_MAX};
use daos_types::Rank;
use std::fmt;

/// Any rank will do.
pub const ANY_RANK: u32 = u32::MAX;
/// Any incarnation will do.
pub const ANY_INCARNATION: u64 = 0;

/// Whose changes they are, over all connections of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The least and the greatest version of the format that it understands.
    pub versions: (u8, u8),
    /// The rank that it means to talk to; `None` for any.
    pub rank: Option<Rank>,
    /// The incarnation of it, 0 for any.
    pub incarnation: u64,
    /// Whose changes will come.
    pub session: SessionId,
    /// Bytes of payloads of one frame that it takes.
    pub frame_bytes: u32,
    /// Requests that it would have under way at once.
    pub requests: u32,
    /// Milliseconds without a request after which it will leave.
    pub idle_ms: u32,
    /// The system that it means to talk to.
    pub system: String,
}

/// Checks a system's name.
pub fn check_system_name(name: &str) -> Result<(), FrameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=SYSTEM_NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let what = "a system's name that is not 1 to 15 letters, digits, '-', '_', '.'";
    Err(FrameError::Malformed { what })
}

impl Hello {
    /// That of one who asks any server of a system, and allows himself so much.
    pub fn of_asker(system: &str, session: SessionId, limits: &Limits) -> Self {
        Self {
            versions: (1, 1),
            rank: None,
            incarnation: ANY_INCARNATION,
            session,
            frame_bytes: limits.frame_bytes,
            requests: limits.window_requests,
            idle_ms: limits.idle_ms,
            system: system.to_owned(),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = 1_u16.to_le_bytes().to_vec();
        to.extend_from_slice(&[self.versions.0, self.versions.1]);
        to.extend_from_slice(&self.rank.map_or(ANY_RANK, |rank| rank.0).to_le_bytes());
        to.extend_from_slice(&self.incarnation.to_le_bytes());
        to.extend_from_slice(&self.session.0);
        for number in [self.frame_bytes, self.requests, self.idle_ms] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&[0; 20]);
        to.extend_from_slice(&(self.system.len() as u16).to_le_bytes());
        to.extend_from_slice(self.system.as_bytes());
        to
    }

    /// The hello of its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut from = Fields(bytes);
        from.version()?;
        let versions = (from.u8()?, from.u8()?);
        if versions.0 == 0 || versions.0 > versions.1 {
            return Err(FrameError::Malformed { what: "versions from none, or in the wrong order" });
        }
        let rank = Some(from.u32()?).filter(|rank| *rank != ANY_RANK).map(Rank);
        let (incarnation, session) = (from.u64()?, SessionId(from.array()?));
        let (frame_bytes, requests, idle_ms) = (from.u32()?, from.u32()?, from.u32()?);
        from.zeros::<20>()?;
        let len = usize::from(from.u16()?);
        let system = from.text(len, SYSTEM_NAME_LEN_MAX)?.to_owned();
        check_system_name(&system)?;
        from.end()?;
        if requests == 0 {
            return Err(FrameError::Malformed { what: "a client without requests" });
        }
        Ok(Self { versions, rank, incarnation, session, frame_bytes, requests, idle_ms, system })
    }
}

/// What a server answers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The version of the format from here on.
    pub version: u8,
    /// Who it is.
    pub rank: Rank,
    /// Since when it is that, at least 1.
    pub incarnation: u64,
    /// What the client may have under way.
    pub window: super::Window,
    /// Bytes of payloads of one frame that it takes.
    pub frame_bytes: u32,
    /// Milliseconds without a request after which it leaves.
    pub idle_ms: u32,
}

impl Welcome {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = 1_u16.to_le_bytes().to_vec();
        to.extend_from_slice(&[self.version, 0]);
        to.extend_from_slice(&self.rank.0.to_le_bytes());
        to.extend_from_slice(&self.incarnation.to_le_bytes());
        to.extend_from_slice(&self.window.requests.to_le_bytes());
        to.extend_from_slice(&self.window.bytes.to_le_bytes());
        to.extend_from_slice(&self.frame_bytes.to_le_bytes());
        to.extend_from_slice(&self.idle_ms.to_le_bytes());
        to.extend_from_slice(&[0; 28]);
        to
    }

    /// The welcome of its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut from = Fields(bytes);
        from.version()?;
        let version = from.u8()?;
        from.zeros::<1>()?;
        let (rank, incarnation) = (Rank(from.u32()?), from.u64()?);
        let window = super::Window { requests: from.u32()?, bytes: from.u64()? };
        let (frame_bytes, idle_ms) = (from.u32()?, from.u32()?);
        from.zeros::<28>()?;
        from.end()?;
        if version == 0 || rank.0 == ANY_RANK || incarnation == ANY_INCARNATION {
            return Err(FrameError::Malformed { what: "a server that does not say who it is" });
        }
        window.check(frame_bytes)?;
        Ok(Self { version, rank, incarnation, window, frame_bytes, idle_ms })
    }
}
