//! The shape of MessagePack, looked at before it is decoded: whoever decodes makes room on the word of a count.

/// How deep a control message may nest: no message has more than a list of options in a map in a list.
const DEPTH_MAX: usize = 16;

/// Checks that bytes are one value, that every count and length in it is borne out by bytes that are there, and that it does not
/// nest too deep. What is wrong otherwise.
pub(crate) fn check(mut bytes: &[u8]) -> Result<(), &'static str> {
    const SHORT: &str = "it ends in the middle";
    // Values that are still to come, for each list or map that is open.
    let mut open = vec![1_usize];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let (&marker, rest) = bytes.split_first().ok_or(SHORT)?;
        bytes = rest;
        let mut number = |len: usize| -> Result<usize, &'static str> {
            let (number, rest) = bytes.split_at_checked(len).ok_or(SHORT)?;
            bytes = rest;
            Ok(number.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)))
        };
        // Bytes that follow, or values.
        let (len, values) = match marker {
            0x00..=0x7F | 0xE0..=0xFF | 0xC0 | 0xC2 | 0xC3 => (0, 0),
            0x80..=0x8F => (0, 2 * usize::from(marker & 0x0F)),
            0x90..=0x9F => (0, usize::from(marker & 0x0F)),
            0xA0..=0xBF => (usize::from(marker & 0x1F), 0),
            0xC4 | 0xD9 => (number(1)?, 0),
            0xC5 | 0xDA => (number(2)?, 0),
            0xC6 | 0xDB => (number(4)?, 0),
            0xCC | 0xD0 => (1, 0),
            0xCD | 0xD1 => (2, 0),
            0xCA | 0xCE | 0xD2 => (4, 0),
            0xCB | 0xCF | 0xD3 => (8, 0),
            0xDC => (0, number(2)?),
            0xDD => (0, number(4)?),
            0xDE => (0, 2 * number(2)?),
            0xDF => (0, 2 * number(4)?),
            0xC1 | 0xC7..=0xC9 | 0xD4..=0xD8 => return Err("a kind of value that no message has"),
        };
        bytes = bytes.get(len..).ok_or(SHORT)?;
        if values > bytes.len() {
            return Err(SHORT);
        }
        if values > 0 {
            if open.len() >= DEPTH_MAX {
                return Err("it nests too deep");
            }
            open.push(values);
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err("more than one value") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn each_kind_has_its_length() {
        for value in [
            &[0x7F][..],
            &[0xFF],
            &[0xC0],
            &[0xC3],
            &[0x81, 0xA1, b'k', 0x05],
            &[0x92, 1, 2],
            &[0xC4, 1, 0],
            &[0xC5, 0, 1, 0],
            &[0xC6, 0, 0, 0, 1, 0],
            &[0xD9, 1, b'x'],
            &[0xDA, 0, 1, b'x'],
            &[0xDB, 0, 0, 0, 1, b'x'],
            &[0xCC, 0],
            &[0xD1, 0, 0],
            &[0xCA, 0, 0, 0, 0],
            &[0xCF, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xDC, 0, 1, 0],
            &[0xDD, 0, 0, 0, 1, 0],
            &[0xDE, 0, 1, 0, 0],
            &[0xDF, 0, 0, 0, 1, 0, 0],
        ] {
            assert_eq!(check(value), Ok(()), "{value:x?}");
            for cut in 0..value.len() {
                assert!(check(&value[..cut]).is_err(), "{value:x?} cut at {cut}");
            }
            assert_eq!(check(&[value, &[0]].concat()), Err("more than one value"));
        }
        assert!(check(&[0xC1]).is_err() && check(&[0xD4, 0, 0]).is_err());
        let nested = |depth: usize| [&vec![0x91; depth][..], &[0xC0]].concat();
        assert_eq!((check(&nested(15)), check(&nested(16))), (Ok(()), Err("it nests too deep")));
    }

    proptest! {
        #[test]
        fn what_is_written_passes(lists in vec(vec(any::<Option<u64>>(), 0..20), 0..20), text in "\\PC{0,300}") {
            let bytes = rmp_serde::to_vec_named(&(lists, text)).unwrap();
            prop_assert_eq!(check(&bytes), Ok(()));
        }
    }
}
