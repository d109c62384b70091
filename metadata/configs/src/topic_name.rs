//! What a topic may be called (Kafka's rules), and which names collide.
//!
//! Kafka writes metrics under topic names with `.` turned into `_`, so two names that differ only so must not both exist.

use crate::error::shorten;
use std::borrow::Cow;
use thiserror::Error;

/// The longest name, in characters, all of which are ASCII.
pub const MAX_LENGTH: usize = 249;

/// Why a name can't be a topic's. Kafka's code for it is `INVALID_TOPIC_EXCEPTION`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicNameError {
    /// No name at all.
    #[error("Topic name is invalid: it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(&'static str),
    /// Longer than [`MAX_LENGTH`].
    #[error("Topic name is invalid: '{0}' has {1} characters, more than the {MAX_LENGTH} that are allowed")]
    TooLong(String, usize),
    /// Another character than letters, digits, `.`, `_` and `-`.
    #[error(
        "Topic name is invalid: '{0}' has characters other than ASCII letters and digits, '.', '_' and '-'"
    )]
    Characters(String),
    /// A topic exists whose name differs only in `.` and `_`.
    #[error("Topic '{name}' collides with the existing topic '{existing}': '.' and '_' count as the same")]
    Collides {
        /// The new name.
        name: String,
        /// The topic that exists.
        existing: String,
    },
}

/// Checks a name for itself. For collisions see [`collision_key`].
///
/// # Errors
/// What is wrong with it.
pub fn validate(name: &str) -> Result<(), TopicNameError> {
    match name {
        "" => return Err(TopicNameError::Empty),
        "." => return Err(TopicNameError::Dots(".")),
        ".." => return Err(TopicNameError::Dots("..")),
        _ => {}
    }
    let length = name.chars().count();
    if length > MAX_LENGTH {
        return Err(TopicNameError::TooLong(shorten(name), length));
    }
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Ok(());
    }
    Err(TopicNameError::Characters(shorten(name)))
}

/// Two different valid names collide exactly if their keys are equal. A catalog that indexes topics by this key finds a
/// collision with one look-up.
pub fn collision_key(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}

/// Checks a new name against one that exists.
///
/// # Errors
/// [`TopicNameError::Collides`] if they differ, but only in `.` and `_`. Equal names do not collide: the topic exists.
pub fn check_collision(name: &str, existing: &str) -> Result<(), TopicNameError> {
    if name == existing || collision_key(name) != collision_key(existing) {
        return Ok(());
    }
    Err(TopicNameError::Collides { name: shorten(name), existing: shorten(existing) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_answers() {
        assert_eq!(validate(""), Err(TopicNameError::Empty));
        assert_eq!(validate("."), Err(TopicNameError::Dots(".")));
        assert_eq!(validate(".."), Err(TopicNameError::Dots("..")));
        assert_eq!(validate(&"a".repeat(249)), Ok(()));
        assert!(matches!(validate(&"a".repeat(250)), Err(TopicNameError::TooLong(_, 250))));
        for bad in ["a b", "\u{fc}", "a/b", "a\0", "a:b", "\u{664}"] {
            assert!(matches!(validate(bad), Err(TopicNameError::Characters(_))), "{bad:?}");
        }
        for good in ["...", "a", "-", "_", "A.b_C-9", "__consumer_offsets"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        let error = check_collision("a_b.c", "a.b_c").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Topic 'a_b.c' collides with the existing topic 'a.b_c': '.' and '_' count as the same"
        );
        assert_eq!(check_collision("a.b", "a.b"), Ok(()));
        assert_eq!(check_collision("a.b", "a-b"), Ok(()));
        assert_eq!(check_collision("a", "b"), Ok(()));
    }
}
