//! What several APIs do with topics: find them, make them, wait until this agent knows what was done.
//!
//! "No such topic" and "topic exists" rest on a catalog that is at least as new as the request ([`catalog`]); a change is answered
//! once this agent's catalog and shards show it ([`settle`]), so that the client's next request here finds it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use siltstone_kafka::ErrorCode;
use siltstone_log::{PartitionId, TopicRow};
use siltstone_metadata::catalog::{CatalogError, CatalogState, NewTopic};
use tokio::time::Instant;

use super::context::Context;
use super::refused::Refused;
use crate::placement::Placement;

/// Changes that one request has under way at once: they share the store's group commits.
const AT_ONCE: usize = 64;
/// A request's own timeout counts within these bounds: some clients send 0 and mean "soon".
const LEAST_PATIENCE_MS: i32 = 1_000;
const MOST_PATIENCE_MS: i32 = 300_000;
/// Bits of what a client may do with a topic, and with the cluster: everything, as nothing is authorized yet. The bit of an
/// operation is its number in Kafka's ACLs: 3 to 8, 10 and 11 for topics, 5 and 7 to 12 for the cluster.
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// See [`TOPIC_OPERATIONS`].
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// What stands for "not asked for" where operations are answered.
pub(super) const NO_OPERATIONS: i32 = i32::MIN;

/// Whether clients hide a topic of this name unless told otherwise.
pub(super) fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// Which agent does what just now, as clients of this listener are told.
pub(super) fn placement(cx: &Context) -> Arc<Placement> {
    cx.engine().placement(&cx.listener)
}

/// A partition's leader for this client, and one agent in each zone that stands for it; by node id.
pub(super) fn nodes(placement: &Placement, partition: PartitionId, zone: Option<&str>) -> (i32, Vec<i32>) {
    let leader = placement.leader(partition, zone).map_or(-1, |broker| broker.node);
    (leader, placement.replicas(partition).map(|broker| broker.node).collect())
}

/// Until when a request with this timeout waits.
pub(super) fn deadline(timeout_ms: i32) -> Instant {
    let patience = timeout_ms.clamp(LEAST_PATIENCE_MS, MOST_PATIENCE_MS);
    Instant::now() + Duration::from_millis(patience as u64)
}

/// Waits for `work` until `deadline`.
pub(super) async fn in_time<T, E: Into<Refused>>(
    deadline: Instant,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Refused> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Refused::late()),
    }
}

/// Calls `act` for every item, several at a time. Results are in the items' order.
pub(super) async fn each<T, F: Future>(items: Vec<T>, act: impl Fn(T) -> F) -> Vec<F::Output> {
    let mut results = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    loop {
        let some: Vec<F> = items.by_ref().take(AT_ONCE).map(&act).collect();
        if some.is_empty() {
            return results;
        }
        results.extend(futures::future::join_all(some).await);
    }
}

/// Those that occur more than once.
pub(super) fn twice<K: Ord + Clone>(keys: impl IntoIterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    keys.into_iter().filter(|key| !seen.insert(key.clone())).collect()
}

/// The catalog, at least as new as this call.
pub(super) async fn catalog(cx: &Context) -> Result<Arc<CatalogState>, Refused> {
    Ok(cx.engine().catalog().fresh().await?)
}

/// The topic of this name; that there is none is said only from a catalog as new as this call.
pub(super) async fn find(cx: &Context, name: &str) -> Result<Arc<TopicRow>, Refused> {
    if let Some(row) = cx.engine().catalog().state().topic(name) {
        return Ok(row.clone());
    }
    catalog(cx).await?.topic(name).cloned().ok_or_else(|| Refused::no_topic(name))
}

/// Makes topics, each or not, and returns when this agent can serve those that were made.
pub(super) async fn create(
    cx: &Context,
    topics: Vec<NewTopic>,
    deadline: Instant,
) -> Vec<Result<TopicRow, Refused>> {
    let changes = cx.engine().changes();
    let make = |topic: NewTopic| async move {
        let name = topic.name.clone();
        match tokio::time::timeout_at(deadline, changes.create(topic)).await {
            Ok(Err(CatalogError::Exists(_))) => Err(exists(&name)),
            Ok(result) => result.map_err(Refused::from),
            Err(_) => Err(Refused::late()),
        }
    };
    let mut made = each(topics, make).await;
    if let Err(refused) = settle(cx, made.iter().flatten(), deadline).await {
        made.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(refused.clone()));
    }
    made
}

/// The answer to a creation of what is there.
pub(super) fn exists(name: &str) -> Refused {
    Refused::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists."))
}

/// Waits until this agent's catalog and shards have what was just done to these topics.
pub(super) async fn settle(
    cx: &Context,
    rows: impl Iterator<Item = &TopicRow>,
    deadline: Instant,
) -> Result<(), Refused> {
    let followers = cx.engine().followers();
    let shards = u32::from(followers.count());
    // Consecutive partitions fall on consecutive shards: the first few stand for all.
    let of = |row: &TopicRow| {
        let topic = row.id;
        (0..row.partitions.min(shards)).map(move |index| PartitionId { topic, index })
    };
    let partitions: Vec<PartitionId> = rows.flat_map(of).collect();
    if partitions.is_empty() {
        return Ok(());
    }
    in_time(deadline, cx.engine().catalog().fresh()).await?;
    in_time(deadline, followers.settled(partitions)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_keeps_the_order_and_has_a_bound() {
        let (now, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let act = |number: usize| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                number * 2
            }
        };
        let results = each((0..200).collect(), act).await;
        assert_eq!(results, (0..200).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(most.get(), AT_ONCE);
    }

    #[test]
    fn operations_are_those_of_a_broker_without_authorizer() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }

    #[test]
    fn twice_names_each_once() {
        assert_eq!(twice(["a", "b", "a", "a"]), BTreeSet::from(["a"]));
        assert!(twice(["a", "b"]).is_empty());
    }
}
