//! A fuzzer for decoders, for tests only: `docs/internals/fuzzing.md`. Seeded, without instrumentation, on stable Rust.
//!
//! A corpus of what the encoder writes is mutated; what still decodes joins the corpus. A run is a sequence that its seed
//! determines; how far it goes is a matter of time.

mod meter;
mod mutate;

pub use meter::{Meter, allocated};

use mutate::{Random, mutate};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, SystemTime};

/// Seconds that each fuzzer runs for where `DAOS_FUZZ_SECONDS` does not say.
const SMOKE_S: f64 = 0.1;
/// The seed of such a run, so that a test is the same each time.
const SMOKE_SEED: u64 = 1;
/// Inputs kept that decode, beside what the encoder made.
const KEPT_MAX: usize = 256;
/// Bytes that a decoder may ask for: some however short the input is, and so many for each byte of it.
const ALLOCATED_FREE: usize = 64 << 10;
const ALLOCATED_PER_BYTE: usize = 64;

/// Recomputes the checksums of an input, so that it gets past them.
pub type Seal<'a> = &'a dyn Fn(&mut [u8]);

/// A seal for what has no checksums.
pub fn unsealed(_: &mut [u8]) {}

/// Runs a check on mutations of a corpus, half of them sealed.
///
/// The check decodes, asserts what must hold, and answers whether the input was decoded; it must answer so for all of the
/// corpus. A panic is passed on, with seed and input printed; so is an answer for which more was allocated than the input's
/// length accounts for.
///
/// # Panics
///
/// Where the check does, and where the corpus does not decode.
pub fn fuzz(name: &str, corpus: &[Vec<u8>], seal: Seal<'_>, mut check: impl FnMut(&[u8]) -> bool) {
    let (seconds, seed) = settings();
    for input in corpus {
        assert!(
            guarded(name, seed, 0, input, &mut check),
            "fuzz {name}: the corpus holds what does not decode"
        );
    }
    let mut kept = corpus.to_vec();
    let mut random = Random(seed);
    let mut input = Vec::new();
    let (mut executions, mut decoded) = (0_u64, 0_u64);
    let started = Instant::now();
    // A look at the clock costs as much as a small decoder.
    while !executions.is_multiple_of(64) || started.elapsed() < seconds {
        mutate(&mut random, &kept, corpus.len(), &mut input);
        if random.next().is_multiple_of(2) {
            seal(&mut input);
        }
        executions += 1;
        if guarded(name, seed, executions, &input, &mut check) {
            decoded += 1;
            if kept.len() < corpus.len() + KEPT_MAX {
                kept.push(input.clone());
            } else {
                let place = corpus.len() + random.below(KEPT_MAX);
                kept[place].clone_from(&input);
            }
        }
    }
    let rate = u128::from(executions) * 1_000_000 / started.elapsed().as_micros().max(1);
    println!("fuzz {name}: seed {seed}, {executions} executions, {rate}/s, {decoded} decoded");
}

fn guarded(
    name: &str,
    seed: u64,
    execution: u64,
    input: &[u8],
    check: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let run = || allocated(|| check(input));
    let told = |why: &str| {
        let mut hex = String::new();
        for byte in input {
            let _ = write!(hex, "{byte:02x}");
        }
        println!("fuzz {name}: {why}; seed {seed}, execution {execution}, input {hex}");
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok((decoded, bytes)) => {
            let bytes_max = ALLOCATED_FREE + ALLOCATED_PER_BYTE * input.len();
            if bytes > bytes_max {
                told("it allocates too much");
                panic!("fuzz {name}: {bytes} bytes allocated for {} bytes, at most {bytes_max}", input.len());
            }
            decoded
        }
        Err(panic) => {
            told("it panics");
            resume_unwind(panic)
        }
    }
}

/// How long to run and from which seed: what the environment says, else the smoke test's.
fn settings() -> (Duration, u64) {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, text: &str| -> f64 {
        text.parse()
            .ok()
            .filter(|number: &f64| (0.0..1e9).contains(number))
            .unwrap_or_else(|| panic!("{name}={text}"))
    };
    let seconds = variable("DAOS_FUZZ_SECONDS").map(|text| number("DAOS_FUZZ_SECONDS", &text));
    let seed = match variable("DAOS_FUZZ_SEED") {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("DAOS_FUZZ_SEED={text}")),
        None if seconds.is_none() => SMOKE_SEED,
        None => SystemTime::UNIX_EPOCH.elapsed().map_or(SMOKE_SEED, |since| since.as_nanos() as u64),
    };
    (Duration::from_secs_f64(seconds.unwrap_or(SMOKE_S)), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static METER: Meter = Meter;

    /// A length and so many bytes.
    fn parse(bytes: &[u8]) -> Option<&[u8]> {
        let (len, rest) = bytes.split_first()?;
        (rest.len() == usize::from(*len)).then_some(rest)
    }

    fn corpus() -> Vec<Vec<u8>> {
        vec![vec![0], vec![3, 1, 2, 3]]
    }

    fn panics(check: impl FnMut(&[u8]) -> bool) -> bool {
        catch_unwind(AssertUnwindSafe(|| fuzz("planted", &corpus(), &unsealed, check))).is_err()
    }

    #[test]
    fn a_sound_decoder_passes_and_mutations_decode() {
        let mut others = 0;
        fuzz("sound", &corpus(), &unsealed, |bytes| {
            others += u32::from(parse(bytes).is_some() && !corpus().iter().any(|known| known == bytes));
            parse(bytes).is_some()
        });
        assert!(others > 100);
    }

    #[test]
    fn planted_mistakes_are_found() {
        assert!(panics(|bytes| bytes[1..=usize::from(bytes[0])].len() < 256), "a length that is believed");
        assert!(
            panics(|bytes| parse(bytes).is_some_and(|rest| rest.first() != Some(&7) || panic!())),
            "a value"
        );
        let room = |bytes: &[u8]| bytes.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        assert!(
            panics(|bytes| Vec::<u8>::with_capacity(room(bytes).min(1 << 20)).capacity() < 1 << 30),
            "a size"
        );
        assert!(panics(|bytes| bytes.len() == 1), "a corpus that does not decode");
    }

    #[test]
    fn a_seal_gets_inputs_past_a_checksum() {
        let sum =
            |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
        let seal = |bytes: &mut [u8]| {
            if let Some((last, rest)) = bytes.split_last_mut() {
                *last = sum(rest);
            }
        };
        let mut first = vec![1, 2, 3, 0];
        seal(&mut first);
        let mut decoded = 0;
        fuzz("sealed", &[first], &seal, |bytes| {
            let whole = bytes.split_last().is_some_and(|(last, rest)| *last == sum(rest));
            decoded += u32::from(whole);
            whole
        });
        assert!(decoded > 100);
    }

    #[test]
    fn what_is_allocated_is_counted() {
        let ((), bytes) = allocated(|| drop(std::hint::black_box(vec![0_u8; 5000])));
        assert!((5000..6000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_seed_determines_the_inputs() {
        let inputs = |seed| {
            let (mut random, mut input) = (Random(seed), Vec::new());
            (0..50)
                .map(|_| {
                    mutate(&mut random, &corpus(), 2, &mut input);
                    input.clone()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(inputs(5), inputs(5));
        assert_ne!(inputs(5), inputs(6));
    }
}
