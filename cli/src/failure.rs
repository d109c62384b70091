//! How a command ends when it doesn't end well.

use std::fmt;
use std::io;

use crate::client;
use crate::settings::Problems;

/// Why a command failed: one sentence for a person, or nothing to say.
#[derive(Debug)]
pub enum Failure {
    /// To be printed.
    Said(String),
    /// Whoever read our output has gone: no failure, and nobody to tell.
    ReaderGone,
}

impl Failure {
    /// A failure with this sentence.
    pub fn new(sentence: impl Into<String>) -> Failure {
        Failure::Said(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Said(sentence) => f.write_str(sentence),
            Failure::ReaderGone => f.write_str("the reader of the output is gone"),
        }
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Failure::Said(error.to_string())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Failure::Said(problems.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::ReaderGone
        } else {
            Failure::Said(format!("input or output failed: {error}"))
        }
    }
}

/// How a command ends.
pub type Outcome = Result<(), Failure>;
