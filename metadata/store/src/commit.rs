//! Putting a [`Commit`] together, one call per part.

use bytes::Bytes;

use crate::{Commit, KeyRange, Mutation, Version};

impl Commit {
    /// A commit without reads: it never conflicts.
    pub fn blind() -> Self {
        Commit::default()
    }

    /// A commit that decides on what it read at `version`; what that was is added by [`Commit::read`] and
    /// [`Commit::read_key`].
    pub fn at(version: Version) -> Self {
        Commit { read_version: Some(version), ..Commit::default() }
    }

    /// Adds a range that must not have changed.
    #[must_use]
    pub fn read(mut self, range: KeyRange) -> Self {
        self.reads.push(range);
        self
    }

    /// Adds a key that must not have changed.
    #[must_use]
    pub fn read_key(self, key: impl Into<Bytes>) -> Self {
        self.read(KeyRange::key(key))
    }

    /// Adds a range that counts as written for others.
    #[must_use]
    pub fn touch(mut self, range: KeyRange) -> Self {
        self.writes.push(range);
        self
    }

    /// Adds [`Mutation::Set`].
    #[must_use]
    pub fn set(self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.with(Mutation::Set { key: key.into(), value: value.into() })
    }

    /// Adds [`Mutation::SetVersionstampedKey`]: `prefix ‖ stamp ‖ suffix`.
    #[must_use]
    pub fn stamped(
        self,
        prefix: impl Into<Bytes>,
        suffix: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Self {
        let (prefix, suffix, value) = (prefix.into(), suffix.into(), value.into());
        self.with(Mutation::SetVersionstampedKey { prefix, suffix, value })
    }

    /// Adds [`Mutation::SetVersionstampedValue`]: `prefix ‖ stamp ‖ suffix`.
    #[must_use]
    pub fn set_stamped(
        self,
        key: impl Into<Bytes>,
        prefix: impl Into<Bytes>,
        suffix: impl Into<Bytes>,
    ) -> Self {
        let (key, prefix, suffix) = (key.into(), prefix.into(), suffix.into());
        self.with(Mutation::SetVersionstampedValue { key, prefix, suffix })
    }

    /// Adds [`Mutation::Add`].
    #[must_use]
    pub fn add(self, key: impl Into<Bytes>, delta: u64) -> Self {
        self.with(Mutation::Add { key: key.into(), delta })
    }

    /// Adds [`Mutation::Clear`].
    #[must_use]
    pub fn clear(self, key: impl Into<Bytes>) -> Self {
        self.with(Mutation::Clear { key: key.into() })
    }

    /// Adds [`Mutation::ClearRange`].
    #[must_use]
    pub fn clear_range(self, range: KeyRange) -> Self {
        self.with(Mutation::ClearRange { range })
    }

    /// Adds any mutation.
    #[must_use]
    pub fn with(mut self, mutation: Mutation) -> Self {
        self.mutations.push(mutation);
        self
    }

    /// Whether it neither changes anything nor counts as a write for others.
    pub fn is_read_only(&self) -> bool {
        self.mutations.is_empty() && self.writes.is_empty()
    }
}
