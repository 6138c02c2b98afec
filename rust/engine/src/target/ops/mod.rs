//! A file per request.

pub(super) mod fetch;
mod list;
mod punch;
mod query;
mod survey;
pub(super) mod update;
mod update_all;
