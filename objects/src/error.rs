//! What operations can meet, sorted by what their caller should do.

/// Why a put did not answer Ok. Sending the same bytes again under the same name is always allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The store said no, and will until an operator changes something: permissions, bucket, credentials, name.
    #[error("object {name} was refused: {reason}")]
    Refused {
        /// The object's name, without the prefix.
        name: String,
        /// An earlier attempt's end is unknown, so the object may exist in spite of this.
        may_exist: bool,
        /// What the store said.
        reason: String,
    },
    /// The store could not take it until the deadline, and does not have it. Try again later.
    #[error("object {name} could not be stored, and does not exist: {reason}")]
    Unavailable {
        /// The object's name, without the prefix.
        name: String,
        /// What the last attempt met.
        reason: String,
    },
    /// The object may exist, now or a little later. Put it again under this name, or treat the name as used.
    #[error("object {name} may or may not have been stored: {reason}")]
    Unknown {
        /// The object's name, without the prefix.
        name: String,
        /// What the last attempt met.
        reason: String,
    },
}

impl PutError {
    /// Whether the object may exist in spite of the error.
    pub fn may_exist(&self) -> bool {
        match self {
            Self::Refused { may_exist, .. } => *may_exist,
            Self::Unavailable { .. } => false,
            Self::Unknown { .. } => true,
        }
    }
}

/// Why bytes of an object could not be read. Cheap to clone: one failure is given to every reader that waited for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such object. Resolve the extent again: it may have been merged.
    #[error("object {name} does not exist: {reason}")]
    NotFound {
        /// The object's name or segment.
        name: String,
        /// What the store said.
        reason: String,
    },
    /// The object is there, but has not the bytes it should have. Trying again does not help.
    #[error("object {name} is corrupt: {reason}")]
    Corrupt {
        /// The object's name or segment.
        name: String,
        /// What is wrong, with positions in bytes.
        reason: String,
    },
    /// The store said no, and will until an operator changes something.
    #[error("reading object {name} was refused: {reason}")]
    Refused {
        /// The object's name or segment.
        name: String,
        /// What the store said.
        reason: String,
    },
    /// The store did not answer usefully until the deadline. Try again later.
    #[error("object {name} could not be read: {reason}")]
    Unavailable {
        /// The object's name or segment.
        name: String,
        /// What the last attempt met.
        reason: String,
    },
}

/// Why listing failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store said no, and will until an operator changes something.
    #[error("the object store refused: {reason}")]
    Refused {
        /// What the store said.
        reason: String,
    },
    /// The store did not answer usefully until the deadline. Try again later.
    #[error("the object store is unavailable: {reason}")]
    Unavailable {
        /// What the last attempt met.
        reason: String,
    },
}

/// Some objects may still be there. Deleting them again is harmless; those not named in `left` are gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} objects could not be deleted: {reason}", left.len())]
pub struct DeleteError {
    /// Names of what may still exist.
    pub left: Vec<String>,
    /// The store said no, and will until an operator changes something; else try again later.
    pub refused: bool,
    /// What the last attempt met.
    pub reason: String,
}

/// The URL or the options can't be used, or the store could not be opened. Lists every problem, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object store {url}: {}", problems.join("; "))]
pub struct OpenError {
    /// The URL as given.
    pub url: String,
    /// One sentence each, beginning with the name of the option at fault.
    pub problems: Vec<String>,
}
