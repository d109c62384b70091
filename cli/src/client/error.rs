//! What can go wrong between us and a server, each in one sentence that says what to do.

use siltstone_kafka::{ApiKey, DecodeError, EncodeError, ErrorCode};

/// Why a request has no useful answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or the name is not known.
    #[error(
        "no Kafka server answers at {address} ({reason}): start one with `siltstone standalone`, or name one with --bootstrap"
    )]
    Connect {
        /// Host and port, as they were given.
        address: String,
        /// What the operating system said.
        reason: String,
    },
    /// The connection ended before the answer. What was asked may have happened.
    #[error(
        "the connection to {address} was closed ({reason}); what was sent last may or may not have been done"
    )]
    Closed {
        /// Host and port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time. What was asked may have happened.
    #[error("{address} did not answer {api} within {seconds} s; look at the server's log")]
    TimedOut {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// How long we waited.
        seconds: u64,
    },
    /// The server has no version of this API that we know.
    #[error("{address} does not speak a version of {api} that this program knows; it is too old or too new")]
    Unsupported {
        /// Host and port.
        address: String,
        /// The API.
        api: ApiKey,
    },
    /// An answer that is none.
    #[error("{address} sent an answer that can't be read ({error}); is it a Kafka server?")]
    Decode {
        /// Host and port.
        address: String,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// We can't say this in the version that the server speaks.
    #[error("the request can't be made: {0}")]
    Encode(#[from] EncodeError),
    /// The server refused.
    #[error("{what}: {}", refused(*.code, .message.as_deref()))]
    Refused {
        /// What was asked, or what it was about.
        what: String,
        /// Kafka's error code.
        code: i16,
        /// What the server said beside it.
        message: Option<String>,
    },
    /// A record batch that can't be made or read.
    #[error("{0}")]
    Records(String),
}

fn refused(code: i16, message: Option<&str>) -> String {
    let name =
        ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_owned());
    match (message, ErrorCode::from_code(code)) {
        (Some(message), _) if !message.is_empty() => format!("{message} ({name})"),
        (_, Some(known)) => format!("{} ({name})", known.message()),
        _ => name,
    }
}

impl Error {
    /// Whether the same may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Closed { .. } | Error::TimedOut { .. } => true,
            Error::Refused { code, .. } => ErrorCode::from_code(*code).is_some_and(ErrorCode::is_retriable),
            _ => false,
        }
    }

    /// The code, if a server refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Refused { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        }
    }
}

/// An error unless `code` is 0.
pub(super) fn check(what: impl FnOnce() -> String, code: i16, message: Option<&str>) -> Result<(), Error> {
    if code == 0 {
        return Ok(());
    }
    Err(Error::Refused { what: what(), code, message: message.map(str::to_owned) })
}
