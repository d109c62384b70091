//! The settings of a server: plain data, read once, from flags, environment and a file.
//!
//! One table ([`table`]) says of every setting its name, kind, default and purpose; from it come the [`Settings`] themselves, the names
//! of environment variables, `siltstone config` and docs/configuration/settings.md. Precedence: flags, then environment, then file,
//! then defaults. Unknown settings and bad values are refused, all of them at once, also those that something else overrides.
//!
//! Deliberately not here: what the parts of the system do with their settings ([`parts`] only hands them over), and
//! secrets in any output.

mod check;
mod document;
pub mod lists;
pub mod metadata_url;
mod parts;
mod read;
mod resolve;
mod table;
pub mod value;

pub use document::page;
pub use read::{Flags, Given, Source};
pub use resolve::{Effective, Problem, Problems, Row, load, resolve};
pub use table::{Definition, Fallback, Settings, TABLE};
