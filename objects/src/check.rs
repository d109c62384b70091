//! The question asked once at start: can this store be written, read and deleted from, with these settings?

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::{PutError, ReadError};
use crate::objects::Objects;

/// What was found wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object store {place}: {step} failed: {reason}\n  {advice}")]
pub struct CheckError {
    /// The store: URL, and the endpoint if one is set.
    pub place: String,
    /// `writing`, `reading` or `deleting` a small object.
    pub step: &'static str,
    /// What the store said.
    pub reason: String,
    /// What an operator may look at.
    pub advice: &'static str,
}

const REFUSED: &str = "Look at the bucket's name and region, at the credentials, and at their right to put, get and delete \
                       objects below this prefix.";
const UNREACHABLE: &str =
    "Look at the endpoint, at DNS, at a proxy or firewall on the way, and at whether the store runs.";
const WRONG: &str =
    "Something between us and the store changes or hides what was written: a proxy, a cache, or a wrong URL.";
const NO_DELETE: &str =
    "Give the credentials the right to delete objects below this prefix; else nothing is ever cleaned up.";

impl Objects {
    /// Writes a small object of a random name below `check/`, reads it back, and deletes it. An error names the step and says what to do.
    /// An interrupted check leaves an object of 32 bytes behind.
    pub async fn check(&self, deadline: Instant) -> Result<(), CheckError> {
        let chance = &self.inner().chance;
        let name = format!("check/{:016x}{:016x}", chance.next(), chance.next());
        let content: Bytes = (0..4).flat_map(|_| chance.next().to_le_bytes()).collect();
        self.put(&name, vec![content.clone()], deadline).await.map_err(|error| match &error {
            PutError::Refused { .. } => self.problem("writing", error.to_string(), REFUSED),
            _ => self.problem("writing", error.to_string(), UNREACHABLE),
        })?;
        let read =
            self.get(&name, 0..content.len() as u64, deadline).await.map_err(|error| match &error {
                ReadError::Refused { .. } => self.problem("reading", error.to_string(), REFUSED),
                ReadError::Unavailable { .. } => self.problem("reading", error.to_string(), UNREACHABLE),
                _ => self.problem("reading", error.to_string(), WRONG),
            })?;
        if read != content {
            return Err(self.problem(
                "reading",
                format!("object {name} came back with other content"),
                WRONG,
            ));
        }
        self.delete(vec![name], deadline).await.map_err(|error| {
            let advice = if error.refused { NO_DELETE } else { UNREACHABLE };
            self.problem("deleting", error.to_string(), advice)
        })
    }

    fn problem(&self, step: &'static str, reason: String, advice: &'static str) -> CheckError {
        CheckError { place: self.place().to_owned(), step, reason, advice }
    }
}
