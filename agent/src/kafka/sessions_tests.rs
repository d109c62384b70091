//! Sessions as their clients see them.

use super::*;

fn key(index: i32) -> Key {
    (TopicKey::Name("t".into()), index)
}

fn wanted(offset: i64) -> Wanted {
    Wanted { offset, max_bytes: 1, current_leader_epoch: -1, last_fetched_epoch: -1 }
}

fn ask(id: i32, epoch: i32, partitions: &[i32], forgotten: &[i32]) -> Ask {
    Ask {
        id,
        epoch,
        by_id: false,
        partitions: partitions.iter().map(|index| (key(*index), wanted(0))).collect(),
        forgotten: forgotten.iter().map(|index| key(*index)).collect(),
    }
}

fn indexes(granted: &Granted) -> Vec<i32> {
    granted.partitions.iter().map(|((_, index), ..)| *index).collect()
}

#[tokio::test]
async fn a_session_remembers_forgets_and_counts_its_epochs() {
    let sessions = Sessions::default();
    let first = sessions.take(ask(0, FIRST_EPOCH, &[0, 1, 2], &[]), 7, 10).unwrap();
    assert_eq!((first.id, first.incremental, indexes(&first)), (7, false, vec![0, 1, 2]));
    let second = sessions.take(ask(7, 1, &[3], &[1]), 0, 10).unwrap();
    assert_eq!((second.id, second.incremental, indexes(&second)), (7, true, vec![0, 2, 3]));
    assert_eq!(sessions.take(ask(7, 1, &[], &[]), 0, 10).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(sessions.take(ask(8, 1, &[], &[]), 0, 10).unwrap_err(), ErrorCode::FetchSessionIdNotFound);
    let other = Ask { by_id: true, ..ask(7, 2, &[5], &[]) };
    assert_eq!(sessions.take(other, 0, 10).unwrap_err(), ErrorCode::FetchSessionTopicIdError);
    let told = Told { high_watermark: 5, log_start: 0 };
    sessions.told(7, [(key(0), Some(told), true), (key(2), Some(told), false)]);
    let third = sessions.take(ask(7, 2, &[], &[]), 0, 10).unwrap();
    assert_eq!(indexes(&third), [2, 3, 0]);
    assert_eq!(third.partitions.iter().map(|p| p.2).collect::<Vec<_>>(), [Some(told), None, Some(told)]);
    let last = sessions.take(ask(7, 3, &[], &[0, 2, 3]), 0, 10).unwrap();
    assert_eq!((last.id, last.partitions.len()), (0, 0));
    assert_eq!(sessions.lock().partitions, 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_and_their_partitions_are_bounded() {
    let sessions = Sessions::default();
    let begin =
        |id: u32, partitions: &[i32]| sessions.take(ask(0, FIRST_EPOCH, partitions, &[]), id, 2).unwrap().id;
    assert_eq!((begin(1, &[0]), begin(2, &[0, 1])), (1, 2));
    assert_eq!(begin(3, &[0]), 0, "nobody makes room for an equal");
    assert_eq!(begin(3, &[0, 1]), 3, "a smaller one makes room");
    assert_eq!(sessions.take(ask(1, 1, &[], &[]), 0, 2).unwrap_err(), ErrorCode::FetchSessionIdNotFound);
    tokio::time::advance(IDLE).await;
    assert_eq!(begin(4, &[0]), 4, "an idle one makes room");
    assert_eq!(sessions.lock().sessions.len(), 2);
    let many: Vec<i32> = (0..=PARTITIONS as i32).collect();
    assert_eq!(begin(5, &many), 0);
    let expected: usize = sessions.lock().sessions.values().map(|s| s.order.len()).sum();
    assert_eq!(sessions.lock().partitions, expected);
}

#[tokio::test]
async fn a_session_that_is_given_up_is_gone() {
    let sessions = Sessions::default();
    sessions.take(ask(0, FIRST_EPOCH, &[0], &[]), 9, 10).unwrap();
    let without = sessions.take(ask(9, NO_EPOCH, &[4], &[]), 0, 10).unwrap();
    assert_eq!((without.id, indexes(&without)), (0, vec![4]));
    assert_eq!(sessions.lock().sessions.len(), 0);
}
