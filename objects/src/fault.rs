//! What one attempt met, before it is known whether there will be another.

use std::io;

use crate::said::Said;

/// What a retry loop should make of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// No such object.
    Missing,
    /// Permanent until somebody acts: rights, credentials, the bucket, or the request itself.
    Refused,
    /// Has too much to do, and says so: worth another attempt, and fewer of them.
    Busy,
    /// The object is shorter than what was asked of it, and the store says so itself.
    Short,
    /// An answer ended early, although the object should be long enough.
    Truncated,
    /// Worth another attempt.
    Transient,
}

/// One attempt's failure.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub sort: Sort,
    /// The attempt may have had its effect (or may have it later) in spite of the failure.
    pub ambiguous: bool,
    /// Refused for who we are: other credentials may help.
    pub credentials: bool,
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(sort: Sort, reason: impl Into<String>) -> Self {
        Self { sort, ambiguous: false, credentials: false, reason: reason.into() }
    }

    /// The same fault, of an attempt that may have had its effect.
    pub(crate) fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }

    /// The label of the metrics.
    pub(crate) fn result(&self) -> &'static str {
        match self.sort {
            Sort::Missing => "not_found",
            Sort::Refused => "refused",
            Sort::Busy => "busy",
            Sort::Short | Sort::Truncated => "short",
            Sort::Transient => "error",
        }
    }

    /// Sorts an error of the file system. A full disk is transient: somebody will make room.
    pub(crate) fn from_io(doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind as K;
        let sort = match error.kind() {
            K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory | K::IsADirectory => Sort::Refused,
            K::InvalidFilename | K::Unsupported => Sort::Refused,
            K::NotFound => Sort::Missing,
            _ => Sort::Transient,
        };
        Self::new(sort, format!("{doing}: {error}"))
    }

    /// Sorts an error of the `object_store` crate. Its retry error is private, so what the store said is read from its text.
    pub(crate) fn from_store(error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let text = chain(error);
        let said = Said::find(&text);
        if said.busy() {
            return Self::new(Sort::Busy, text);
        }
        let credentials = said.credentials();
        match error {
            _ if said.no_bucket() => Self::new(Sort::Refused, text),
            E::NotFound { .. } => Self::new(Sort::Missing, text),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Self { credentials: true, ..Self::new(Sort::Refused, text) }
            }
            E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => {
                Self::new(Sort::Refused, text)
            }
            E::UnknownConfigurationKey { .. } => Self::new(Sort::Refused, text),
            _ => Self { credentials, ..Self::from_text(error, text) },
        }
    }

    /// The same for a DELETE, where "not found" counts as deleted: only if it is certain that the store means the object.
    pub(crate) fn from_delete(error: &object_store::Error) -> Self {
        let fault = Self::from_store(error);
        if fault.sort == Sort::Missing && !Said::find(&fault.reason).no_object() {
            return Self { sort: Sort::Transient, ..fault };
        }
        fault
    }

    fn from_text(error: &object_store::Error, text: String) -> Self {
        if text.contains("redirect without LOCATION") {
            return Self::new(Sort::Refused, format!("{text} (is the region right?)"));
        }
        if text.contains("Wanted range starting at") {
            // The crate's own check of a range that begins beyond the end.
            return Self::new(Sort::Short, text);
        }
        let said = Said::find(&text);
        match said.status {
            Some(416) => Self::new(Sort::Short, text),
            Some(408 | 409 | 500..) => Self::new(Sort::Transient, text).ambiguous(),
            Some(400) if said.code == Some("RequestTimeout") => Self::new(Sort::Transient, text).ambiguous(),
            Some(300..=499) => Self::new(Sort::Refused, text),
            // One of many deletes: a code without a status.
            None if said.credentials() => Self::new(Sort::Refused, text),
            _ if never_sent(error) => Self::new(Sort::Transient, text),
            _ => Self::new(Sort::Transient, text).ambiguous(),
        }
    }
}

/// The error's text with those of its causes that it does not repeat already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(at) = cause {
        let more = at.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = at.source();
    }
    text
}

/// Whether the request can't have reached the store.
fn never_sent(error: &object_store::Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(at) = cause {
        if let Some(http) = at.downcast_ref::<HttpError>() {
            return http.kind() == HttpErrorKind::Connect;
        }
        cause = at.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_found_and_sorted() {
        let fault = |body: &str| {
            let source = format!("Server returned non-2xx status code: {body}").into();
            Fault::from_store(&object_store::Error::Generic { store: "S3", source })
        };
        assert_eq!(fault("400 Bad Request: InvalidArgument").sort, Sort::Refused);
        assert_eq!(fault("416 Range Not Satisfiable: ").sort, Sort::Short);
        let (slow, broken) = (fault("503 Slow Down: "), fault("500 Internal: "));
        assert_eq!((slow.sort, slow.ambiguous), (Sort::Busy, false));
        assert_eq!((broken.sort, broken.ambiguous), (Sort::Transient, true));
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        let missing = |body: &str| {
            Fault::from_store(&object_store::Error::NotFound { path: "x".into(), source: body.into() }).sort
        };
        assert_eq!(missing("404: <Code>NoSuchKey</Code>"), Sort::Missing);
        assert_eq!(missing("404: <Code>NoSuchBucket</Code>"), Sort::Refused);
        let deleted = |source: &str| {
            let source = source.into();
            Fault::from_delete(&object_store::Error::NotFound { path: "x".into(), source }).sort
        };
        assert_eq!(deleted("status code: 404 Not Found: <Code>NoSuchKey</Code>"), Sort::Missing);
        assert_eq!(deleted("status code: 404 Not Found: <Code>NoSuchBucket</Code>"), Sort::Refused);
        assert_eq!(deleted("status code: 404 Not Found: 404 page not found"), Sort::Transient);
    }

    #[test]
    fn one_of_many_deletes_is_sorted_by_its_code() {
        let fault = |code: &str| {
            let source = format!("DeleteObjects request failed for key a: m (code: {code})").into();
            Fault::from_store(&object_store::Error::Generic { store: "S3", source })
        };
        assert_eq!(fault("AccessDenied").sort, Sort::Refused);
        assert_eq!(fault("SlowDown").sort, Sort::Busy);
        assert_eq!(fault("InternalError").sort, Sort::Transient);
        assert!(fault("AccessDenied").credentials && !fault("InternalError").credentials);
    }

    #[test]
    fn a_full_disk_is_transient() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Fault::from_io("writing", &full).sort, Sort::Transient);
    }
}
