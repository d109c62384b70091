//! The bound on what a message takes in memory.

/// How much a message may take once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory for arrays (count times size of an element) and strings. Slices of the input are not counted.
    pub memory: usize,
}

impl Limits {
    /// The default for a message of `len` bytes: 16 MiB or eight times the message, whichever is more. A struct
    /// of a few bytes on the wire can be a hundred times larger in memory; messages of real clients stay below eight times.
    pub fn for_message(len: usize) -> Self {
        Self { memory: len.saturating_mul(8).max(16 << 20) }
    }
}
