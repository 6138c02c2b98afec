//! Requests of transactions: the first one, which begins it, and changes that waited for one request.

use crate::decoder::Decoder;
use crate::encoder::{Encoded, Encoder};
use crate::limits::{TX_CHANGES_BYTES_MAX, TX_CHANGES_MAX};
use crate::{Opcode, WireError};

/// Bytes of the shortest change.
const CHANGE_LEN_MIN: usize = 10;

/// The first request of a transaction of the handle's container: it begins that and is answered as any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxFirst<'a> {
    /// The handle that the transaction will have: the client draws it, and nobody else can guess it.
    pub number: u64,
    /// What is asked.
    pub opcode: Opcode,
    /// The body of that. Its payloads are those of the message.
    pub body: &'a [u8],
}

impl<'a> TxFirst<'a> {
    /// A message as the first one of a transaction.
    pub fn encode<'p>(number: u64, opcode: Opcode, message: &Encoded<'p>) -> Result<Encoded<'p>, WireError> {
        let mut to = Encoder::new();
        to.u64(number);
        to.u16(opcode as u16);
        to.rest(&message.body);
        Ok(Encoded { payloads: message.payloads.clone(), ..to.finish()? })
    }

    /// What a body says; what its inner one says is not looked at.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Decoder::<&[u8]>::new(body, &[])?;
        let (number, opcode) = (from.u64()?, from.u16()?);
        match Opcode::from_number(opcode) {
            Some(opcode) if !opcode.is_of_transactions() => Ok(Self { number, opcode, body: from.rest() }),
            _ => Err(from.wrong("not a request that is part of a transaction")),
        }
    }
}

/// Changes of a transaction in their order; with the last ones it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxChanges<'a> {
    /// Of a transaction that this begins, as [`TxFirst::number`]; 0 where the handle is the transaction.
    pub number: u64,
    /// It commits.
    pub commits: bool,
    /// The changes, none of which has payloads.
    pub changes: Vec<TxChange<'a>>,
}

/// One change of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxChange<'a> {
    /// The target at the place that is asked.
    pub target: u32,
    /// [`Opcode::Update`] or [`Opcode::Punch`].
    pub opcode: Opcode,
    /// The body of that.
    pub body: &'a [u8],
}

impl<'a> TxChanges<'a> {
    /// Its message.
    pub fn encode(&self) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.u64(self.number);
        to.bool(self.commits);
        to.list(&self.changes, |to, change| {
            to.u32(change.target);
            to.u16(change.opcode as u16);
            to.bytes(change.body);
        });
        to.finish()
    }

    /// What a message says; what the bodies of the changes say is not looked at.
    pub fn decode(body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (number, commits) = (from.u64()?, from.bool()?);
        let mut bytes = 0;
        let changes = from.list(CHANGE_LEN_MIN, |from| {
            let (target, opcode, body) = (from.u32()?, from.u16()?, from.bytes()?);
            bytes += body.len();
            match Opcode::from_number(opcode) {
                Some(opcode @ (Opcode::Update | Opcode::Punch)) => Ok(TxChange { target, opcode, body }),
                _ => Err(from.wrong("neither an update (1) nor a punch (5)")),
            }
        })?;
        from.end()?;
        let bound =
            |what, len, max| if len > max { Err(WireError::TooLong { what, len, max }) } else { Ok(()) };
        bound("changes of one request", changes.len(), TX_CHANGES_MAX)?;
        bound("bytes of the changes of one request", bytes, TX_CHANGES_BYTES_MAX)?;
        Ok(Self { number, commits, changes })
    }
}
