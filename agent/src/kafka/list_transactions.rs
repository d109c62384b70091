//! ListTransactions, versions 0 to 2 (KIP-664; by duration from 1, by a pattern from 2 on).

use siltstone_kafka::ErrorCode;
use siltstone_kafka::list_transactions::response::TransactionState;
use siltstone_kafka::list_transactions::{Request, Response};
use siltstone_log::TxnState;
use siltstone_metadata::group::consumer::compile_pattern;

use super::context::Context;
use super::errors;
use crate::transaction::ListFilter;

/// Kafka's names of states in which no transaction ever is here: an end is one commit.
const NEVER: [&str; 4] = ["PrepareCommit", "PrepareAbort", "Dead", "PrepareEpochFence"];

/// Kafka's name of a state.
pub(super) fn state_name(state: TxnState) -> &'static str {
    match state {
        TxnState::Empty => "Empty",
        TxnState::Ongoing => "Ongoing",
        TxnState::CompleteCommit => "CompleteCommit",
        TxnState::CompleteAbort => "CompleteAbort",
    }
}

fn state(name: &str) -> Option<TxnState> {
    use TxnState::{CompleteAbort, CompleteCommit, Empty, Ongoing};
    [Empty, Ongoing, CompleteCommit, CompleteAbort].into_iter().find(|state| state_name(*state) == name)
}

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut response = Response::default();
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let pattern = match pattern.as_deref().map(compile_pattern).transpose() {
        Ok(pattern) => pattern,
        Err(error) => {
            tracing::debug!(%error, "a pattern of transactional ids");
            response.error_code = ErrorCode::InvalidRegularExpression.code();
            return response;
        }
    };
    let matches = |id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
    let states: Vec<TxnState> = request.state_filters.iter().filter_map(|name| state(name)).collect();
    let filter = ListFilter {
        states: (!request.state_filters.is_empty()).then_some(states),
        producer_ids: Some(request.producer_id_filters.as_slice()).filter(|ids| !ids.is_empty()),
        older_than_ms: Some(request.duration_filter).filter(|ms| *ms >= 0),
        id: Some(&matches),
    };
    match cx.engine().transactions().list(&filter).await {
        Ok(listed) => {
            let told = |one: crate::transaction::ListedTransaction| TransactionState {
                transactional_id: one.id,
                producer_id: one.producer_id,
                transaction_state: state_name(one.state).to_owned(),
            };
            response.transaction_states = listed.into_iter().map(told).collect();
        }
        Err(error) => response.error_code = errors::transaction(&error, true).code(),
    }
    let unknown = |name: &String| state(name).is_none() && !NEVER.contains(&name.as_str());
    response.unknown_state_filters = request.state_filters.into_iter().filter(unknown).collect();
    response
}
