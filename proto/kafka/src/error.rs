//! What can be wrong with bytes that are decoded, and with values that are encoded.
//!
//! Both errors are one pointer wide, because every read and write returns one.

use std::fmt;

/// Why bytes are not the message that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeFault {
    /// The API key in a request's header is none that this crate knows.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// The message has no such version.
    #[error("unsupported version {0}")]
    UnsupportedVersion(i16),
    /// The bytes end before the value does.
    #[error("{needed} bytes needed, {remaining} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// An array has more elements than the remaining bytes can hold.
    #[error("{count} elements of at least {min_size} bytes, {remaining} bytes left")]
    TooManyElements {
        /// The count on the wire.
        count: usize,
        /// The fewest bytes of one element in this version.
        min_size: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length or count is negative and does not mean null.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null, where the version does not allow it.
    #[error("null is not allowed")]
    Null,
    /// A string is longer than Kafka allows, 32,767 bytes.
    #[error("string of {0} bytes is too long")]
    StringTooLong(usize),
    /// A string is not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// An unsigned varint has more than 32 bits.
    #[error("varint over 32 bits")]
    Varint,
    /// The value of a tagged field is not as long as its size says.
    #[error("tagged field of {size} bytes has {left} left over")]
    TagSize {
        /// The size on the wire.
        size: usize,
        /// Bytes of it that the value did not use.
        left: usize,
    },
    /// Bytes are left after the message.
    #[error("{0} bytes after the message")]
    Trailing(usize),
    /// The message would take more memory than its limit.
    #[error("message takes more than {0} bytes of memory")]
    Memory(usize),
}

/// Why a value can't be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeFault {
    /// The message has no such version.
    #[error("unsupported version {0}")]
    UnsupportedVersion(i16),
    /// The field is set, and this version can't carry it.
    #[error("the version can't carry the field, and it is set")]
    NotInVersion,
    /// Null, where the version does not allow it.
    #[error("null is not allowed")]
    Null,
    /// A string is longer than Kafka allows, 32,767 bytes.
    #[error("string of {0} bytes is too long")]
    StringTooLong(usize),
    /// A length, a count or the whole message is over 2^31 − 1.
    #[error("length {0} is too large")]
    TooLarge(usize),
}

/// Where an error is: message, version, field, offset.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place<F> {
    message: &'static str,
    version: i16,
    field: &'static str,
    offset: usize,
    fault: F,
}

macro_rules! placed_error {
    ($(#[$doc:meta])* $name:ident, $fault:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Box<Place<$fault>>);

        impl $name {
            #[cold]
            pub(crate) fn new(
                message: &'static str, version: i16, field: &'static str, offset: usize, fault: $fault,
            ) -> Self {
                Self(Box::new(Place { message, version, field, offset, fault }))
            }

            /// The message, such as `Fetch request`.
            pub fn message(&self) -> &'static str {
                self.0.message
            }

            /// The version that was read or written.
            pub fn version(&self) -> i16 {
                self.0.version
            }

            /// The field, as `Struct.Field`; empty if the error is about the message as a whole.
            pub fn field(&self) -> &'static str {
                self.0.field
            }

            /// The offset in the message's bytes at which the error was found.
            pub fn offset(&self) -> usize {
                self.0.offset
            }

            /// What is wrong.
            pub fn fault(&self) -> &$fault {
                &self.0.fault
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Place { message, version, field, offset, fault } = &*self.0;
                write!(f, "{message} version {version}")?;
                if !field.is_empty() {
                    write!(f, ", {field}")?;
                }
                write!(f, " at byte {offset}: {fault}")
            }
        }

        impl std::error::Error for $name {}
    };
}

placed_error!(
    /// Bytes that are not the message they should be. From a client: answer with INVALID_REQUEST if there is
    /// a header to answer to, else close the connection.
    DecodeError,
    DecodeFault
);
placed_error!(
    /// A value that can't be encoded in this version. A mistake of the caller: choose another version, or leave the
    /// field at its default.
    EncodeError,
    EncodeFault
);
