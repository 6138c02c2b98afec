//! The operations of a transaction, kept with what they were answered so that they can be run again.

use daos_types::{
    AkeyQuery, ArrayFetch, Checksums, Cond, Der, Epoch, Extent, FetchIod, FetchValue, Iod, IodSums, IodValue,
    KeyFound, KeyQuery, Punched, ValueSink, Version,
};
use daos_vos::{KeysOf, ListRange, ObjectRef, Seen, ShardNum, Staged, Trace, Tx, View, VosError};
use daos_wire::ShardRef;

/// What an operation was answered: a digest of a read, 0 for a change, the number of a refusal.
pub(super) type Answer = Result<u128, Der>;

/// An operation, on which target, and what it was answered.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) target: usize,
    pub(super) of: ShardRef,
    pub(super) asked: Asked,
    pub(super) answer: Answer,
}

/// What was asked; the words are those of the requests.
#[derive(Debug)]
pub(super) enum Asked {
    Update { minor: u16, dkey: Vec<u8>, iods: Vec<OwnedIod>, cond: Cond, staged: Option<Staged> },
    Punch { minor: u16, what: OwnedPunched, cond: Cond },
    Fetch { dkey: Vec<u8>, iods: Vec<OwnedFetch>, cond: Cond },
    List { dkey: Option<Vec<u8>>, from: Option<Vec<u8>>, to: Option<Vec<u8>>, reverse: bool },
    Query { greatest: bool, dkey: Option<Vec<u8>>, akey: OwnedAkey, recx: bool },
}

#[derive(Debug)]
pub(super) struct OwnedIod {
    akey: Vec<u8>,
    cond: Cond,
    value: OwnedValue,
    summed_by: Checksums,
    sums: Vec<u8>,
}

#[derive(Debug)]
enum OwnedValue {
    Single(Vec<u8>),
    NoSingle,
    Array { rec_size: u64, recxs: Vec<Extent>, data: Vec<u8> },
    Holes(Vec<Extent>),
}

#[derive(Debug)]
pub(super) enum OwnedPunched {
    Object,
    Dkey(Vec<u8>),
    Akeys(Vec<u8>, Vec<Vec<u8>>),
}

/// An akey that was read, and which records with which size of its array.
#[derive(Debug)]
pub(super) struct OwnedFetch {
    akey: Vec<u8>,
    array: Option<(u64, Vec<Extent>)>,
}

#[derive(Debug)]
pub(super) enum OwnedAkey {
    None,
    Extreme,
    Given(Vec<u8>),
}

impl OwnedIod {
    pub(super) fn all(iods: &[Iod<'_>]) -> Vec<Self> {
        let own = |iod: &Iod<'_>| Self {
            akey: iod.akey.to_vec(),
            cond: iod.cond,
            summed_by: iod.sums.by,
            sums: iod.sums.bytes.to_vec(),
            value: match iod.value {
                IodValue::Single(value) => OwnedValue::Single(value.to_vec()),
                IodValue::NoSingle => OwnedValue::NoSingle,
                IodValue::Array { rec_size, recxs, data } => {
                    OwnedValue::Array { rec_size, recxs: recxs.to_vec(), data: data.to_vec() }
                }
                IodValue::Holes(recxs) => OwnedValue::Holes(recxs.to_vec()),
            },
        };
        iods.iter().map(own).collect()
    }

    fn len(&self) -> usize {
        let value = match &self.value {
            OwnedValue::Single(value) => value.len(),
            OwnedValue::NoSingle => 0,
            OwnedValue::Array { recxs, data, .. } => data.len() + size_of_val(recxs.as_slice()),
            OwnedValue::Holes(recxs) => size_of_val(recxs.as_slice()),
        };
        size_of::<Self>() + self.akey.len() + self.sums.len() + value
    }

    pub(super) fn lend(&self) -> Iod<'_> {
        let value = match &self.value {
            OwnedValue::Single(value) => IodValue::Single(value),
            OwnedValue::NoSingle => IodValue::NoSingle,
            OwnedValue::Array { rec_size, recxs, data } => {
                IodValue::Array { rec_size: *rec_size, recxs, data }
            }
            OwnedValue::Holes(recxs) => IodValue::Holes(recxs),
        };
        let sums = IodSums::new(self.summed_by, &self.sums);
        Iod { akey: &self.akey, cond: self.cond, value, sums }
    }
}

impl OwnedPunched {
    pub(super) fn of(what: Punched<'_>) -> Self {
        match what {
            Punched::Object => Self::Object,
            Punched::Dkey(dkey) => Self::Dkey(dkey.to_vec()),
            Punched::Akeys(dkey, akeys) => {
                Self::Akeys(dkey.to_vec(), akeys.iter().map(|akey| akey.to_vec()).collect())
            }
        }
    }
}

