//! A link over a link: bytes of TLS below, what they carry above. It has no thread and no time of its own: what there is to do is
//! done by whoever reads, writes, flushes or waits.

use super::fault::Fault;
use super::verify::subject_of;
use crate::Moment;
use crate::frame::{Header, Kind, Refusal, control};
use crate::link::Link;
use crate::peer::{Peer, Role};
use daos_locks::Mutex;
use daos_types::Der;
use rustls::{Connection, IoState};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// Bytes that are read at once; and where as many came the last time.
const READ_LEN: usize = 16 << 10;
const READ_LEN_MAX: usize = 64 << 10;
/// Bytes that are encrypted before those before them are handed on: four records.
const UNSENT_MAX: usize = 64 << 10;
/// The first byte of a frame. No record of TLS begins like this.
const FRAME_BEGINS: u8 = b'D';

/// One end of a connection under TLS.
pub(super) struct TlsLink {
    below: Box<dyn Link>,
    is_server: bool,
    state: Mutex<State>,
}

struct State {
    tls: Connection,
    stage: Stage,
    /// Bytes that are decrypted and were not read.
    there: usize,
    /// Why nothing more comes of it.
    fault: Option<Fault>,
    /// Its first bytes were looked at.
    begun: bool,
    /// Nothing more will be written; that is said when all before has gone.
    finishing: bool,
    said_end: bool,
    peer: Peer,
}

/// What was read and was not looked at: as much as is read at once.
#[derive(Default)]
struct Stage {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Much came the last time.
    bulk: bool,
}

impl Stage {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for what comes next. It is empty.
    fn room(&mut self) -> &mut [u8] {
        let len = if self.bulk { READ_LEN_MAX } else { READ_LEN };
        (self.start, self.end) = (0, 0);
        if self.bytes.len() != len {
            self.bytes = vec![0; len];
        }
        &mut self.bytes
    }

    /// So many bytes came into the room.
    fn filled(&mut self, len: usize) {
        self.end = len.min(self.bytes.len());
        // More of it may be on its way.
        self.bulk = len >= READ_LEN;
    }

    /// Nothing came: it may be long until something does, and the room for much is not kept for that.
    fn idle(&mut self) {
        if self.bytes.len() > READ_LEN {
            self.bytes = Vec::new();
        }
    }

    fn there(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { below, is_server, .. } = self;
        f.debug_struct("TlsLink").field("below", below).field("is_server", is_server).finish_non_exhaustive()
    }
}

/// Where the records go.
struct Below<'l>(&'l dyn Link);

impl Write for Below<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What reading below brought.
enum Came {
    Bytes,
    Nothing,
}

impl TlsLink {
    pub(super) fn new(below: Box<dyn Link>, mut tls: Connection) -> Self {
        tls.set_buffer_limit(Some(UNSENT_MAX));
        let is_server = matches!(tls, Connection::Server(_));
        let state = State {
            tls,
            stage: Stage::default(),
            there: 0,
            fault: None,
            begun: false,
            finishing: false,
            said_end: false,
            peer: Peer::Plain,
        };
        Self { below, is_server, state: Mutex::new(state) }
    }

