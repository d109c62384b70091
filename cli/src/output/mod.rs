//! How things are written for people and for programs.

mod format;
mod json;
mod table;
mod time;

pub(crate) use format::Format;
pub(crate) use json::{JsonRecord, record_line};
pub(crate) use table::Table;
pub(crate) use time::{now, parse_timestamp, show_timestamp};
