//! Buffers of payloads that were used, for the next ones: to get memory, and to fill it with zeros, takes a server's thread a third of
//! the time that it takes to copy into it.

use daos_types::Buffer;
use std::cell::RefCell;

/// Bytes of the shortest buffer that is kept, and of all that a thread keeps.
const LEN_MIN: usize = 64 << 10;
const KEPT_MAX: usize = 2 << 20;

thread_local! {
    static KEPT: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of so many bytes, each of which will be written before it is read: what they are is not said.
pub(crate) fn take(len: usize) -> Buffer {
    if len < LEN_MIN {
        return Buffer::zeroed(len);
    }
    let kept = KEPT.with_borrow_mut(|kept| {
        let nth = kept.iter().position(|buffer| buffer.len() >= len && buffer.len() / 2 <= len)?;
        Some(kept.swap_remove(nth))
    });
    match kept {
        Some(mut buffer) => {
            buffer.truncate(len);
            buffer
        }
        None => Buffer::zeroed(len),
    }
}

/// Keeps a buffer for this thread, if there is room for it.
pub(crate) fn give(buffer: Buffer) {
    if buffer.len() < LEN_MIN {
        return;
    }
    KEPT.with_borrow_mut(|kept| {
        let held: usize = kept.iter().map(Buffer::capacity).sum();
        if held + buffer.capacity() <= KEPT_MAX {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> usize {
        KEPT.with_borrow(|kept| kept.iter().map(Buffer::capacity).sum())
    }

    #[test]
    fn what_is_long_comes_again() {
        give(vec![7; LEN_MIN - 1].into());
        assert_eq!(held(), 0);
        give(vec![7; 1 << 20].into());
        assert_eq!(*take(100), [0; 100], "a short one is not cut from a long one");
        assert_eq!(*take((1 << 20) + 1), vec![0; (1 << 20) + 1]);
        assert_eq!(*take((1 << 20) - 1), vec![7; (1 << 20) - 1]);
        assert_eq!(held(), 0);
        give(vec![7; LEN_MIN].into());
        assert_eq!(*take(LEN_MIN - 1), vec![0; LEN_MIN - 1]);
        assert_eq!(held(), LEN_MIN, "what is short does not cost a long one");
    }

    #[test]
    fn no_more_is_kept_than_that() {
        for _ in 0..10 {
            give(vec![1; 600 << 10].into());
        }
        assert!((LEN_MIN..=KEPT_MAX).contains(&held()));
        give(vec![1; KEPT_MAX + 1].into());
        assert!(held() <= KEPT_MAX);
    }
}