impl OwnedFetch {
    pub(super) fn all(iods: &[FetchIod<'_>]) -> Vec<Self> {
        let own = |iod: &FetchIod<'_>| Self {
            akey: iod.akey.to_vec(),
            array: match &iod.value {
                FetchValue::Single(_) => None,
                FetchValue::Array(fetch) => Some((fetch.rec_size, fetch.recxs.to_vec())),
            },
        };
        iods.iter().map(own).collect()
    }

    /// Whether what was answered is the array that was asked for, or no array was.
    pub(super) fn is_there(&self, answered: &FetchValue<'_>) -> bool {
        match (&self.array, answered) {
            (Some((rec_size, _)), FetchValue::Array(fetch)) => *rec_size > 0 && fetch.rec_size == *rec_size,
            (None, _) => true,
            _ => false,
        }
    }
}

/// Where values go that nobody wants.
#[derive(Debug)]
struct Nowhere;

impl ValueSink for Nowhere {
    fn put(&mut self, _: &[u8]) {}

    fn room(&mut self, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn last(&self, _: usize) -> Option<&[u8]> {
        None
    }
}

impl Asked {
    pub(super) fn query(what: KeyQuery<'_>) -> Self {
        let akey = match what.akey {
            AkeyQuery::None => OwnedAkey::None,
            AkeyQuery::Extreme => OwnedAkey::Extreme,
            AkeyQuery::Given(akey) => OwnedAkey::Given(akey.to_vec()),
        };
        let dkey = what.dkey.map(<[u8]>::to_vec);
        Self::Query { greatest: what.greatest, dkey, akey, recx: what.recx }
    }

