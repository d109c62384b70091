//! Each page is read from the bucket once by a zone, whoever wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use siltstone_objects::testing::Faults;
use siltstone_zone::{owner, page_key};

use crate::kit::{Agent, LENGTH, PAGE, PAGES, Plan, World, segment};

const SEGMENTS: u64 = 6;

async fn three(world: &World) -> Vec<Agent> {
    join_all((1..=3).map(|node| world.agent(Plan::new(node)))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_read_from_the_bucket_once() {
    let world = World::new(SEGMENTS).await;
    let written = world.gets();
    let agents = three(&world).await;
    for _ in 0..3 {
        // Everybody wants everything, and at the same time.
        join_all(agents.iter().flat_map(|agent| (0..SEGMENTS).map(|number| agent.read_all(number)))).await;
    }
    assert_eq!(world.gets() - written, SEGMENTS * PAGES);
    for number in 0..SEGMENTS {
        assert_eq!(world.store.counts(&segment(number).id.object_name()).gets, PAGES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_that_read_in_small_pieces_and_ahead_read_the_bucket_once() {
    let world = World::new(SEGMENTS).await;
    let agents = [world.agent(Plan::new(1)).await, world.agent(Plan::new(2)).await];
    for number in 0..SEGMENTS {
        for start in (0..LENGTH).step_by(PAGE as usize / 3) {
            let range = start..(start + PAGE / 3).min(LENGTH);
            agents[0].cache.prefetch(segment(number), range.end..range.end + 2 * PAGE);
            join_all(agents.iter().map(|agent| agent.read(number, range.clone()))).await;
        }
    }
    assert_eq!(world.gets(), SEGMENTS * PAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_keep_leaves_room_for_what_nobody_else_has() {
    let world = World::new(40).await;
    // Room for 30 pages, 10 of them lent.
    let small = || Plan { cache_bytes: 30 * (PAGE + 512), ..Plan::new(1) };
    let agent = world.agent(small()).await;
    let _other = world.agent(Plan::new(2)).await;
    let members = world.members.0.lock().unwrap().clone();
    let mine = |number: u64, page: u64| {
        let owner = owner(&members, page_key(segment(number).id, page * PAGE));
        owner.is_some_and(|owner| owner.node == 1)
    };
    let pages = |own: bool| {
        let all = (0..40u64).flat_map(|number| (0..PAGES - 1).map(move |page| (number, page)));
        all.filter(move |(number, page)| mine(*number, *page) == own)
    };
    for (number, page) in pages(true).take(15) {
        agent.read(number, page * PAGE..(page + 1) * PAGE).await;
    }
    for (number, page) in pages(false).take(100) {
        agent.read(number, page * PAGE..(page + 1) * PAGE).await;
        assert!(agent.cache.bytes() <= 30 * (PAGE + 512));
    }
    let before = world.gets();
    for (number, page) in pages(true).take(15) {
        agent.read(number, page * PAGE..(page + 1) * PAGE).await;
    }
    assert_eq!(world.gets(), before, "a hundred lent pages pushed out none of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_their_way_stay_within_their_bound() {
    let world = World::new(30).await;
    let bound = 4 * PAGE;
    let owner = world.agent(Plan { answer_bytes: bound, ..Plan::new(1) }).await;
    let mut askers = Vec::new();
    for node in 2..=4 {
        askers.push(world.agent(Plan::new(node)).await);
    }
    // Answers take a while, so that who looks on sees some.
    let delay = Duration::from_millis(10)..Duration::from_millis(20);
    world.store.set(Faults { delay, ..Faults::default() });
    let readings = Arc::new(AtomicBool::new(true));
    let watch = {
        let (pages, going) = (owner.pages.clone(), readings.clone());
        std::thread::spawn(move || {
            let mut most = 0;
            while going.load(Ordering::Relaxed) {
                most = most.max(pages.serving());
                std::thread::yield_now();
            }
            most
        })
    };
    join_all(askers.iter().flat_map(|agent| (0..30).map(|number| agent.read_all(number)))).await;
    readings.store(false, Ordering::Relaxed);
    let most = watch.join().unwrap();
    assert!(0 < most && most <= bound, "{most}");
    assert_eq!(owner.pages.serving(), 0, "all of it was given back");
    assert_eq!(world.gets(), 30 * PAGES);
}

#[tokio::test]
async fn nobody_asks_a_fresh_connection_for_more_than_the_other_side_takes() {
    // The other side's bound comes with its first frame. Who asks for more before that is refused, and would read from the bucket.
    let world = World::new(30).await;
    let few = world.agent(Plan { requests: 3, ..Plan::new(1) }).await;
    let asker = world.agent(Plan::new(2)).await;
    join_all((0..30).map(|number| asker.read_all(number))).await;
    join_all((0..30).map(|number| few.read_all(number))).await;
    assert_eq!(world.gets(), 30 * PAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_with_little_room_that_wait_for_each_other_go_on() {
    let world = World::new(SEGMENTS).await;
    // Room for four fetches at a time; the patience of 60 s is more than the test has.
    let plan = |node| Plan { cache_bytes: 4 * PAGE, ..Plan::new(node) };
    let agents = [world.agent(plan(1)).await, world.agent(plan(2)).await];
    let wanted: Vec<(&Agent, u64, u64)> = (0..SEGMENTS)
        .flat_map(|number| (0..PAGES - 1).map(move |page| (number, page)))
        .flat_map(|(number, page)| agents.iter().map(move |agent| (agent, number, page)))
        .collect();
    // One begins at the front and one at the back, so that they don't want the same at the same time.
    let reads = wanted.iter().map(|(agent, number, page)| async move {
        let back = agent.neighbour.node == 2;
        let (number, page) = if back { (SEGMENTS - 1 - number, PAGES - 2 - page) } else { (*number, *page) };
        agent.read(number, page * PAGE..(page + 1) * PAGE).await;
    });
    join_all(reads).await;
}
