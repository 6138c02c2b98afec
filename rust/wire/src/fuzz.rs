//! Fuzzers of the messages. An input is a message with its payloads behind it: a count of payloads, their lengths, they, the body.

use crate::samples::{self, Owned};
use crate::*;
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::Durability;

#[global_allocator]
static METER: Meter = Meter;

const SAFE: Durability = Durability::Synced;

fn joined(message: &Owned) -> Vec<u8> {
    let mut bytes = vec![message.payloads.len() as u8];
    for payload in &message.payloads {
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes.extend_from_slice(&message.body);
    bytes
}

fn split(mut bytes: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let count = take(&mut bytes, 1)?[0];
    let payloads = (0..count).map(|_| {
        let len = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        take(&mut bytes, len as usize)
    });
    let payloads = payloads.collect::<Option<_>>()?;
    Some((bytes, payloads))
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// What decodes is encoded again, to the same bytes: one content has one form.
fn run(name: &str, corpus: &[Owned], again: impl Fn(&[u8], &[&[u8]]) -> Result<Owned, WireError>) {
    let corpus: Vec<_> = corpus.iter().map(joined).collect();
    fuzz(name, &corpus, &unsealed, |bytes| {
        let Some((body, payloads)) = split(bytes) else { return false };
        let Ok(decoded) = again(body, &payloads) else { return false };
        assert_eq!((&decoded.body[..], decoded.payloads()), (body, payloads));
        true
    });
}

#[test]
fn updates() {
    run("message update", &[samples::update(3), samples::update(4200)], |body, payloads| {
        let read = ReadUpdate::decode(SAFE, body, payloads)?;
        Ok(read.with(|update| Owned::of(update.encode())))
    });
}

#[test]
fn pairs() {
    run("message put pairs", &[samples::put_pairs(3), samples::put_pairs(4200)], |body, payloads| {
        Ok(Owned::of(ReadPutPairs::decode(SAFE, body, payloads)?.request().encode()))
    });
    run("message get values", &[samples::get_values()], |body, payloads| {
        Ok(Owned::of(ReadGetValues::decode(SAFE, body, payloads)?.request().encode()))
    });
    run("message values", &[Owned::of(samples::got_values().encode())], |body, payloads| {
        Ok(Owned::of(GotValues::decode(body, payloads)?.encode()))
    });
}

#[test]
fn fetches() {
    run("message fetch", &[samples::fetch()], |body, payloads| {
        let read = ReadFetch::decode(SAFE, body, payloads)?;
        // Buffers of any length may be asked for; no more is made than the server allows.
        let mut message = None;
        let served = read.serve(8 << 10, |fetch, iods| {
            message = Some(Owned::of(fetch.encode(iods)));
            Ok::<(), ()>(())
        });
        match (message, served) {
            (Some(message), _) => Ok(message),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => unreachable!("it was not called"),
        }
    });
}

#[test]
fn fetched() {
    let corpus = [samples::fetch_reply(5), samples::fetch_reply(5000)].map(|reply| joined(&reply));
    let (mut buffer, mut values) = (vec![0; samples::BUFFER], <[Vec<u8>; 2]>::default());
    fuzz("message fetched", &corpus, &unsealed, |bytes| {
        let Some((body, payloads)) = split(bytes) else { return false };
        values.iter_mut().for_each(Vec::clear);
        samples::with_iods(&mut buffer, &mut values, |iods| {
            let lens: Vec<_> = payloads.iter().map(|payload| payload.len()).collect();
            let Ok(read) = ReadFetchReply::decode(body, &lens, iods) else { return false };
            for (nth, payload) in payloads.iter().enumerate() {
                let rooms =
                    read.rooms(iods, nth).map(|rooms| rooms.iter().map(|room| room.len()).sum::<usize>());
                assert_eq!(rooms, Some(payload.len()), "a payload fills its rooms");
            }
            read.finish(iods, &mut []);
            true
        })
    });
}

#[test]
fn small_requests() {
    run("message punch", &samples::punches(), |body, payloads| {
        Ok(Owned::of(ReadPunch::decode(SAFE, body, payloads)?.request().encode()))
    });
    run("message query", &samples::queries(), |body, payloads| {
        Ok(Owned::of(Query::decode(SAFE, body, payloads)?.encode()))
    });
    run("message list", &[Owned::of(samples::list().encode())], |body, payloads| {
        Ok(Owned::of(List::decode(SAFE, body, payloads)?.encode()))
    });
    run("message objects", &[samples::objects()], |body, payloads| {
        Ok(Owned::of(ReadObjects::decode(SAFE, body, payloads)?.request().encode()))
    });
    run("message diff", &[samples::diff()], |body, payloads| {
        Ok(Owned::of(Diff::decode(SAFE, body, payloads)?.encode()))
    });
    run("message check", &[samples::check()], |body, payloads| {
        Ok(Owned::of(Check::decode(SAFE, body, payloads)?.encode()))
    });
    run("message count", &[samples::count()], |body, payloads| {
        Ok(Owned::of(Count::decode(SAFE, body, payloads)?.encode()))
    });
}

#[test]
fn transactions() {
    run("message transaction", &[samples::tx_first(3), samples::tx_first(4200)], |body, payloads| {
        let TxFirst { number, opcode, body } = TxFirst::decode(body)?;
        let payloads = payloads.iter().map(|&bytes| Beside { bytes, units: &[] }).collect();
        Ok(Owned::of(TxFirst::encode(number, opcode, &Encoded { body: body.to_vec(), payloads })))
    });
    run("message changes", &[samples::tx_changes()], |body, payloads| {
        Ok(Owned::of(TxChanges::decode(body, payloads)?.encode()))
    });
}

#[test]
fn replies() {
    run("message found", &[Owned::of(encode_found(Some(&samples::found())))], |body, payloads| {
        Ok(Owned::of(encode_found(decode_found(body, payloads)?.as_ref())))
    });
    run("message keys", &[Owned::of(samples::keys().encode())], |body, payloads| {
        Ok(Owned::of(ListedKeys::decode(body, payloads)?.encode()))
    });
    run("message pairs", &[Owned::of(samples::pairs().encode())], |body, payloads| {
        Ok(Owned::of(ListedPairs::decode(body, payloads)?.encode()))
    });
    run("message listed objects", &[Owned::of(samples::listed_objects().encode())], |body, payloads| {
        Ok(Owned::of(ListedObjects::decode(body, payloads)?.encode()))
    });
    run("message differences", &[Owned::of(samples::differences().encode())], |body, payloads| {
        Ok(Owned::of(Differences::decode(body, payloads)?.encode()))
    });
    run("message checked", &[Owned::of(samples::checked().encode())], |body, payloads| {
        Ok(Owned::of(Checked::decode(body, payloads)?.encode()))
    });
    run("message counted", &[Owned::of(samples::counted().encode())], |body, payloads| {
        Ok(Owned::of(Counted::decode(body, payloads)?.encode()))
    });
}

#[test]
fn controls() {
    let corpus: Vec<Vec<u8>> =
        samples::controls().iter().filter_map(|request| encode_control(request).ok()).collect();
    fuzz("message control", &corpus, &unsealed, |bytes| {
        let Ok(request) = decode_control::<Control>(bytes) else { return false };
        // A map may have its entries in any order, so the bytes need not be the same again.
        let again = encode_control(&request).unwrap_or_default();
        assert_eq!(decode_control::<Control>(&again), Ok(request));
        true
    });
}
