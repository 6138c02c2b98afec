//! A file per request.

pub(super) mod fetch;
mod list;
mod punch;
mod put_pairs;
mod query;
mod survey;
pub(super) mod update;
