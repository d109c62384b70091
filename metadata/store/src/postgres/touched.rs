//! What a group of commits touched, as the text of a notification: who watches one of these keys is woken.
//!
//! `hashes;begin-end;begin-end…`: for each written key four characters, 24 bits of a hash of it; then cleared ranges, their ends
//! in hexadecimal. `*` stands for everything, where the text would be longer than PostgreSQL takes. Stamped keys are left out:
//! nobody can know one before it is written. Watches are hints, so that keys which share a hash do no harm.
//!
//! The server adds `@` and the last version of the group, in decimal.
//!
//! Pure: no I/O.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::{Commit, KeyRange, Mutation, Version};

/// The longest text that PostgreSQL takes is under 8,000 bytes.
const LONGEST: usize = 7_900;
const ALL: &str = "*";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+";

/// The text for a group; `None` if there is nothing that anybody could watch.
pub(super) fn text<'a>(commits: impl Iterator<Item = &'a Commit>) -> Option<String> {
    let (mut keys, mut ranges) = (BTreeSet::new(), BTreeSet::new());
    for mutation in commits.flat_map(|commit| &commit.mutations) {
        match mutation {
            Mutation::Set { key, .. }
            | Mutation::SetVersionstampedValue { key, .. }
            | Mutation::Add { key, .. }
            | Mutation::Clear { key } => drop(keys.insert(hash(key))),
            Mutation::ClearRange { range } if !range.is_empty() => drop(ranges.insert(range)),
            Mutation::ClearRange { .. } | Mutation::SetVersionstampedKey { .. } => {}
        }
    }
    let mut text: String = keys.into_iter().flat_map(characters).collect();
    for range in ranges {
        if text.len() + 2 + 2 * (range.begin.len() + range.end.len()) > LONGEST {
            return Some(ALL.to_owned());
        }
        text.push(';');
        hex(&mut text, &range.begin);
        text.push('-');
        hex(&mut text, &range.end);
    }
    match text.len() {
        0 => None,
        1..=LONGEST => Some(text),
        _ => Some(ALL.to_owned()),
    }
}

/// What is heard: the text, and the version up to which everything has been heard with it. `None`: it comes from a program that tells none.
pub(super) fn heard(payload: &str) -> (Touched, Option<Version>) {
    match payload.rsplit_once('@') {
        Some((text, version)) => (Touched::read(text), version.parse().ok().map(Version)),
        None => (Touched::read(payload), None),
    }
}

/// A text, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Anything may have been.
    All,
    /// What has one of these hashes or lies in one of these ranges.
    These(BTreeSet<u32>, Vec<KeyRange>),
}

impl Touched {
    /// Reads a text. What can't be understood, since a later program wrote it, stands for everything.
    pub(super) fn read(text: &str) -> Self {
        Self::read_known(text).unwrap_or(Touched::All)
    }

    fn read_known(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let hashes = parts.next()?.as_bytes().chunks(4).map(number).collect::<Option<_>>()?;
        let range = |part: &str| {
            let (begin, end) = part.split_once('-')?;
            Some(KeyRange::new(unhex(begin)?, unhex(end)?))
        };
        Some(Touched::These(hashes, parts.map(range).collect::<Option<_>>()?))
    }

    /// Whether `key` may have been touched.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        match self {
            Touched::All => true,
            Touched::These(hashes, ranges) => {
                hashes.contains(&hash(key)) || ranges.iter().any(|range| range.contains(key))
            }
        }
    }
}

/// 24 bits of FNV-1a.
fn hash(key: &[u8]) -> u32 {
    let hash =
        key.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 8) ^ (hash & 0xff)
}

fn characters(number: u32) -> [char; 4] {
    [18, 12, 6, 0].map(|shift| char::from(DIGITS[(number >> shift) as usize & 63]))
}

fn number(characters: &[u8]) -> Option<u32> {
    let digits: [u8; 4] = characters.try_into().ok()?;
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte);
    digits.into_iter().try_fold(0, |number, byte| Some(number << 6 | u32::try_from(digit(byte)?).ok()?))
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs =
        text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(commit: &Commit) -> Touched {
        Touched::read(&text([commit].into_iter()).expect("a text"))
    }

    #[test]
    fn every_touched_key_is_told() {
        let commit = Commit::blind().set("a", "x").add("b", 1).clear("c").set_stamped("d", "", "");
        let touched = touched(
            &commit.clear_range(KeyRange::new("m", "p")).clear_range(KeyRange::new(vec![0, 255], vec![1])),
        );
        for key in ["a", "b", "c", "d", "m", "n", "o\u{7f}"] {
            assert!(touched.may_hold(key.as_bytes()), "{key:?}");
        }
        assert!(touched.may_hold(&[0, 255, 3]));
        for key in ["e", "p", "l", "aa"] {
            assert!(!touched.may_hold(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn the_version_is_behind_the_text() {
        let text = text([&Commit::blind().set("a", "x")].into_iter()).expect("a text");
        for (payload, version) in [(format!("{text}@17"), Some(Version(17))), (text.clone(), None)] {
            let (touched, heard) = heard(&payload);
            assert!(touched.may_hold(b"a") && !touched.may_hold(b"b"), "{payload}");
            assert_eq!(heard, version, "{payload}");
        }
        assert_eq!(heard("*@5"), (Touched::All, Some(Version(5))));
        assert_eq!(heard(&format!("{text}@x")).1, None);
    }

    #[test]
    fn what_is_too_long_stands_for_everything() {
        let many = (0..2_500_u32).fold(Commit::blind(), |many, key| many.set(key.to_be_bytes().to_vec(), ""));
        assert_eq!(touched(&many), Touched::All);
        let long = Commit::blind().clear_range(KeyRange::new(vec![b'a'; 5_000], "b"));
        assert_eq!(touched(&long), Touched::All);
        let some = (0..1_500_u32).fold(Commit::blind(), |some, key| some.set(key.to_be_bytes().to_vec(), ""));
        assert!(matches!(touched(&some), Touched::These(..)));
    }

    #[test]
    fn nothing_to_watch_is_not_told_and_nonsense_is_everything() {
        assert_eq!(text([&Commit::blind().stamped("log/", "", "x")].into_iter()), None);
        for nonsense in ["*", "AAA", "AAAA;", "AAAA;0-1", "AAAA;zz-00", "ÄÄ", ";é-00"] {
            assert_eq!(Touched::read(nonsense), Touched::All, "{nonsense}");
        }
    }
}