    /// Whether it changes something, if it is not refused.
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Self::Update { .. } | Self::Punch { .. })
    }

    /// Whether it reads the very records that are put there.
    pub(super) fn is_of(&self, of: &[u8], put: &[u8], value: IodValue<'_>) -> bool {
        let (Self::Fetch { dkey, iods, .. }, IodValue::Array { rec_size, recxs, data }) = (self, value)
        else {
            return false;
        };
        let bytes: u64 = recxs.iter().map(|recx| recx.count * rec_size).sum();
        let is_it = |iod: &OwnedFetch| {
            iod.akey == put
                && iod.array.as_ref().is_some_and(|(size, read)| *size == rec_size && read == recxs)
        };
        dkey == of && data.len() as u64 == bytes && iods.iter().any(is_it)
    }

    /// Bytes that it keeps, about.
    pub(super) fn len(&self) -> usize {
        let maybe = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let own = match self {
            Self::Fetch { dkey, iods, .. } => {
                let recxs = |iod: &OwnedFetch| iod.array.as_ref().map_or(0, |(_, recxs)| recxs.len());
                let each = |iod: &OwnedFetch| iod.akey.len() + size_of::<Extent>() * recxs(iod);
                dkey.len() + iods.iter().map(each).sum::<usize>()
            }
            Self::List { dkey, from, to, .. } => maybe(dkey) + maybe(from) + maybe(to),
            Self::Query { dkey, .. } => maybe(dkey),
            Self::Update { dkey, iods, .. } => dkey.len() + iods.iter().map(OwnedIod::len).sum::<usize>(),
            Self::Punch { what, .. } => match what {
                OwnedPunched::Object => 0,
                OwnedPunched::Dkey(dkey) => dkey.len(),
                OwnedPunched::Akeys(dkey, akeys) => dkey.len() + akeys.iter().map(Vec::len).sum::<usize>(),
            },
        };
        size_of::<Step>() + own
    }

    /// Runs it again, as part of a transaction at an epoch. Answers how it was answered; fails where it could not be run.
    pub(super) fn run(
        &self,
        tx: &mut Tx<'_>,
        shard: ShardNum,
        of: ObjectRef,
        epoch: Epoch,
    ) -> Result<Answer, VosError> {
        match self {
            Self::Update { minor, dkey, iods, cond, staged } => {
                let iods: Vec<Iod<'_>> = iods.iter().map(OwnedIod::lend).collect();
                let version = Version::new(epoch, *minor);
                answer(tx.update_staged(shard, of, version, dkey, &iods, *cond, staged.as_ref()), |()| 0)
            }
            Self::Punch { minor, what, cond } => {
                let version = Version::new(epoch, *minor);
                let punched = match what {
                    OwnedPunched::Object => tx.punch(shard, of, version, Punched::Object, *cond),
                    OwnedPunched::Dkey(dkey) => tx.punch(shard, of, version, Punched::Dkey(dkey), *cond),
                    OwnedPunched::Akeys(dkey, akeys) => {
                        let akeys: Vec<&[u8]> = akeys.iter().map(Vec::as_slice).collect();
                        tx.punch(shard, of, version, Punched::Akeys(dkey, &akeys), *cond)
                    }
                };
                answer(punched, |()| 0)
            }
            read => {
                let view = tx.view(shard)?;
                let (seen, answer) = read.look(&view, of, epoch);
                tx.depend_on(seen);
                answer
            }
        }
    }

    /// Runs a read again.
    fn look(&self, view: &View, of: ObjectRef, epoch: Epoch) -> (Seen, Result<Answer, VosError>) {
        let at = Version::read_at(epoch);
        match self {
            Self::Fetch { dkey, iods, cond } => {
                let mut sinks: Vec<Nowhere> = iods.iter().map(|_| Nowhere).collect();
                let mut fetches: Vec<FetchIod<'_>> = iods
                    .iter()
                    .zip(&mut sinks)
                    .map(|(iod, sink)| {
                        let value = match &iod.array {
                            None => FetchValue::Single(sink),
                            Some((rec_size, recxs)) => {
                                FetchValue::Array(ArrayFetch::new(recxs, &mut [], *rec_size))
                            }
                        };
                        FetchIod::new(&iod.akey, value)
                    })
                    .collect();
                let mut trace = Trace::probe(epoch);
                let (seen, read) = view.fetch_traced(of, dkey, &mut fetches, at, *cond, Some(&mut trace));
                (seen, answer(read, |()| trace.finish()))
            }
            Self::List { dkey, from, to, reverse } => {
                let what = dkey.as_deref().map_or(KeysOf::Object, KeysOf::Dkey);
                let (mut seen, mut trace) = (Seen::default(), Trace::probe(epoch));
                let mut from = from.clone();
                loop {
                    let range = ListRange {
                        from: from.as_deref(),
                        to: to.as_deref(),
                        reverse: *reverse,
                        ..ListRange::ALL
                    };
                    let (more, page) = view.list(of, what, at, range);
                    seen = seen.and(more);
                    let page = match page {
                        Ok(page) => page,
                        Err(error) => return (seen, answer(Err(error), |()| 0)),
                    };
                    page.keys.iter().for_each(|key| trace.bytes(key));
                    from = page.next;
                    if from.is_none() {
                        return (seen, Ok(Ok(trace.finish())));
                    }
                }
            }
            Self::Query { greatest, dkey, akey, recx } => {
                let akey = match akey {
                    OwnedAkey::None => AkeyQuery::None,
                    OwnedAkey::Extreme => AkeyQuery::Extreme,
                    OwnedAkey::Given(akey) => AkeyQuery::Given(akey),
                };
                let what = KeyQuery { greatest: *greatest, dkey: dkey.as_deref(), akey, recx: *recx };
                let (seen, found) = view.query_key(of, what, at);
                (seen, answer(found, |found| digest(*found, *greatest)))
            }
            Self::Update { .. } | Self::Punch { .. } => (Seen::default(), Ok(Ok(0))),
        }
    }
}

/// How an operation was answered. A failure that is no answer stays one: it says nothing about what is stored.
pub(super) fn answer<T>(
    result: Result<T, VosError>,
    digest: impl FnOnce(&T) -> u128,
) -> Result<Answer, VosError> {
    match result {
        Ok(value) => Ok(Ok(digest(&value))),
        Err(error) if is_refusal(&error) => Ok(Err(error.der())),
        Err(error) => Err(error),
    }
}

/// Whether an error follows from the request and what is stored, and from nothing else.
pub(super) fn is_refusal(error: &VosError) -> bool {
    matches!(
        error,
        VosError::KeyShape { .. }
            | VosError::KeyTooLong { .. }
            | VosError::ValueTooLong { .. }
            | VosError::Invalid { .. }
            | VosError::OtherKind { .. }
            | VosError::Exists { .. }
            | VosError::NotFound { .. }
    )
}

/// A digest of what a query found. Of the extent only its extreme end means something.
pub(super) fn digest(found: Option<KeyFound>, greatest: bool) -> u128 {
    let mut trace = Trace::new(Epoch::ZERO);
    if let Some(KeyFound { dkey, akey, recx, rec_size }) = found {
        let end = recx.map(|recx| if greatest { recx.end() } else { recx.index });
        for part in [dkey, akey, end, Some(rec_size)] {
            trace.number(u64::from(part.is_some()));
            trace.number(part.unwrap_or_default());
        }
    }
    trace.finish()
}
