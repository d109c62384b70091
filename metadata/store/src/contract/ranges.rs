//! Reading ranges.

use bytes::Bytes;

use super::Subject;
use super::kit::{Db, commit, entries, entry, limit, set, snapshot};
use crate::{Commit, Entry, KeyRange, RangeLimit, ReadAllError, Snapshot, read_all};

async fn filled(subject: &dyn Subject, count: u32) -> (Db, Vec<Entry>) {
    let db = subject.open().await;
    let mut fill = Commit::blind();
    let mut all = Vec::new();
    for item in 0..count {
        let (key, value) = (format!("k/{item:05}"), format!("value {item}"));
        fill = fill.set(key.clone(), value.clone());
        all.push((key.into(), value.into()));
    }
    commit(&db, fill.set("j", "before").set("l", "behind")).await;
    (db, all)
}

pub(super) async fn a_range_includes_its_begin_and_not_its_end(subject: &dyn Subject) {
    let db = subject.open().await;
    for key in ["a", "b", "b\0", "c", "d"] {
        set(&db, key, "x").await;
    }
    let read = snapshot(&db).await;
    let expected = [entry("b", "x"), entry("b\0", "x"), entry("c", "x")];
    assert_eq!(entries(&*read, &KeyRange::new("b", "d")).await, expected);
    assert_eq!(entries(&*read, &KeyRange::key("b")).await, [entry("b", "x")]);
    assert_eq!(entries(&*read, &KeyRange::prefix("b")).await, [entry("b", "x"), entry("b\0", "x")]);
}

pub(super) async fn a_range_is_in_byte_order(subject: &dyn Subject) {
    let db = subject.open().await;
    let sorted: [&[u8]; 8] = [b"\0", b"1", b"10", b"2", b"\x7f", b"\x80", b"\xc3\xa4", b"\xfe"];
    for place in [3, 0, 7, 5, 1, 6, 2, 4] {
        commit(&db, Commit::blind().set(sorted[place], "x")).await;
    }
    let read = entries(&*snapshot(&db).await, &KeyRange::new("", vec![0xff])).await;
    assert_eq!(read.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>(), sorted);
    let page = snapshot(&db).await.range(&KeyRange::new("", vec![0xff]), limit(100, 1 << 20, true)).await;
    let mut backwards = page.expect("a page").entries;
    backwards.reverse();
    assert_eq!(backwards, read);
}

/// Reads a range page by page, as a caller does.
async fn paged(snapshot: &dyn Snapshot, range: &KeyRange, limit: RangeLimit) -> Vec<Entry> {
    let (mut rest, mut all) = (range.clone(), Vec::new());
    loop {
        let page = snapshot.range(&rest, limit).await.expect("a page");
        assert!(page.entries.len() <= limit.entries.max(1), "a page is no longer than its limit");
        let last = page.entries.last().map(|(key, _)| key.clone());
        all.extend(page.entries);
        assert!(all.len() < 100_000, "the pages never end");
        match last {
            Some(last) if page.more && limit.reverse => rest.end = last,
            Some(last) if page.more => rest.begin = KeyRange::key(last).end,
            None if page.more => panic!("a page without entries says that there is more"),
            _ => return all,
        }
    }
}

pub(super) async fn pages_make_the_whole(subject: &dyn Subject) {
    let (db, all) = filled(subject, 103).await;
    let read = snapshot(&db).await;
    for entries in [1, 2, 10, 102, 103, 104, 10_000] {
        let limit = limit(entries, 1 << 20, false);
        assert_eq!(paged(&*read, &KeyRange::prefix("k/"), limit).await, all, "{entries} a page");
    }
    for bytes in [1, 15, 16, 40, 1_000] {
        assert_eq!(paged(&*read, &KeyRange::prefix("k/"), limit(1_000, bytes, false)).await, all);
    }
}

