//! Frames that carry no request: windows, pings, cancels.

use super::{FrameError, Header, fields::Fields, frame};
use crate::limits::INLINE_LEN_MAX;

/// What a client may have under way on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Requests.
    pub requests: u32,
    /// Bytes: what requests bring, and what their replies may have.
    pub bytes: u64,
}

impl Window {
    /// It must let one request and the largest frame through.
    pub(super) fn check(&self, frame_bytes: u32) -> Result<(), FrameError> {
        if self.requests == 0 || self.bytes < u64::from(frame_bytes) + INLINE_LEN_MAX as u64 {
            return Err(FrameError::Malformed { what: "a window that lets nothing through" });
        }
        Ok(())
    }

    /// The body of a credit frame.
    pub fn encode(&self, serial: u32) -> Vec<u8> {
        let mut to = 1_u16.to_le_bytes().to_vec();
        to.extend_from_slice(&[0; 2]);
        for number in [serial, self.requests, 0] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.bytes.to_le_bytes());
        to
    }

    /// Serial and window of a credit frame's body, of a server that takes such frames.
    pub fn decode(bytes: &[u8], frame_bytes: u32) -> Result<(u32, Self), FrameError> {
        let mut from = Fields(bytes);
        from.version()?;
        from.zeros::<2>()?;
        let (serial, requests) = (from.u32()?, from.u32()?);
        from.zeros::<4>()?;
        let window = Self { requests, bytes: from.u64()? };
        from.end()?;
        if serial == 0 {
            return Err(FrameError::Malformed { what: "a window without a serial" });
        }
        window.check(frame_bytes)?;
        Ok((serial, window))
    }
}

/// The bytes of a frame without payloads, whose body is short.
pub fn control(header: Header, body: &[u8]) -> Vec<u8> {
    frame(header, body, &[]).map(|(head, _)| head).unwrap_or_default()
}
