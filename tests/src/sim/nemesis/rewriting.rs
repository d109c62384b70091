//! Accidents in the middle of rewriting: a compactor's store becomes slow just when a segment of its is stored and not announced yet, or announced and not
//! published yet. Between these steps lie milliseconds: hardly any other accident falls among them, and lasts for as long as others need to go on meanwhile.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use siltstone_log::{RegistrationId, SegmentId, SegmentRow};
use siltstone_metadata::keys::segment_row;
use siltstone_store::memory::Chance;
use tokio::time::sleep;

use crate::sim::invariants::s8;
use crate::sim::world::World;

/// Looks are so far apart.
const LOOK: Duration = Duration::from_millis(4);
/// Looks before it is given up: nothing may be due.
const LOOKS: usize = 400;

/// Waits until the compactor in a place is in the middle of it, then makes its store slow for a while.
pub(super) fn strike(world: &Rc<World>, chance: &mut Chance, index: usize) {
    let lasting = Duration::from_millis(3000 + chance.below(4000));
    let announced = chance.happens(0.5);
    let world = world.clone();
    tokio::task::spawn_local(async move {
        for _ in 0..LOOKS {
            sleep(LOOK).await;
            if !world.storming.get() {
                return;
            }
            let Some(own) = world.compactors[index].registration() else { continue };
            if if announced { publishes(&world, own) } else { stored(&world, own) } {
                world.event(format_args!("compactor {index} is rewriting (announced: {announced})"));
                if !announced {
                    // It may be just what somebody asks to be erased.
                    world.rewriting.set(true);
                }
                return super::slow_compactor(&world, index, lasting);
            }
        }
    });
}

fn rows(world: &World, own: RegistrationId) -> Vec<(SegmentId, SegmentRow)> {
    let rows = s8::all(world.store.peek().as_ref(), &segment_row::all()).into_iter();
    let rows =
        rows.filter_map(|(key, value)| Some((segment_row::parse(&key)?, SegmentRow::decode(&value).ok()?)));
    rows.filter(|(id, _)| id.registration == own).collect()
}

fn publishes(world: &World, own: RegistrationId) -> bool {
    rows(world, own).iter().any(|(_, row)| row.merged && row.writing)
}

/// The newest object has no row yet.
fn stored(world: &World, own: RegistrationId) -> bool {
    let prefix = own.object_prefix();
    let newest = world.bucket.names().into_iter().filter(|name| name.starts_with(&prefix)).max();
    let known: BTreeSet<String> = rows(world, own).iter().map(|(id, _)| id.object_name()).collect();
    let last = known.last().cloned();
    newest.is_some_and(|newest| !known.contains(&newest) && last.is_none_or(|last| newest > last))
}
