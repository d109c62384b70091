//! An operator who has shards counted anew, again and again, as fsck does where it finds counts that don't match, and while agents' commits come late: what was
//! sent before a count may then land in the middle of it, or behind it.

use std::rc::Rc;
use std::time::Duration;

use siltstone_log::ShardId;
use siltstone_metadata::keys::shard_counted;
use siltstone_store::{Commit, Mutation, Store};
use tokio::time::sleep;

use super::world::World;
use super::{nemesis, setup};

/// Works until the storm is over, in some of the runs.
pub(super) async fn run(world: Rc<World>) {
    if !setup::recounts(world.seed) {
        return;
    }
    let mut chance = world.chance(2);
    while world.storming.get() {
        sleep(Duration::from_millis(chance.below(700))).await;
        if chance.happens(0.1) {
            let index = chance.below(world.agents.len() as u64) as usize;
            nemesis::late_commits(&world, index, Duration::from_millis(500 + chance.below(3000)));
        }
        let shard = ShardId(chance.below(u64::from(world.shards)) as u16);
        let mutations = vec![Mutation::Clear { key: shard_counted::key(shard) }];
        let cleared = world.store.commit(Commit { mutations, ..Commit::default() }).await;
        world.event(format_args!("shard {} is to be counted anew: {}", shard.0, cleared.is_ok()));
    }
}
