//! What one attempt met, before it is known whether there will be another.

use std::io;

/// What a retry loop should make of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// No such object.
    Missing,
    /// Permanent until an operator acts.
    Refused,
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
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(sort: Sort, reason: impl Into<String>) -> Self {
        Self { sort, ambiguous: false, reason: reason.into() }
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

    /// Sorts an error of the `object_store` crate. Its retry error is private, so the HTTP status is read from its text.
    pub(crate) fn from_store(error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let text = chain(error);
        match error {
            E::NotFound { .. } if no_bucket(&text) => Self::new(Sort::Refused, text),
            E::NotFound { .. } => Self::new(Sort::Missing, text),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Self::new(Sort::Refused, text),
            E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => {
                Self::new(Sort::Refused, text)
            }
            E::UnknownConfigurationKey { .. } => Self::new(Sort::Refused, text),
            _ => Self::from_text(error, text),
        }
    }

    fn from_text(error: &object_store::Error, text: String) -> Self {
        if text.contains("redirect without LOCATION") {
            return Self::new(Sort::Refused, format!("{text} (is the region right?)"));
        }
        if text.contains("Wanted range starting at") {
            // The crate's own check of a range that begins beyond the end.
            return Self::new(Sort::Short, text);
        }
        match status(&text) {
            Some(416) => Self::new(Sort::Short, text),
            Some(408 | 409) | Some(500..=502) | Some(504..) => Self::new(Sort::Transient, text).ambiguous(),
            Some(429 | 503) => Self::new(Sort::Transient, text),
            Some(400) if text.contains("RequestTimeout") => Self::new(Sort::Transient, text).ambiguous(),
            Some(300..=499) => Self::new(Sort::Refused, text),
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

fn no_bucket(text: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]
        .iter()
        .any(|s| text.contains(s))
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

/// The HTTP status that the text names.
fn status(text: &str) -> Option<u16> {
    let mark = "status code: ";
    let at = text.find(mark)? + mark.len();
    text.get(at..at + 3)?.parse().ok()
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
        assert_eq!((slow.sort, slow.ambiguous), (Sort::Transient, false));
        assert_eq!((broken.sort, broken.ambiguous), (Sort::Transient, true));
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        let missing = |body: &str| {
            Fault::from_store(&object_store::Error::NotFound { path: "x".into(), source: body.into() }).sort
        };
        assert_eq!(missing("404: <Code>NoSuchKey</Code>"), Sort::Missing);
        assert_eq!(missing("404: <Code>NoSuchBucket</Code>"), Sort::Refused);
    }

    #[test]
    fn a_full_disk_is_transient() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Fault::from_io("writing", &full).sort, Sort::Transient);
    }
}
