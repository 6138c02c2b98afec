//! The write-ahead log of one device.
//!
//! `docs/formats/log.md` describes every byte and argues why a crash loses nothing acknowledged.
