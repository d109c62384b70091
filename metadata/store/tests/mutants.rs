//! Tests of the contract suite itself: a simple store passes it, and fails it with any one of many bugs.

#[path = "mutants/bugs.rs"]
mod bugs;
#[path = "mutants/naive.rs"]
mod naive;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use bugs::{BUGS, Bug};
use futures::FutureExt;
use naive::{Naive, Shared};
use siltstone_store::Store;
use siltstone_store::contract::{CLAUSES, Subject, run};

struct Mutant(Shared);

#[async_trait]
impl Subject for Mutant {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Naive::open(&self.0))
    }
}

/// Whether the store with this bug passes the clause.
async fn passes(bug: Bug, clause: &'static str) -> bool {
    let subject = Mutant(Shared::new(bug));
    AssertUnwindSafe(run(clause, &subject)).catch_unwind().await.is_ok()
}

// Paused time: a deadline is reached as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn the_naive_store_keeps_the_contract() {
    for (clause, _) in CLAUSES {
        assert!(passes(Bug::None, clause).await, "{clause}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_bug_is_caught_and_every_clause_catches_one() {
    let mut missed = Vec::new();
    let mut idle: Vec<&str> = CLAUSES.iter().map(|(clause, _)| *clause).collect();
    for bug in BUGS {
        let mut caught = Vec::new();
        let started = std::time::Instant::now();
        for (clause, _) in CLAUSES {
            if !passes(*bug, clause).await {
                caught.push(*clause);
            }
        }
        idle.retain(|clause| !caught.contains(clause));
        println!("{bug:?}, in {:?}: {caught:?}", started.elapsed());
        if caught.is_empty() {
            missed.push(*bug);
        }
    }
    assert!(missed.is_empty(), "bugs that no clause catches: {missed:?}");
    assert!(idle.is_empty(), "clauses that catch no bug: {idle:?}");
}
