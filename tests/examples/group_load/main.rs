//! Load on groups, of any server that speaks Kafka's protocol, to measure it: driven by `tests/bench/groups`.
//!
//! ```text
//! group_load commits   [--protocol none|classic|consumer] [--groups 200] [--members 10] [--each 1] [--seconds 10]
//! group_load rebalance [--protocol classic|consumer] [--groups 200] [--members 10] [--partitions 2000] [--session 10000]
//! both:                [--server 127.0.0.1:9092] [--pid PID]
//! ```
//!
//! Every member has a connection of its own, as real ones have, and is as quick as a member can be: what is measured is the server, and
//! what the protocols make members wait for.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod args;
mod classic;
mod commits;
mod consumer;
mod watch;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use siltstone_kafka::{ErrorCode, create_topics, find_coordinator};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use args::{Args, Protocol};
use watch::Watch;
use wire::{Connection, Failure};

/// What all groups read.
const TOPIC: &str = "load";
/// Between phases.
const REST: Duration = Duration::from_secs(4);

fn main() -> Result<(), Failure> {
    let args = Args::parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        create(&args).await?;
        coordinators(&args).await?;
        match args.what.as_str() {
            "commits" => commits::run(&args).await,
            "rebalance" => rebalance(&args).await,
            other => Err(format!("{other}?").into()),
        }
    })
}

async fn create(args: &Args) -> Result<(), Failure> {
    let mut connection = Connection::open(&args.server).await?;
    let topic = create_topics::request::Topic {
        name: TOPIC.to_owned(),
        num_partitions: args.partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::Request { topics: vec![topic], ..Default::default() };
    let answer = connection.call(7, &request).await?;
    match answer.topics.first().map(|topic| wire::code(topic.error_code)) {
        Some(ErrorCode::None | ErrorCode::TopicAlreadyExists) => Ok(()),
        other => Err(format!("the topic can't be made: {other:?}").into()),
    }
}

/// Waits until every group has its coordinator: Kafka makes and loads a topic for them when they are first asked for.
async fn coordinators(args: &Args) -> Result<(), Failure> {
    let mut connection = Connection::open(&args.server).await?;
    let coordinator_keys = (0..args.groups).map(|group| format!("group-{group}")).collect();
    let request = find_coordinator::Request { coordinator_keys, ..Default::default() };
    for _ in 0..100 {
        let answer = connection.call(4, &request).await?;
        let known = answer.coordinators.iter().all(|found| found.error_code == 0);
        // Known is not loaded.
        tokio::time::sleep(REST / 8).await;
        if known {
            return Ok(());
        }
    }
    Err("there are no coordinators".into())
}

/// A member that has its connection and has yet to join.
enum Member {
    Classic(classic::Member),
    Consumer(consumer::Member),
}

/// One after the other: 2,000 at once would be more than Kafka's listener has places for, and those left out try again after seconds.
async fn members(
    args: &Args,
    places: impl Iterator<Item = (usize, usize)>,
) -> Result<Vec<((usize, usize), Member)>, Failure> {
    let mut members = Vec::new();
    for place in places {
        let member = match args.protocol {
            Protocol::Consumer => Member::Consumer(consumer::Member::new(args, place).await?),
            _ => Member::Classic(classic::Member::new(args, place.0).await?),
        };
        members.push((place, member));
    }
    Ok(members)
}

/// All join at once; then one more in each group; then one of each leaves.
async fn rebalance(args: &Args) -> Result<(), Failure> {
    let all = Arc::new(Watch::default());
    let mut lives = JoinSet::new();
    let (leave, stay) = (signal::Sender::new(false), signal::Sender::new(false));
    let mut begin = |members: Vec<((usize, usize), Member)>| {
        for (place, member) in members {
            let until = if place.1 == 0 { leave.subscribe() } else { stay.subscribe() };
            match member {
                Member::Classic(member) => lives.spawn(classic::live(member, place, all.clone(), until)),
                Member::Consumer(member) => lives.spawn(consumer::live(member, place, all.clone(), until)),
            };
        }
    };
    let first = (0..args.groups).flat_map(|group| (0..args.members).map(move |member| (group, member)));
    begin(members(args, first).await?);
    all.phase(args, &format!("{} groups of {} members join", args.groups, args.members), args.members)
        .await?;
    tokio::time::sleep(REST).await;
    begin(members(args, (0..args.groups).map(|group| (group, args.members))).await?);
    all.phase(args, "one more joins in each", args.members + 1).await?;
    tokio::time::sleep(REST).await;
    leave.send_replace(true);
    all.phase(args, "one of each leaves", args.members).await?;
    println!("members that were put out, and other troubles: {:?}", all.troubles());
    lives.abort_all();
    while let Some(life) = lives.join_next().await {
        if let Ok(Err(error)) = life {
            eprintln!("a member ended: {error}");
        }
    }
    Ok(())
}
