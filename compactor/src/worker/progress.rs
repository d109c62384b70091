//! How a compactor gets on, for whoever watches its process.

use std::sync::{Mutex, PoisonError};

/// What became of the last pass.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    /// There was none yet.
    None,
    /// It came to its end.
    Passed,
    /// It did not.
    Failed(String),
}

/// Shared by a compactor and those who ask.
#[derive(Debug)]
pub struct Progress(Mutex<Last>);

impl Default for Progress {
    fn default() -> Self {
        Progress(Mutex::new(Last::None))
    }
}

impl Progress {
    pub(super) fn passed(&self) {
        self.set(Last::Passed);
    }

    pub(super) fn failed(&self, why: String) {
        self.set(Last::Failed(why));
    }

    fn set(&self, last: Last) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Why the compactor does no work at present; `None`: it does.
    pub fn trouble(&self) -> Option<String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Last::None => Some("starting".to_owned()),
            Last::Passed => None,
            Last::Failed(why) => Some(why.clone()),
        }
    }
}
