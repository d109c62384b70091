//! The contract suite: for each sentence of the contract at the head of this crate, a test that any backend can run.
//!
//! A backend's test file says how a fresh database is had and runs every clause as a test of its own:
//!
//! ```ignore
//! siltstone_store::contract_tests!(MySubject::new());
//! ```
//!
//! A clause panics if the backend breaks it. Clauses wait for conditions, with a deadline of [`DEADLINE`]; none asserts a
//! duration. They assume a backend that works: with injected faults a commit may rightly be refused.
//! That the suite itself has teeth is tested with a store that has one bug at a time (`tests/mutants.rs`).

mod concurrency;
mod conflicts;
mod kit;
mod limits;
mod mutations;
mod random;
mod ranges;
mod snapshots;
mod stamps;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::Store;

/// How long a clause waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A database under test, for one clause.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Why there is nothing to test here, such as a server that can't be had. It is said, and every clause passes.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Opens the database: empty the first time, later with all that was committed. A clause drops all that it has of a
    /// store before it opens the next.
    async fn open(&self) -> Arc<dyn Store>;
}

/// A clause: its name, and its test.
pub type Clause = (&'static str, for<'a> fn(&'a dyn Subject) -> LocalBoxFuture<'a, ()>);

/// Runs the clause of this name.
///
/// # Panics
/// If the subject breaks it, or there is no such clause.
pub async fn run(name: &str, subject: &dyn Subject) {
    let (_, clause) =
        CLAUSES.iter().find(|(known, _)| *known == name).expect("the contract has a clause of this name");
    match subject.missing() {
        Some(why) => skipped(name, &why),
        None => clause(subject).await,
    }
}

/// Says that a test did not run. Where it must, the one who knows why has panicked before.
#[allow(clippy::print_stderr, reason = "the test runner shows it")]
fn skipped(name: &str, why: &str) {
    eprintln!("SKIPPED {name}: {why}");
}

/// Hands the names of all clauses to a macro. The one list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_clause {
    ($then:ident $(, $more:tt)*) => {
        $crate::$then! {
            [$($more)*]
            snapshots: an_empty_store_has_nothing,
            snapshots: a_snapshot_sees_every_commit_told_before,
            snapshots: a_snapshot_sees_what_another_task_was_told,
            snapshots: versions_and_stamps_grow,
            snapshots: a_snapshot_never_changes,
            snapshots: a_snapshot_sees_only_what_its_version_says,
            snapshots: nothing_uncommitted_is_seen,
            snapshots: the_version_of_the_last_commit_can_be_read,
            snapshots: the_version_of_a_snapshot_can_be_read,
            snapshots: an_older_version_is_exact_or_refused,
            snapshots: a_version_of_the_future_is_refused,
            snapshots: what_was_committed_outlives_the_store,
            snapshots: versions_go_on_after_opening_again,
            conflicts: a_changed_key_conflicts,
            conflicts: the_same_value_again_conflicts,
            conflicts: a_changed_range_conflicts,
            conflicts: a_new_key_in_a_range_conflicts,
            conflicts: a_cleared_key_conflicts,
            conflicts: a_cleared_range_conflicts_whole,
            conflicts: an_add_conflicts,
            conflicts: a_stamped_key_conflicts,
            conflicts: a_stamped_value_conflicts,
            conflicts: declared_writes_conflict,
            conflicts: every_read_range_counts,
            conflicts: every_mutation_counts,
            conflicts: only_changes_after_the_read_version_conflict,
            conflicts: what_lies_outside_does_not_conflict,
            conflicts: an_empty_range_never_conflicts,
            conflicts: a_commit_does_not_conflict_with_itself,
            conflicts: a_conflict_changes_nothing,
            conflicts: a_conflicting_commit_does_not_conflict_with_others,
            conflicts: a_blind_commit_never_conflicts,
            conflicts: declared_writes_alone_never_conflict,
            conflicts: reading_a_snapshot_adds_no_conflict,
            conflicts: of_two_on_one_snapshot_one_wins,
            conflicts: a_resend_conflicts_with_its_first,
            conflicts: a_blind_resend_applies_again,
            conflicts: a_commit_that_changes_nothing_succeeds,
            mutations: a_set_is_read_back,
            mutations: the_last_set_stays,
            mutations: a_clear_after_a_set_clears,
            mutations: a_set_after_a_clear_stays,
            mutations: a_range_cleared_after_a_set_is_empty,
            mutations: a_set_after_a_cleared_range_stays,
            mutations: an_add_sees_what_came_before_it,
            mutations: clearing_nothing_is_no_error,
            mutations: a_cleared_range_has_exact_bounds,
            mutations: an_empty_range_clears_nothing,
            mutations: an_add_counts_an_absent_key_as_zero,
            mutations: an_add_fills_a_short_value,
            mutations: an_add_cuts_a_long_value,
            mutations: an_add_wraps,
            mutations: an_add_of_the_complement_subtracts,
            mutations: keys_and_values_are_any_bytes,
            stamps: a_stamped_key_holds_the_commits_stamp,
            stamps: a_stamped_value_holds_the_commits_stamp,
            stamps: stamped_keys_sort_in_commit_order,
            stamps: suffixes_tell_keys_of_one_commit_apart,
            stamps: stamps_are_unique_among_concurrent_commits,
            stamps: stamped_writes_keep_their_place_in_the_order,
            stamps: a_resend_gets_a_stamp_of_its_own,
            ranges: a_range_includes_its_begin_and_not_its_end,
            ranges: a_range_is_in_byte_order,
            ranges: pages_make_the_whole,
            ranges: reverse_pages_make_the_whole,
            ranges: more_is_said_if_and_only_if_there_is_more,
            ranges: a_limit_in_bytes_ends_a_page,
            ranges: an_entry_is_returned_whatever_the_limits,
            ranges: an_empty_range_is_empty,
            ranges: read_all_reads_all_up_to_its_cap,
            watches: a_watch_fires_on_a_set,
            watches: a_watch_fires_on_a_clear,
            watches: a_watch_fires_on_a_cleared_range,
            watches: a_watch_fires_on_an_add,
            watches: a_watch_fires_on_a_stamped_write,
            watches: a_watch_fires_when_a_key_appears,
            watches: every_watch_of_a_key_fires,
            watches: a_follower_by_watches_reaches_the_end,
            watches: what_was_heard_is_enough_for_who_watches,
            watches: watches_have_a_limit_and_give_their_places_back,
            limits: keys_have_a_longest,
            limits: values_have_a_longest,
            limits: stamped_keys_and_values_count_their_stamp,
            limits: commits_have_a_largest,
            limits: ranges_have_a_longest_end,
            limits: reads_keep_to_the_limits,
            limits: keys_below_0xff_only,
            limits: reads_need_a_read_version,
            limits: a_commit_over_a_limit_changes_nothing,
            concurrency: many_committers_on_one_counter_lose_nothing,
            concurrency: many_adders_lose_nothing,
            concurrency: every_snapshot_sees_whole_commits,
            concurrency: a_dropped_commit_is_whole_or_absent,
            random: random_histories_agree_with_a_model,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __clause_list {
    ([] $($module:ident : $name:ident,)*) => {
        &[$((stringify!($name), |subject| $module::$name(subject).boxed_local()),)*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __clause_tests {
    ([$subject:tt] $($module:ident : $name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::contract::run(stringify!($name), &$subject).await;
            }
        )*
    };
}

/// Makes a test of each clause, on the subject that the expression gives.
#[macro_export]
macro_rules! contract_tests {
    ($subject:expr) => {
        $crate::__for_each_clause! { __clause_tests, ($subject) }
    };
}

/// Every clause.
pub const CLAUSES: &[Clause] = crate::__for_each_clause! { __clause_list };
