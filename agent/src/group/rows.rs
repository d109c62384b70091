//! A group's rows, read and written: what of a change goes into which transaction.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use siltstone_metadata::group::{Apart, Change};
use siltstone_metadata::keys::{group_head, group_member, group_offset, group_pending, parts};
use siltstone_store::{Mutation, Pages, Snapshot, StoreError};

/// What belongs together is written at once all the same.
const WRITTEN_AT_ONCE: usize = 4_000_000;

/// All members' rows, put together from their parts.
pub(super) async fn member_rows(
    snapshot: &dyn Snapshot,
    group: &str,
) -> Result<BTreeMap<String, Bytes>, StoreError> {
    let mut members: BTreeMap<String, BytesMut> = BTreeMap::new();
    let mut pages = Pages::of(group_member::of(group));
    while let Some(page) = pages.next(snapshot).await? {
        for (key, value) in &page {
            if let Some(member) = group_member::parse(key) {
                members.entry(member).or_default().extend_from_slice(value);
            }
        }
    }
    Ok(members.into_iter().map(|(id, bytes)| (id, bytes.freeze())).collect())
}

/// What removes a group and all of its offsets.
pub(super) fn deletion(group: &str) -> Vec<Mutation> {
    vec![
        Mutation::Clear { key: group_head::key(group) },
        Mutation::ClearRange { range: group_member::of(group) },
        Mutation::ClearRange { range: group_offset::of(group) },
        Mutation::ClearRange { range: group_pending::of(group) },
    ]
}

/// What changed, in as few transactions as hold it: nearly always one.
pub(super) fn transactions(group: &str, changes: Apart) -> Vec<Vec<Mutation>> {
    let Apart { undecided, targets, rest } = changes;
    let bytes = |mutations: &[Mutation]| mutations.iter().map(written_bytes).sum::<usize>();
    let (mut early, rest) = (mutations(group, targets), mutations(group, rest));
    if early.is_empty() && rest.is_empty() {
        return Vec::new();
    }
    if bytes(&early) + bytes(&rest) <= WRITTEN_AT_ONCE {
        early.extend(rest);
        return vec![early];
    }
    let mut parts = vec![mutations(group, undecided.into_iter().collect())];
    let mut size = 0;
    // What clears a row's range and what sets it may come apart only if the group is loaded anew, and then the next head decides: but a row must
    // not be lost, so that they stay together.
    for row in early.chunk_by(|_, next| matches!(next, Mutation::Set { .. })) {
        size += bytes(row);
        if size > WRITTEN_AT_ONCE {
            size = bytes(row);
            parts.push(Vec::new());
        }
        parts.last_mut().into_iter().for_each(|part| part.extend_from_slice(row));
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

/// What a mutation counts in a transaction, or more.
fn written_bytes(mutation: &Mutation) -> usize {
    match mutation {
        Mutation::Set { key, value } => 100 + 3 * key.len() + value.len(),
        Mutation::ClearRange { range } => 100 + 2 * (range.begin.len() + range.end.len()),
        _ => 100,
    }
}

fn mutations(group: &str, changes: Vec<Change>) -> Vec<Mutation> {
    let mut mutations = Vec::with_capacity(2 * changes.len());
    for change in changes {
        match change {
            Change::Head(head) => {
                mutations.push(Mutation::Set { key: group_head::key(group), value: head.encode().into() })
            }
            Change::Member(id, row) => {
                parts::set(&mut mutations, &group_member::prefix(group, &id), &row);
            }
            Change::Left(id) => mutations
                .push(Mutation::ClearRange { range: parts::range(&group_member::prefix(group, &id)) }),
        }
    }
    mutations
}

#[cfg(test)]
mod tests {
    use siltstone_log::{ConsumerHeadRow, GroupHeadRow};

    use super::*;

    fn head(target_epoch: i32) -> Change {
        Change::Head(GroupHeadRow::Consumer(ConsumerHeadRow { epoch: 5, target_epoch, topics_digest: 1 }))
    }

    fn apart(bytes: usize) -> Apart {
        let row = |number: usize| Change::Member(format!("m{number:03}"), vec![7; bytes].into());
        Apart {
            undecided: Some(head(4)),
            targets: (0..100).map(row).collect(),
            rest: vec![head(5), row(100)],
        }
    }

    #[test]
    fn a_small_change_is_one_transaction() {
        let Apart { targets, rest, .. } = apart(1000);
        let written = transactions("g", apart(1000));
        assert_eq!(written, vec![mutations("g", targets.into_iter().chain(rest).collect())]);
        let nothing = Apart { targets: vec![], rest: vec![], ..apart(0) };
        assert_eq!(transactions("g", nothing), Vec::<Vec<Mutation>>::new());
    }

    #[test]
    fn a_large_change_begins_undecided_and_ends_with_what_belongs_together() {
        let written = transactions("g", apart(100_000));
        assert!(written.len() >= 3, "{} transactions", written.len());
        let Apart { undecided, targets, rest } = apart(100_000);
        assert_eq!(written[0][0], mutations("g", undecided.into_iter().collect())[0]);
        assert_eq!(written.last(), Some(&mutations("g", rest)));
        let early: Vec<Mutation> = written[..written.len() - 1].concat()[1..].to_vec();
        assert_eq!(early, mutations("g", targets), "all of it, in order");
        for part in &written {
            assert!(part.iter().map(written_bytes).sum::<usize>() <= WRITTEN_AT_ONCE + 1000);
            let sets = |mutation: &Mutation| matches!(mutation, Mutation::Set { .. });
            let is_head = |mutation: &Mutation| matches!(mutation, Mutation::Set { key, .. } if *key == group_head::key("g"));
            let begins_a_row =
                part.iter().find(|mutation| !is_head(mutation)).is_some_and(|first| !sets(first));
            assert!(begins_a_row, "a row is in one transaction");
        }
    }
}
