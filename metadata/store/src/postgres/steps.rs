//! A group of commits as the arrays that `siltstone_commit_1` takes (see `schema.sql`): a row per step, five columns.
//!
//! | kind | step | number | a | b | c |
//! |---|---|---|---|---|---|
//! | 0 | a commit begins | read version or NULL | | | |
//! | 1 | a range that it read | | begin | end | |
//! | 2 | a declared write | | begin | end | |
//! | 3 | set | | key | | value |
//! | 4 | set at a stamped key | | before the stamp | behind it | value |
//! | 5 | set to a stamped value | | key | before the stamp | behind it |
//! | 6 | add | the delta | key | | |
//! | 7 | clear | | key | | |
//! | 8 | clear a range | | begin | end | |
//! | 9 | a write that changes nothing | | | | |
//!
//! A commit's reads come before its writes. Pure: no I/O.

use crate::{Commit, KeyRange, Mutation};

/// The columns, all of the same length, borrowed from the commits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps<'a> {
    pub(super) kinds: Vec<i16>,
    pub(super) numbers: Vec<Option<i64>>,
    pub(super) a: Vec<Option<&'a [u8]>>,
    pub(super) b: Vec<Option<&'a [u8]>>,
    pub(super) c: Vec<Option<&'a [u8]>>,
}

impl<'a> Steps<'a> {
    /// The steps of these commits, in their order.
    pub(super) fn of(commits: impl Iterator<Item = &'a Commit>) -> Self {
        let mut steps = Steps::default();
        commits.for_each(|commit| steps.commit(commit));
        steps
    }

    fn commit(&mut self, commit: &'a Commit) {
        // Beyond what the server can count is the future, too.
        let read = commit.read_version.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX));
        self.push(0, read, None, None, None);
        let reads = commit.reads.iter().filter(|range| !range.is_empty());
        reads.for_each(|range| self.range(1, range));
        for range in &commit.writes {
            self.range(if range.is_empty() { 9 } else { 2 }, range);
        }
        commit.mutations.iter().for_each(|mutation| self.mutation(mutation));
    }

    fn mutation(&mut self, mutation: &'a Mutation) {
        match mutation {
            Mutation::Set { key, value } => self.push(3, None, Some(key), None, Some(value)),
            Mutation::SetVersionstampedKey { prefix, suffix, value } => {
                self.push(4, None, Some(prefix), Some(suffix), Some(value));
            }
            Mutation::SetVersionstampedValue { key, prefix, suffix } => {
                self.push(5, None, Some(key), Some(prefix), Some(suffix));
            }
            Mutation::Add { key, delta } => {
                self.push(6, Some(delta.cast_signed()), Some(key), None, None);
            }
            Mutation::Clear { key } => self.push(7, None, Some(key), None, None),
            Mutation::ClearRange { range } => self.range(if range.is_empty() { 9 } else { 8 }, range),
        }
    }

    fn range(&mut self, kind: i16, range: &'a KeyRange) {
        self.push(kind, None, Some(&range.begin), Some(&range.end), None);
    }

    fn push(
        &mut self,
        kind: i16,
        number: Option<i64>,
        a: Option<&'a [u8]>,
        b: Option<&'a [u8]>,
        c: Option<&'a [u8]>,
    ) {
        self.kinds.push(kind);
        self.numbers.push(number);
        self.a.push(a);
        self.b.push(b);
        self.c.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    #[test]
    fn reads_come_first_and_empty_ranges_do_nothing() {
        let commit = Commit::at(Version(7)).set("k", "v").read_key("r").read(KeyRange::new("b", "a"));
        let commit = commit
            .touch(KeyRange::new("t", "u"))
            .clear_range(KeyRange::new("z", "y"))
            .add("n", 1_u64.wrapping_neg());
        let blind = Commit::blind().stamped("p", "s", "v");
        let steps = Steps::of([&commit, &blind].into_iter());
        assert_eq!(steps.kinds, [0, 1, 2, 3, 9, 6, 0, 4]);
        assert_eq!(steps.numbers, [Some(7), None, None, None, None, Some(-1), None, None]);
        assert_eq!(steps.a[1..4], [Some(&b"r"[..]), Some(b"t"), Some(b"k")]);
        assert_eq!((steps.a[7], steps.b[7], steps.c[7]), (Some(&b"p"[..]), Some(&b"s"[..]), Some(&b"v"[..])));
        assert!(
            [steps.a.len(), steps.b.len(), steps.c.len(), steps.numbers.len()].iter().all(|len| *len == 8)
        );
    }

    #[test]
    fn a_read_version_that_the_server_cannot_count_is_in_the_future() {
        let commit = Commit::at(Version(u64::MAX));
        assert_eq!(Steps::of([&commit].into_iter()).numbers, [Some(i64::MAX)]);
    }
}
