//! From bytes to the heads of frames, piece by piece. Payloads go past it, to where they belong.

use crate::frame::{FrameError, HEAD_LEN_MAX, HEADER_LEN, Head, Header};

/// Bytes that are read at once where nothing longer is under way.
const READ_LEN: usize = 16 << 10;

/// What came and is not yet understood. Never more than one head and what was read with it.
#[derive(Debug, Default)]
pub struct Intake {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The header of the frame that is coming.
    header: Option<Header>,
    /// Bytes of payloads that nobody wants any more.
    skip: u64,
}

impl Intake {
    fn there(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Room for what comes next; [`Intake::filled`] tells how much of it came.
    pub fn room(&mut self) -> &mut [u8] {
        let there = self.there().len();
        let wanted = HEADER_LEN + self.header.map_or(0, |header| header.rest_len());
        let len = wanted.max(there + 1).clamp(READ_LEN, HEAD_LEN_MAX + READ_LEN);
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, there);
        }
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        self.buffer.get_mut(there..).unwrap_or_default()
    }

    /// So many bytes came into the room.
    pub fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.buffer.len());
    }

    /// Takes bytes of a payload that came with the head; how many.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.end - self.start);
        if let (Some(into), Some(from)) = (into.get_mut(..len), self.buffer.get(self.start..self.start + len))
        {
            into.copy_from_slice(from);
        }
        self.advance(len);
        len
    }

    /// Throws away so many bytes of payloads, those that are here and those to come.
    pub fn skip(&mut self, len: u64) {
        self.skip = self.skip.saturating_add(len);
        let here = self.there().len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.advance(here);
        self.skip -= here as u64;
    }

    fn advance(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // A long head is rare: its room is not kept.
            if self.buffer.len() > READ_LEN {
                self.buffer.truncate(READ_LEN);
                self.buffer.shrink_to_fit();
            }
        }
    }

    /// Whether a part of a frame came and the rest did not.
    pub fn is_inside(&self) -> bool {
        self.start < self.end || self.skip > 0
    }

    /// The next head, as soon as all of it is there. Its payloads have to be taken, or skipped, before the one after it.
    pub fn next_head(&mut self) -> Result<Option<Head>, FrameError> {
        if self.skip > 0 {
            self.skip(0);
        }
        if self.skip > 0 {
            return Ok(None);
        }
        let header = match self.header {
            Some(header) => header,
            None => match self.there().first_chunk::<HEADER_LEN>() {
                Some(bytes) => *self.header.insert(Header::decode(bytes)?),
                // What is not ours shows as early as it can, and not only when 64 bytes of it came.
                None if !b"DAOF".iter().zip(self.there()).all(|(ours, theirs)| ours == theirs) => {
                    return Err(FrameError::Foreign { what: "it does not begin as one" });
                }
                None => return Ok(None),
            },
        };
        let len = HEADER_LEN + header.rest_len();
        let Some(rest) = self.there().get(HEADER_LEN..len) else { return Ok(None) };
        let head = Head::decode(header, rest)?;
        self.header = None;
        self.advance(len);
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Kind, Payload, frame};
    use daos_codec::crc32c;

    fn request(id: u64) -> Header {
        Header { opcode: 1, timeout_us: 5, request: id, ..Header::new(Kind::Request) }
    }

    /// Bytes of three frames: with payloads, with a body that is one, without anything.
    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        let long = vec![9; crate::limits::INLINE_LEN_MAX + 1];
        for (id, body, payloads) in
            [(1, &b"body"[..], vec![&b"first"[..], b"second"]), (2, &long, vec![&b"x"[..]]), (3, b"", vec![])]
        {
            let payloads: Vec<_> = payloads.into_iter().map(Payload::new).collect();
            let (head, payloads) = frame(request(id), body, &payloads).unwrap();
            bytes.extend(head);
            bytes.extend(payloads.concat());
        }
        bytes
    }

    /// Reads a stream that comes in pieces of a length: of each frame id, body and payloads, of the frame `skipped` no payloads.
    fn read(bytes: &[u8], piece: usize, skipped: u64) -> Vec<(u64, Vec<u8>, Vec<Vec<u8>>)> {
        let (mut intake, mut frames, mut missing) = (Intake::default(), Vec::new(), 0);
        let mut partly: Option<(Head, Vec<Vec<u8>>)> = None;
        for piece in bytes.chunks(piece) {
            let mut piece = piece;
            while !piece.is_empty() {
                let room = intake.room();
                let len = room.len().min(piece.len());
                room[..len].copy_from_slice(&piece[..len]);
                intake.filled(len);
                piece = &piece[len..];
                loop {
                    if let Some((head, mut payloads)) = partly.take() {
                        for (payload, place) in payloads.iter_mut().zip(&head.places) {
                            let mut rest = vec![0; place.len as usize - payload.len()];
                            let taken = intake.take(&mut rest);
                            payload.extend_from_slice(&rest[..taken]);
                        }
                        missing =
                            head.payload_bytes() - payloads.iter().map(|one| one.len() as u64).sum::<u64>();
                        if missing > 0 {
                            partly = Some((head, payloads));
                            break;
                        }
                        head.places
                            .iter()
                            .zip(&payloads)
                            .for_each(|(place, bytes)| place.check_sum(crc32c(bytes)).unwrap());
                        frames.push((head.header.request, head.body, payloads));
                    }
                    let Some(head) = intake.next_head().unwrap() else { break };
                    if head.header.request == skipped {
                        intake.skip(head.payload_bytes());
                        frames.push((skipped, head.body, vec![]));
                    } else {
                        let payloads = vec![Vec::new(); head.places.len()];
                        partly = Some((head, payloads));
                    }
                }
            }
        }
        assert!(missing == 0 && !intake.is_inside());
        frames
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let bytes = stream();
        let whole = read(&bytes, bytes.len(), 0);
        assert_eq!(whole[0], (1, b"body".to_vec(), vec![b"first".to_vec(), b"second".to_vec()]));
        assert_eq!(whole[1].2, [vec![9; crate::limits::INLINE_LEN_MAX + 1], b"x".to_vec()]);
        assert_eq!(whole[2], (3, vec![], vec![]));
        for piece in [1, 7, 64, 4096] {
            assert_eq!(read(&bytes, piece, 0), whole, "{piece}");
            let skipped = read(&bytes, piece, 2);
            assert_eq!((&skipped[0], &skipped[2]), (&whole[0], &whole[2]), "{piece}");
        }
    }

    #[test]
    fn what_is_foreign_shows_at_its_first_bytes() {
        let mut intake = Intake::default();
        intake.room()[..4].copy_from_slice(b"GET ");
        intake.filled(4);
        assert!(intake.next_head().unwrap_err().is_foreign());
        let mut intake = Intake::default();
        intake.room()[..3].copy_from_slice(b"DAO");
        intake.filled(3);
        assert_eq!(intake.next_head(), Ok(None));
        assert!(intake.is_inside());
    }

    #[test]
    fn a_head_holds_no_more_than_the_longest() {
        let payload = [1; 3];
        let payloads = vec![Payload::new(&payload); crate::limits::PAYLOADS_MAX];
        let body = vec![5; crate::limits::INLINE_LEN_MAX];
        let (head, _) = frame(request(1), &body, &payloads).unwrap();
        assert_eq!(head.len(), HEAD_LEN_MAX);
        let mut intake = Intake::default();
        for piece in head.chunks(1000) {
            assert_eq!(intake.next_head(), Ok(None));
            intake.room()[..piece.len()].copy_from_slice(piece);
            intake.filled(piece.len());
            assert!(intake.buffer.len() <= HEAD_LEN_MAX + READ_LEN);
        }
        assert_eq!(intake.next_head().unwrap().unwrap().body, body);
        assert!(intake.buffer.len() <= READ_LEN, "its room is given back");
    }
}
