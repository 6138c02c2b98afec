//! Calls of a key-value object in a loop without Python, to measure what lies below it.

use crate::errors::OrRaise;
use crate::kv::KV;
use daos_client::{Error, Kv, Result, Route};
use daos_types::{Cond, Der};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::time::{Duration, Instant};

/// Times of single calls that are kept.
const SAMPLES_MAX: usize = 100_000;
/// So long at most.
const SECONDS_MAX: f64 = 3_600.0;

/// Puts a value under keys, or gets what is there where there is no value, `depth` in a call, again and again for so many seconds: how
/// many operations that were, the seconds they took, and the times of single calls in seconds.
#[pyfunction]
#[pyo3(signature = (kv, keys, value, *, depth, seconds))]
#[allow(clippy::needless_pass_by_value)] // what Python hands over is owned by the call
pub(crate) fn load_kv(
    py: Python<'_>,
    kv: &KV,
    keys: Vec<Bound<'_, PyBytes>>,
    value: Option<&[u8]>,
    depth: usize,
    seconds: f64,
) -> PyResult<(u64, f64, Vec<f64>)> {
    let keys: Vec<&[u8]> = keys.iter().map(PyBytesMethods::as_bytes).collect();
    py.detach(|| load(&kv.0, &keys, value, depth, seconds)).or_raise(py)
}

fn load(
    kv: &Kv<dyn Route>,
    keys: &[&[u8]],
    value: Option<&[u8]>,
    depth: usize,
    seconds: f64,
) -> Result<(u64, f64, Vec<f64>)> {
    if depth == 0 || depth > keys.len() || !(0.0..=SECONDS_MAX).contains(&seconds) {
        let message = format!("{depth} of {} keys in a call, for {seconds} seconds", keys.len());
        return Err(Error::new(Der::Inval, message).hint("1 to all keys, for at most an hour"));
    }
    let pairs: Option<Vec<(&[u8], &[u8])>> =
        value.map(|value| keys.iter().map(|key| (*key, value)).collect());
    let calls = keys.len() / depth;
    let (mut done, mut times) = (0_usize, Vec::new());
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(seconds);
    let mut before = started;
    loop {
        let from = done % calls * depth;
        match &pairs {
            Some(pairs) => put(kv, pairs.get(from..from + depth).unwrap_or_default())?,
            None => get(kv, keys.get(from..from + depth).unwrap_or_default())?,
        }
        let now = Instant::now();
        if times.len() < SAMPLES_MAX {
            times.push((now - before).as_secs_f64());
        }
        done += 1;
        if now >= end {
            return Ok(((done * depth) as u64, (now - started).as_secs_f64(), times));
        }
        before = now;
    }
}

fn put(kv: &Kv<dyn Route>, pairs: &[(&[u8], &[u8])]) -> Result<()> {
    match pairs {
        [(key, value)] => kv.put(key, value, Cond::NONE),
        pairs => kv.put_all(pairs, Cond::NONE),
    }
}

/// A fast answer of nothing would win every race: all must be there.
fn get(kv: &Kv<dyn Route>, keys: &[&[u8]]) -> Result<()> {
    let there = match keys {
        [key] => kv.get(key, Cond::NONE, &mut Vec::new())?,
        keys => kv.get_all(keys)?.iter().all(|value| value.is_some()),
    };
    if there { Ok(()) } else { Err(Error::new(Der::Nonexist, "a key that is measured is not there")) }
}
