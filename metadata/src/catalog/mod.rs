//! The catalog: topics, configs, feature level (design, section 2).
//!
//! Rows are the truth; a transaction that changes one reads what it replaces, writes the row, a catalog log entry, and the entries that the
//! affected shards need, all at once. Agents hold the whole catalog in memory and follow its log; an agent that is behind the
//! log's floor reads all rows again.

mod change;
mod follow;
mod level;
mod log_trim;
mod state;

pub use change::{CatalogError, Changes, NewTopic};
pub use follow::{Catalog, CatalogReadError};
pub use level::Raised;
pub use log_trim::CatalogTrimmer;
pub use state::CatalogState;
