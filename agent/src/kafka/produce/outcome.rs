//! From what the fold said to what the client is told.

use std::pin::pin;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::produce::Response;
use siltstone_kafka::produce::response::Partition;
use siltstone_log::PartitionId;
use siltstone_metadata::shard::Verdict;

use tokio::time::{Instant, timeout_at};

use super::{Begun, NO_OFFSET, Refused, Sent, led_elsewhere};
use crate::kafka::context::Context;
use crate::kafka::errors;
use crate::produce::{Ticket, WriteError, WriteOutcome};

/// What is to be said of one partition; an error can't be said, only shown by closing the connection.
type Said = Result<Partition, String>;

impl Begun {
    /// Waits for the batches, for as long as the client does.
    ///
    /// # Errors
    /// Why the connection has to be closed.
    pub(crate) async fn finish(self) -> Result<Response, String> {
        let Begun { cx, version, timeout, ticket, topics, .. } = self;
        let idempotent = topics.iter().flat_map(|(_, parts)| parts).flatten().map(|sent| sent.idempotent);
        let outcomes = match idempotent.reduce(|all, one| all && one) {
            Some(again) => outcomes(&cx, ticket, Instant::now() + timeout, again).await,
            None => Some(Vec::new()),
        };
        let in_time = outcomes.is_some();
        let mut outcomes = outcomes.unwrap_or_default().into_iter();
        let mut response = Response::default();
        for (mut topic, parts) in topics {
            for (answer, part) in topic.partition_responses.iter_mut().zip(parts) {
                let index = answer.index;
                let said = match part {
                    Err(refused) => Ok(say_refused(&cx, refused)),
                    Ok(_) if !in_time => Ok(say(ErrorCode::RequestTimedOut)),
                    Ok(sent) => {
                        let outcome = outcomes.next().unwrap_or(Err(WriteError::Lost));
                        say_outcome(&cx, version, &sent, outcome, topic.name.is_empty())
                    }
                };
                *answer = Partition { index, ..said? };
            }
            response.responses.push(topic);
        }
        Ok(response)
    }

    /// The same for acks=0: whatever is no success closes the connection.
    pub(crate) async fn finish_unanswered(self) -> Result<(), String> {
        for outcome in self.ticket.outcomes().await {
            let why = match outcome {
                Ok(verdict) if errors::verdict(&verdict).is_none() => continue,
                Ok(verdict) => format!("{verdict:?}"),
                Err(error) => error.to_string(),
            };
            return Err(format!("produce without acknowledgement failed: {why}"));
        }
        Ok(())
    }
}

/// What became of the batches, if that is known in time. What is sent again without harm is not waited for once this agent is out of touch with the others:
/// they know no less of it, and go on.
async fn outcomes(cx: &Context, ticket: Ticket, deadline: Instant, again: bool) -> Option<Vec<WriteOutcome>> {
    let mut outcomes = pin!(ticket.outcomes());
    loop {
        let alive = cx.engine().alive_until().filter(|_| again).unwrap_or(deadline);
        if let Ok(outcomes) = timeout_at(alive.min(deadline), &mut outcomes).await {
            return Some(outcomes);
        }
        if Instant::now() >= deadline || cx.engine().out_of_touch() {
            return None;
        }
    }
}

fn say(code: ErrorCode) -> Partition {
    Partition { error_code: code.code(), base_offset: NO_OFFSET, ..Partition::default() }
}

fn say_refused(cx: &Context, refused: Refused) -> Partition {
    let log_start = refused.log_start.map_or(NO_OFFSET, |id| log_start(cx, id));
    Partition {
        error_message: refused.message,
        record_errors: refused.records,
        log_start_offset: log_start,
        ..say(refused.code)
    }
}

fn log_start(cx: &Context, id: PartitionId) -> i64 {
    cx.engine().followers().of(id).partition(id, |state| state.log_start()).unwrap_or(NO_OFFSET)
}

fn say_outcome(cx: &Context, version: i16, sent: &Sent, outcome: WriteOutcome, by_id: bool) -> Said {
    let log_start_offset = log_start(cx, sent.partition);
    match outcome {
        Ok(Verdict::Appended { base_offset } | Verdict::Duplicate { base_offset }) => Ok(Partition {
            base_offset,
            log_append_time_ms: sent.log_append_time,
            log_start_offset,
            ..Partition::default()
        }),
        // The topic was deleted meanwhile.
        Ok(Verdict::NoPartition) if by_id => Ok(say(ErrorCode::UnknownTopicId)),
        Ok(verdict) => {
            let code = errors::verdict(&verdict).unwrap_or(ErrorCode::UnknownServerError);
            Ok(Partition { log_start_offset, error_message: message(&verdict), ..say(code) })
        }
        Err(error @ WriteError::Storage(_)) if led_elsewhere(cx, sent.partition) => {
            let error_message = Some(error.to_string());
            Ok(Partition { error_message, ..say(ErrorCode::NotLeaderOrFollower) })
        }
        Err(error) => match errors::write(&error, version, sent.idempotent) {
            Some(code) => Ok(Partition { error_message: Some(error.to_string()), ..say(code) }),
            None => Err(format!("produce: {error}")),
        },
    }
}

fn message(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::OutOfOrder { expected } => Some(format!("the sequence that comes next is {expected}")),
        Verdict::Fenced { current } => Some(format!("the producer's epoch is {current} by now")),
        _ => None,
    }
}