pub(super) async fn reverse_pages_make_the_whole(subject: &dyn Subject) {
    let (db, mut all) = filled(subject, 103).await;
    all.reverse();
    let read = snapshot(&db).await;
    for entries in [1, 2, 10, 102, 103, 104, 10_000] {
        let limit = limit(entries, 1 << 20, true);
        assert_eq!(paged(&*read, &KeyRange::prefix("k/"), limit).await, all, "{entries} a page");
    }
    let first = read.range(&KeyRange::prefix("k/"), limit(2, 1 << 20, true)).await.expect("a page");
    assert_eq!(first.entries, all[..2], "a reverse page begins at the end");
}

pub(super) async fn more_is_said_if_and_only_if_there_is_more(subject: &dyn Subject) {
    let (db, all) = filled(subject, 10).await;
    let read = snapshot(&db).await;
    for reverse in [false, true] {
        for entries in [1, 5, 9] {
            let page = read.range(&KeyRange::prefix("k/"), limit(entries, 1 << 20, reverse)).await;
            let page = page.expect("a page");
            assert!(page.more, "{entries} of 10");
            assert_eq!(page.entries.len(), entries);
        }
        // At the exact end `more` may be said, since "may hold"; then the next page is empty.
        let page = read.range(&KeyRange::prefix("k/"), limit(11, 1 << 20, reverse)).await.expect("a page");
        assert!(!page.more, "all of it, and room for more");
        assert_eq!(page.entries.len(), all.len());
    }
}

pub(super) async fn a_limit_in_bytes_ends_a_page(subject: &dyn Subject) {
    let db = subject.open().await;
    for item in 0..10_u8 {
        // 2 + 98 = 100 bytes an entry.
        commit(&db, Commit::blind().set(vec![b'k', item], vec![item; 98])).await;
    }
    let read = snapshot(&db).await;
    for (bytes, expected) in [(1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (201, 3), (950, 10)] {
        for reverse in [false, true] {
            let page = read.range(&KeyRange::prefix("k"), limit(1_000, bytes, reverse)).await;
            let page = page.expect("a page");
            assert_eq!(page.entries.len(), expected, "{bytes} bytes");
            assert!(page.more || expected == 10);
        }
    }
}

pub(super) async fn an_entry_is_returned_whatever_the_limits(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().set("k", vec![7; 50_000]).set("l", "x")).await;
    for limit in [limit(0, 0, false), limit(0, 1, false), limit(1, 0, false), limit(9, 10, false)] {
        let page = snapshot(&db).await.range(&KeyRange::new("k", "z"), limit).await.expect("a page");
        assert_eq!(page.entries, [(Bytes::from("k"), Bytes::from(vec![7; 50_000]))]);
        assert!(page.more);
    }
}

pub(super) async fn an_empty_range_is_empty(subject: &dyn Subject) {
    let (db, _) = filled(subject, 3).await;
    let read = snapshot(&db).await;
    for (begin, end) in [("k/", "k/"), ("z", "a"), ("k/00000", "k/00000"), ("m", "n"), ("l", "k")] {
        for reverse in [false, true] {
            let page = read.range(&KeyRange::new(begin, end), limit(10, 1 << 20, reverse)).await;
            let page = page.expect("a page");
            assert!(page.entries.is_empty() && !page.more, "{begin} to {end}");
        }
    }
}

pub(super) async fn read_all_reads_all_up_to_its_cap(subject: &dyn Subject) {
    let db = subject.open().await;
    for item in 0..30_u8 {
        commit(&db, Commit::blind().set(vec![b'k', item], vec![item; 99_998])).await;
    }
    let (read, range) = (snapshot(&db).await, KeyRange::prefix("k"));
    let all = read_all(&*read, &range, 3_000_000).await.expect("all");
    assert_eq!(all.len(), 30);
    assert!(all.iter().zip(0_u8..).all(|((key, value), item)| key[1] == item && value[0] == item));
    let over = read_all(&*read, &range, 2_999_999).await;
    assert_eq!(over, Err(ReadAllError::OverCap { cap: 2_999_999 }));
}
