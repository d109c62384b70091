//! Members that commit offsets as fast as they are answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siltstone_kafka::offset_commit::{Request, request};
use siltstone_kafka::offset_fetch;
use tokio::task::JoinSet;

use crate::TOPIC;
use crate::args::{Args, Protocol};
use crate::watch::{Watch, cpu_seconds};
use crate::wire::{Connection, Failure};
use crate::{Member, classic, consumer};

/// Who commits.
struct Committer {
    connection: Connection,
    group: String,
    member: String,
    generation: i32,
    /// The first of its partitions.
    first: i32,
}

pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let mut committers = Vec::new();
    let mut joining = JoinSet::new();
    let places = (0..args.groups).flat_map(|group| (0..args.members).map(move |member| (group, member)));
    for (place, member) in super::members(args, places).await? {
        joining.spawn(committer(args.clone(), place, member));
    }
    while let Some(committer) = joining.join_next().await {
        committers.push(committer??);
    }
    let (began, cpu) = (Instant::now(), cpu_seconds(args.pid)?);
    let until = began + Duration::from_secs(args.seconds);
    let mut working = JoinSet::new();
    for committer in committers {
        working.spawn(commit(committer, args.each, until));
    }
    let (mut took, mut refused) = (Vec::new(), 0);
    while let Some(done) = working.join_next().await {
        let (times, errors) = done??;
        took.extend(times);
        refused += errors;
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at =
        |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(0) as f64 / 1000.0;
    println!(
        "commits: {:.0} a second of {} partitions each, {refused} refused, p50 {:.1} ms, p99 {:.1} ms, server CPU {:.0} us each",
        took.len() as f64 / seconds,
        args.each,
        at(0.5),
        at(0.99),
        (cpu_seconds(args.pid)? - cpu) * 1e6 / took.len().max(1) as f64,
    );
    Ok(())
}

/// Joins, if it shall.
async fn committer(args: Args, place: (usize, usize), member: Member) -> Result<Committer, Failure> {
    let watch = Arc::new(Watch::default());
    let first = place.1 as i32 * args.each % args.partitions.max(1);
    match member {
        Member::Classic(mut member) => {
            if args.protocol != Protocol::None {
                member.settle(&watch).await?;
            }
            let classic::Member { connection, group, id, generation, .. } = member;
            Ok(Committer { connection, group, member: id, generation, first })
        }
        Member::Consumer(mut member) => {
            member.beat(&watch).await?;
            let consumer::Member { connection, group, id, epoch, .. } = member;
            Ok(Committer { connection, group, member: id, generation: epoch, first })
        }
    }
}

async fn commit(mut who: Committer, each: i32, until: Instant) -> Result<(Vec<u32>, u64), Failure> {
    let (mut took, mut refused, mut offset) = (Vec::new(), 0, 0);
    while Instant::now() < until {
        offset += 1;
        let partition = |index| request::Partition {
            partition_index: who.first + index,
            committed_offset: offset,
            committed_metadata: Some(String::new()),
            ..Default::default()
        };
        let partitions = (0..each).map(partition).collect();
        let request = Request {
            group_id: who.group.clone(),
            generation_id_or_member_epoch: who.generation,
            member_id: who.member.clone(),
            topics: vec![request::Topic { name: TOPIC.to_owned(), partitions, ..Default::default() }],
            ..Default::default()
        };
        let asked = Instant::now();
        let answer = who.connection.call(9, &request).await?;
        let error =
            answer.topics.iter().flat_map(|topic| &topic.partitions).find(|told| told.error_code != 0);
        match error {
            None => took.push(asked.elapsed().as_micros() as u32),
            Some(_) => refused += 1,
        }
    }
    check(&mut who, took.len() as i64 + refused as i64).await?;
    Ok((took, refused))
}

/// What was answered as committed last must be what is found; others of the group may have gone further.
async fn check(who: &mut Committer, last: i64) -> Result<(), Failure> {
    let topic = offset_fetch::request::Topic { name: TOPIC.to_owned(), partition_indexes: vec![who.first] };
    let request = offset_fetch::Request {
        group_id: who.group.clone(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let answer = who.connection.call(7, &request).await?;
    let found = answer.topics.first().and_then(|topic| topic.partitions.first());
    match found.map(|partition| partition.committed_offset) {
        Some(found) if found == last => Ok(()),
        found => Err(format!("{last} was committed, {found:?} is there").into()),
    }
}
