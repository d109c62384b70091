//! CreatePartitions, versions 0 to 3.
//!
//! As in Kafka: partitions are only ever added; a topic that is named twice is refused, once. An assignment is judged as for a new topic, by
//! itself: the replication factor that was kept when the topic was made stays what it is.

use std::collections::BTreeSet;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::create_partitions::{Request, Response, request, response};
use siltstone_log::{MAX_PARTITIONS, TopicRow};
use siltstone_metadata::catalog::CatalogError;
use tokio::time::Instant;

use super::context::Context;
use super::refused::{Refused, outcome};
use super::{new_topic, topics};

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let deadline = topics::deadline(request.timeout_ms);
    let validate_only = request.validate_only;
    let twice = topics::twice(request.topics.iter().map(|topic| topic.name.clone()));
    let mut seen = BTreeSet::new();
    let mut asked = request.topics;
    asked.retain(|topic| seen.insert(topic.name.clone()));
    let names: Vec<String> = asked.iter().map(|topic| topic.name.clone()).collect();
    let twice = &twice;
    let act = |topic: request::Topic| async move {
        if twice.contains(&topic.name) {
            return Err(Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
        }
        grow(cx, &topic, validate_only, deadline).await
    };
    let mut grown = topics::each(asked, act).await;
    let rows = grown.iter().flatten().flatten();
    if let Err(refused) = topics::settle(cx, rows, deadline).await {
        grown.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(refused.clone()));
    }
    let results = names.into_iter().zip(&grown).map(|(name, result)| {
        let (error_code, error_message) = outcome(result);
        response::Topic { name, error_code, error_message }
    });
    Response { results: results.collect(), ..Response::default() }
}

/// The topic as it is then; `None` if it was only to be judged.
async fn grow(
    cx: &Context,
    asked: &request::Topic,
    validate_only: bool,
    deadline: Instant,
) -> Result<Option<TopicRow>, Refused> {
    let catalog = topics::catalog(cx).await?;
    let row = catalog.topic(&asked.name).ok_or_else(|| Refused::no_topic(&asked.name))?;
    let count = judge(asked, row.partitions)?;
    if validate_only {
        return Ok(None);
    }
    let grow = cx.engine().changes().add_partitions(&asked.name, row.partitions, count);
    match tokio::time::timeout_at(deadline, grow).await {
        Ok(Err(CatalogError::NotMore(now))) => Err(no_increase(asked, now)),
        Ok(result) => Ok(Some(result?)),
        Err(_) => Err(Refused::late()),
    }
}

/// The number of partitions that is asked for, of a topic that has `now`. Pure.
fn judge(asked: &request::Topic, now: u32) -> Result<u32, Refused> {
    let Some(count) = u32::try_from(asked.count).ok().filter(|count| *count > now) else {
        return Err(no_increase(asked, now));
    };
    if count > MAX_PARTITIONS {
        let message = format!("A topic has at most {MAX_PARTITIONS} partitions.");
        return Err(Refused::new(ErrorCode::InvalidPartitions, message));
    }
    if let Some(assignments) = &asked.assignments {
        let (added, given) = (count - now, assignments.len());
        if added as usize != given {
            let message = format!("{added} partitions are to be added, but {given} assignments are given.");
            return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        new_topic::check_replicas(assignments.iter().map(|one| one.broker_ids.as_slice()), None)?;
    }
    Ok(count)
}

fn no_increase(asked: &request::Topic, now: u32) -> Refused {
    let message = if i64::from(asked.count) == i64::from(now) {
        format!("Topic already has {now} partition(s).")
    } else {
        format!("Topic '{}' has {now} partition(s): {} would not be more.", asked.name, asked.count)
    };
    Refused::new(ErrorCode::InvalidPartitions, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(count: i32, assignments: Option<&[&[i32]]>) -> Result<u32, ErrorCode> {
        let assignments = assignments
            .map(|all| all.iter().map(|ids| request::Assignment { broker_ids: ids.to_vec() }).collect());
        let asked = request::Topic { name: "t".into(), count, assignments };
        judge(&asked, 2).map_err(|refused| refused.code)
    }

    #[test]
    fn counts_only_grow_and_assignments_fit() {
        let no_more = Err(ErrorCode::InvalidPartitions);
        let unfit = Err(ErrorCode::InvalidReplicaAssignment);
        assert_eq!(judged(3, None), Ok(3));
        assert_eq!(judged(2, None), no_more);
        assert_eq!(judged(1, None), no_more);
        assert_eq!(judged(-1, None), no_more);
        assert_eq!(judged(i32::MAX, None), no_more);
        assert_eq!(judged(4, Some(&[&[1], &[2]])), Ok(4));
        assert_eq!(judged(4, Some(&[&[1]])), unfit);
        assert_eq!(judged(3, Some(&[])), unfit);
        assert_eq!(judged(4, Some(&[&[1], &[]])), unfit);
        assert_eq!(judged(4, Some(&[&[1], &[1, 2]])), unfit);
    }
}
