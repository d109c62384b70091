//! What each mutation does, and that those of one commit apply in order.

use bytes::Bytes;

use super::Subject;
use super::kit::{Db, commit, entries, entry, get, number, set, snapshot, under};
use crate::{Commit, KeyRange};

fn span(begin: &'static str, end: &'static str) -> KeyRange {
    KeyRange::new(begin, end)
}

pub(super) async fn a_set_is_read_back(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "value").await;
    assert_eq!(get(&db, "k").await, Some("value".into()));
    set(&db, "k", "").await;
    assert_eq!(get(&db, "k").await, Some("".into()), "an empty value is not an absent one");
}

pub(super) async fn the_last_set_stays(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().set("k", "1").set("k", "2").set("l", "1").set("k", "3")).await;
    assert_eq!(get(&db, "k").await, Some("3".into()));
}

pub(super) async fn a_clear_after_a_set_clears(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().set("k", "1").clear("k")).await;
    assert_eq!(get(&db, "k").await, None);
}

pub(super) async fn a_set_after_a_clear_stays(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k", "0").await;
    commit(&db, Commit::blind().clear("k").set("k", "1")).await;
    assert_eq!(get(&db, "k").await, Some("1".into()));
}

pub(super) async fn a_range_cleared_after_a_set_is_empty(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k/0", "0").await;
    let clear = Commit::blind().set("k/1", "1").add("k/2", 2).clear_range(KeyRange::prefix("k/"));
    commit(&db, clear.set("l", "stays")).await;
    assert_eq!(under(&db, "k/").await, []);
    assert_eq!(get(&db, "l").await, Some("stays".into()));
}

pub(super) async fn a_set_after_a_cleared_range_stays(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "k/0", "0").await;
    commit(&db, Commit::blind().clear_range(KeyRange::prefix("k/")).set("k/1", "1")).await;
    assert_eq!(under(&db, "k/").await, [entry("k/1", "1")]);
}

pub(super) async fn an_add_sees_what_came_before_it(subject: &dyn Subject) {
    let db = subject.open().await;
    let ten = 10_u64.to_le_bytes().to_vec();
    commit(&db, Commit::blind().add("a", 1).add("a", 2)).await;
    commit(&db, Commit::blind().set("b", ten.clone()).add("b", 1)).await;
    commit(&db, Commit::blind().add("c", 5).set("c", ten.clone())).await;
    commit(&db, Commit::blind().set("d", ten.clone())).await;
    commit(&db, Commit::blind().clear("d").add("d", 3)).await;
    commit(&db, Commit::blind().set("e", ten)).await;
    commit(&db, Commit::blind().clear_range(span("e", "f")).add("e", 4)).await;
    commit(&db, Commit::blind().add("f", 4).clear("f")).await;
    let mut read = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        read.push(number(get(&db, key).await));
    }
    assert_eq!(read, [3, 11, 10, 3, 4, 0]);
}

pub(super) async fn clearing_nothing_is_no_error(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().clear("absent").clear_range(span("b", "c"))).await;
    assert_eq!(entries(&*snapshot(&db).await, &span("", "z")).await, []);
}

pub(super) async fn a_cleared_range_has_exact_bounds(subject: &dyn Subject) {
    let db = subject.open().await;
    for key in ["a", "b", "b\0", "c", "cz", "d", "d\0"] {
        set(&db, key, "x").await;
    }
    commit(&db, Commit::blind().clear_range(span("b", "d"))).await;
    let left = entries(&*snapshot(&db).await, &span("", "z")).await;
    assert_eq!(left, [entry("a", "x"), entry("d", "x"), entry("d\0", "x")]);
}

pub(super) async fn an_empty_range_clears_nothing(subject: &dyn Subject) {
    let db = subject.open().await;
    set(&db, "b", "x").await;
    commit(&db, Commit::blind().clear_range(span("b", "b")).clear_range(span("c", "a"))).await;
    assert_eq!(get(&db, "b").await, Some("x".into()));
}

pub(super) async fn an_add_counts_an_absent_key_as_zero(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().add("n", 0x0102_0304_0506_0708)).await;
    assert_eq!(get(&db, "n").await, Some(Bytes::from_static(&[8, 7, 6, 5, 4, 3, 2, 1])));
}

async fn add_to(db: &Db, old: &'static [u8], delta: u64) -> Vec<u8> {
    commit(db, Commit::blind().set("n", old)).await;
    commit(db, Commit::blind().add("n", delta)).await;
    get(db, "n").await.expect("a value").to_vec()
}

pub(super) async fn an_add_fills_a_short_value(subject: &dyn Subject) {
    let db = subject.open().await;
    assert_eq!(add_to(&db, b"", 5).await, [5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(add_to(&db, &[255, 1], 1).await, [0, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(add_to(&db, &[1, 0, 0, 0, 0, 0, 9], 1).await, [2, 0, 0, 0, 0, 0, 9, 0]);
}

pub(super) async fn an_add_cuts_a_long_value(subject: &dyn Subject) {
    let db = subject.open().await;
    assert_eq!(add_to(&db, &[1, 0, 0, 0, 0, 0, 0, 0, 77], 1).await, [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(add_to(&db, &[255; 20], 0).await, [255; 8]);
}

pub(super) async fn an_add_wraps(subject: &dyn Subject) {
    let db = subject.open().await;
    assert_eq!(add_to(&db, &[255; 8], 3).await, [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(add_to(&db, &[255; 9], 1).await, [0; 8]);
}

pub(super) async fn an_add_of_the_complement_subtracts(subject: &dyn Subject) {
    let db = subject.open().await;
    commit(&db, Commit::blind().add("n", 10)).await;
    commit(&db, Commit::blind().add("n", 3_u64.wrapping_neg())).await;
    assert_eq!(number(get(&db, "n").await), 7);
}

pub(super) async fn keys_and_values_are_any_bytes(subject: &dyn Subject) {
    let db = subject.open().await;
    let odd: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\xff", b"\x01\0", b"\xc3\x28", b"\xfe\xff\xff"];
    for key in odd {
        commit(&db, Commit::blind().set(key, [key, b"\0\xff"].concat())).await;
    }
    let read = snapshot(&db).await;
    for key in odd {
        let value = read.get(key).await.expect("a value");
        assert_eq!(value, Some([key, b"\0\xff"].concat().into()), "{key:?}");
    }
    let all = entries(&*read, &KeyRange::new("", vec![0xff])).await;
    assert_eq!(all.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>(), odd);
}
