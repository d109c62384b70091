//! Erasing keys, by our own APIs.

use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::{describe_erasures, erase_keys, forget_erasure};
use uuid::Uuid;

use super::error::check;
use super::{Client, Error};

pub use describe_erasures::response::{Erasure, Object as ErasureObject, Partition as ErasurePartition};

/// How long a server may take until no agent serves the records any more: five seconds and what the store needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An erasure that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its id.
    pub id: Uuid,
    /// When it was asked for, milliseconds since the Unix epoch.
    pub requested_at: i64,
    /// Since when nobody is given such records.
    pub invisible_at: i64,
}

impl Client {
    /// Asks that all records of these keys be erased from a topic. Returns once nobody is given any of them.
    ///
    /// # Errors
    /// Why not. If the answer is lost, the list of erasures shows whether it was done.
    pub async fn erase(&self, topic: &str, keys: Vec<Bytes>) -> Result<Asked, Error> {
        let timeout_ms = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
        let request = erase_keys::Request { topic: topic.to_owned(), keys, timeout_ms };
        let answer = self.any().await?.call(&request, i16::MAX, PATIENCE * 2).await?;
        let what = || format!("erasing from topic {topic}");
        check(what, answer.error_code, answer.error_message.as_deref())?;
        let erase_keys::Response { erasure_id: id, requested_at, invisible_at, .. } = answer;
        Ok(Asked { id, requested_at, invisible_at })
    }

    /// All erasures in short, the oldest first.
    ///
    /// # Errors
    /// Why not.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, Error> {
        let answer = self.ask(&describe_erasures::Request::default(), i16::MAX).await?;
        check(|| "asking for erasures".to_owned(), answer.error_code, answer.error_message.as_deref())?;
        Ok(answer.erasures)
    }

    /// An erasure with its receipt.
    ///
    /// # Errors
    /// Why not.
    pub async fn receipt(&self, id: Uuid) -> Result<Erasure, Error> {
        let mut request = describe_erasures::Request { erasure_id: id, after: None };
        let mut whole: Option<Erasure> = None;
        loop {
            let answer = self.ask(&request, i16::MAX).await?;
            let what = || format!("erasure {id}");
            check(what, answer.error_code, answer.error_message.as_deref())?;
            for erasure in answer.erasures {
                match &mut whole {
                    Some(whole) => whole.objects.extend(erasure.objects),
                    None => whole = Some(erasure),
                }
            }
            match answer.next {
                Some(next) => request.after = Some(next),
                None => return Ok(whole.unwrap_or_default()),
            }
        }
    }

    /// An erasure without its objects.
    ///
    /// # Errors
    /// Why not.
    pub async fn erasure(&self, id: Uuid) -> Result<Option<Erasure>, Error> {
        Ok(self.erasures().await?.into_iter().find(|erasure| erasure.erasure_id == id))
    }

    /// Drops the receipt of an erasure that is completed.
    ///
    /// # Errors
    /// Why not.
    pub async fn forget_erasure(&self, id: Uuid) -> Result<(), Error> {
        let answer = self.ask(&forget_erasure::Request { erasure_id: id }, i16::MAX).await?;
        check(
            || format!("erasure {id} was not forgotten"),
            answer.error_code,
            answer.error_message.as_deref(),
        )
    }
}
