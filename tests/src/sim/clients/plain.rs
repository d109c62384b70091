//! A producer without idempotence: each batch is sent once, several over one connection without waiting; what is not known is left so.

use std::rc::Rc;

use siltstone_agent::produce::{WriteError, WriteOutcome};
use siltstone_metadata::shard::Verdict;

use super::{PATIENCE, new_batch, send, some_agent, think};
use crate::sim::agent::NoAnswer;
use crate::sim::batches::Made;
use crate::sim::invariants::{Violation, s1};
use crate::sim::world::World;

pub(super) async fn run(world: Rc<World>, number: u64) {
    let mut chance = world.chance(200 + number);
    let mut connection = world.number();
    let mut agent = some_agent(&world, &mut chance);
    while world.storming.get() {
        think(&mut chance).await;
        let partition = world.some_partition(&mut chance);
        let count = 1 + chance.below(4);
        let made: Vec<Made> =
            (0..count).map(|_| new_batch(&world, &mut chance, agent, partition, None, None)).collect();
        made.iter().for_each(|made| world.oracle.borrow_mut().promises.sent(made));
        let batches = made.clone();
        let place = &world.agents[agent];
        let answer = place.call(PATIENCE, async |engine| send(engine, connection, batches).await).await;
        match answer {
            Ok(Ok(outcomes)) => {
                world.event(format_args!("plain {number}: {partition:?}: {outcomes:?}"));
                world.check(judge(&world, &made, &outcomes));
                if outcomes.iter().all(Result::is_ok) {
                    continue;
                }
            }
            Ok(Err(why)) => world.event(format_args!("plain {number} is sent away: {why}")),
            Err(why) => {
                world.event(format_args!("plain {number} has no answer: {why:?}"));
                world.count(|counts| counts.unknown += u64::from(why != NoAnswer::Down));
                if why == NoAnswer::Late
                    && let Some(engine) = place.engine()
                {
                    engine.writer().close_connection(connection);
                }
            }
        }
        agent = some_agent(&world, &mut chance);
        connection = world.number();
    }
}

fn judge(world: &World, made: &[Made], outcomes: &[WriteOutcome]) -> Result<(), Violation> {
    let mut last = -1;
    for (made, outcome) in made.iter().zip(outcomes) {
        match outcome {
            Ok(Verdict::Appended { base_offset }) => {
                world.count(|counts| counts.acks += 1);
                s1::acknowledged(&mut world.oracle.borrow_mut(), made, *base_offset)?;
                if *base_offset <= last {
                    let what = format!("one connection's batches of {:?} change places", made.partition);
                    return Err(Violation { invariant: "S3", what });
                }
                last = *base_offset;
            }
            Ok(Verdict::NoPartition) if world.may_be_deleted(made.partition.topic) => {
                s1::refused(&mut world.oracle.borrow_mut(), made, "no such partition")?;
            }
            Ok(other) => {
                let what = format!("{:?} has no producer and is judged {other:?}", made.id);
                return Err(Violation { invariant: "S3", what });
            }
            Err(WriteError::Lost) => world.count(|counts| counts.unknown += 1),
            Err(error) => {
                world.count(|counts| counts.refused += 1);
                s1::refused(&mut world.oracle.borrow_mut(), made, &error.to_string())?;
            }
        }
    }
    Ok(())
}