    /// Hands records on as far as there is room; whether all went.
    fn hand_on(&self, state: &mut State) -> io::Result<bool> {
        loop {
            if !state.tls.wants_write() {
                // What is to be said first goes behind the handshake.
                if !state.finishing || state.tls.is_handshaking() {
                    return Ok(true);
                }
                if !std::mem::replace(&mut state.said_end, true) {
                    state.tls.send_close_notify();
                    continue;
                }
                state.finishing = false;
                self.below.finish();
                return Ok(true);
            }
            match state.tls.write_tls(&mut Below(&*self.below)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// It is over: the other end is told why, as far as there is a word for it.
    fn fail(&self, state: &mut State, fault: Fault) -> io::Error {
        state.fault = Some(fault.clone());
        // Where the other end is not reached any more, it is over as well.
        if fault == Fault::PlainClient {
            let _ = self.below.write(&[IoSlice::new(&to_a_plain_client())]);
        } else {
            let _ = self.hand_on(state);
        }
        fault.into()
    }

    /// Reads once below; what came is looked at by [`TlsLink::digest`].
    fn draw(&self, state: &mut State) -> io::Result<Came> {
        let handshaking = state.tls.is_handshaking();
        // Answers of the handshake, and of keys that are changed. Where they do not go, what came is read all the same: it may say why.
        let _ = self.hand_on(state);
        match self.below.read(state.stage.room()) {
            Ok(0) if handshaking => Err(self.fail(state, Fault::Ended)),
            Ok(0) => {
                state.tls.read_tls(&mut io::empty())?;
                Ok(Came::Bytes)
            }
            Ok(len) => {
                state.stage.filled(len);
                if self.is_server && !state.begun && state.stage.there().first() == Some(&FRAME_BEGINS) {
                    return Err(self.fail(state, Fault::PlainClient));
                }
                state.begun = true;
                Ok(Came::Bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.stage.idle();
                Ok(Came::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && handshaking => {
                Err(self.fail(state, Fault::Ended))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks at what was read, up to bytes for those above.
    fn digest(&self, state: &mut State) -> io::Result<()> {
        while state.there == 0 && !state.stage.is_empty() {
            let State { tls, stage, .. } = state;
            let taken = tls.read_tls(&mut stage.there())?;
            stage.start += taken;
            if taken == 0 {
                // Behind the end nothing counts.
                stage.start = stage.end;
            }
            let handshaking = tls.is_handshaking();
            match tls.process_new_packets() {
                Ok(io) => state.there = io.plaintext_bytes_to_read(),
                Err(error) => {
                    let fault = Fault::of(&error, self.is_server, handshaking);
                    return Err(self.fail(state, fault));
                }
            }
            if handshaking && !state.tls.is_handshaking() {
                state.peer = peer_of(&state.tls);
            }
        }
        Ok(())
    }

    /// Takes what is decrypted; `None` at the end of the stream.
    fn take(&self, state: &mut State, into: &mut [u8]) -> io::Result<Option<usize>> {
        match state.tls.reader().read(into) {
            Ok(0) => Ok(None),
            Ok(len) => {
                state.there = state.there.saturating_sub(len);
                Ok(Some(len))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.fail(state, Fault::Cut)),
            Err(error) => Err(error),
        }
    }

    fn try_read(&self, state: &mut State, into: &mut [u8], filled: &mut usize) -> io::Result<()> {
        loop {
            while let Some(rest) = into.get_mut(*filled..).filter(|rest| !rest.is_empty()) {
                match self.take(state, rest) {
                    Ok(None) => return Ok(()),
                    Ok(Some(len)) => *filled += len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if *filled == into.len() {
                return Ok(());
            }
            if state.stage.is_empty() {
                if *filled > 0 {
                    return Ok(());
                }
                match self.draw(state)? {
                    Came::Bytes => {}
                    Came::Nothing => return Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            self.digest(state)?;
        }
    }
}

/// Who is at the other end, once that is agreed on.
fn peer_of(tls: &Connection) -> Peer {
    let certificate = tls.peer_certificates().and_then(|chain| chain.first());
    // It was checked when it came; that it is read once more is cheap.
    let subject = certificate.and_then(|certificate| subject_of(certificate, &Role::ALL).ok());
    subject.map_or(Peer::Anonymous, |subject| Peer::Certified(Arc::new(subject)))
}

/// What a client hears that begins with a frame where TLS is spoken: a goodbye that it understands.
fn to_a_plain_client() -> Vec<u8> {
    let why = Refusal::before(Der::NoCert, "this server speaks TLS alone")
        .hint("configure the CA's certificate, and a certificate of one's own where one is asked for");
    control(Header::new(Kind::Goodbye), &why.encode())
}

impl Link for TlsLink {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let mut filled = 0;
        let result = match state.fault.clone() {
            Some(fault) => Err(fault.into()),
            None => self.try_read(&mut state, into, &mut filled),
        };
        // What came before an error is handed out first; the error comes again.
        if filled > 0 { Ok(filled) } else { result.map(|()| 0) }
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if let Some(fault) = state.fault.clone() {
            return Err(fault.into());
        }
        if !self.hand_on(&mut state)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Before the handshake is over it takes some, and keeps it until then.
        let taken = state.tls.writer().write_vectored(parts)?;
        if taken == 0 && parts.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // They are taken, whatever becomes of them: an error comes again at the next call.
        let _ = self.hand_on(&mut state);
        Ok(taken)
    }

    fn flush(&self) -> io::Result<usize> {
        let mut state = self.state.lock();
        if let Some(fault) = state.fault.clone() {
            return Err(fault.into());
        }
        if self.hand_on(&mut state)? {
            return Ok(0);
        }
        let unsent = state.tls.process_new_packets().map_or(1, |io: IoState| io.tls_bytes_to_write());
        Ok(unsent.max(1))
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        let (ready, unsent, handshaking) = {
            let state = self.state.lock();
            let ready = state.there > 0 || !state.stage.is_empty() || state.fault.is_some();
            (readable && ready, state.tls.wants_write(), state.tls.is_handshaking())
        };
        if ready {
            return Ok(());
        }
        // Until the handshake is over, room below is none for who writes: what comes makes it.
        self.below.wait(readable || handshaking, unsent || writable && !handshaking, until)?;
        let mut state = self.state.lock();
        if unsent {
            // An error comes again where it can be told: to who reads or writes.
            let _ = self.hand_on(&mut state);
        }
        if handshaking && !readable && state.fault.is_none() {
            if state.stage.is_empty() {
                self.draw(&mut state)?;
            }
            self.digest(&mut state)?;
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        self.below.now()
    }

    fn finish(&self) {
        if !self.is_own() {
            return;
        }
        let mut state = self.state.lock();
        if state.fault.is_some() {
            self.below.finish();
            return;
        }
        state.finishing = true;
        // What does not go now goes with the next flush.
        let _ = self.hand_on(&mut state);
    }

    fn close(&self) {
        // Before any lock: in a child that was forked nobody may be there to let go of it.
        if !self.is_own() {
            return;
        }
        let mut state = self.state.lock();
        if state.fault.is_none() {
            // As far as there is room: the other end would take it for a cut otherwise.
            state.said_end = true;
            state.tls.send_close_notify();
            let _ = self.hand_on(&mut state);
        }
        self.below.close();
    }

    fn is_own(&self) -> bool {
        self.below.is_own()
    }

    fn peer(&self) -> Peer {
        self.state.lock().peer.clone()
    }
}
