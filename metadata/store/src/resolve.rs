//! A commit's mutations once its stamp is known: plain writes, for the backends that apply them themselves.

use bytes::Bytes;

use crate::{KeyRange, Mutation, Stamp};

/// A mutation without open places.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Set(Bytes, Bytes),
    Add(Bytes, u64),
    Clear(Bytes),
    ClearRange(KeyRange),
}

/// What a write touches, for conflicts and watches.
pub(crate) enum Touch<'a> {
    Key(&'a Bytes),
    Range(&'a KeyRange),
}

impl Write {
    pub(crate) fn resolve(mutation: Mutation, stamp: Stamp) -> Self {
        match mutation {
            Mutation::Set { key, value } => Write::Set(key, value),
            Mutation::SetVersionstampedKey { prefix, suffix, value } => {
                Write::Set(join(&prefix, stamp, &suffix), value)
            }
            Mutation::SetVersionstampedValue { key, prefix, suffix } => {
                Write::Set(key, join(&prefix, stamp, &suffix))
            }
            Mutation::Add { key, delta } => Write::Add(key, delta),
            Mutation::Clear { key } => Write::Clear(key),
            Mutation::ClearRange { range } => Write::ClearRange(range),
        }
    }

    pub(crate) fn touch(&self) -> Touch<'_> {
        match self {
            Write::Set(key, _) | Write::Add(key, _) | Write::Clear(key) => Touch::Key(key),
            Write::ClearRange(range) => Touch::Range(range),
        }
    }
}

/// The value after [`Mutation::Add`].
pub(crate) fn added(old: Option<&[u8]>, delta: u64) -> [u8; 8] {
    let old = old.unwrap_or_default();
    let mut number = [0; 8];
    let kept = old.len().min(8);
    number[..kept].copy_from_slice(&old[..kept]);
    u64::from_le_bytes(number).wrapping_add(delta).to_le_bytes()
}

fn join(prefix: &[u8], stamp: Stamp, suffix: &[u8]) -> Bytes {
    [prefix, &stamp.0, suffix].concat().into()
}
