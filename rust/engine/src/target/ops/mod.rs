//! A file per request.

mod fetch;
mod list;
mod punch;
mod query;
mod update;
mod update_all;
