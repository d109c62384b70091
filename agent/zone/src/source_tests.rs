//! The zone's source between an owner that a test plays and a bucket that counts.

use std::sync::atomic::{AtomicU64, Ordering};

use siltstone_log::RegistrationId;

use super::*;

const PAGE: u64 = 1000;
const PATIENCE: Duration = Duration::from_millis(500);
const OWN: RegistrationId = RegistrationId(1);

/// What the owner does when it is asked, or the bucket.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Good,
    Short,
    Fail,
    Unread,
    Hang,
    After(Duration),
}

struct Player {
    deed: Mutex<Deed>,
    asked: AtomicU64,
}

impl Player {
    fn new(deed: Deed) -> Arc<Self> {
        Arc::new(Player { deed: Mutex::new(deed), asked: AtomicU64::new(0) })
    }

    fn now(&self, deed: Deed) {
        *self.deed.lock().unwrap() = deed;
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    async fn act(&self, range: &Range<u64>) -> Result<Bytes, AskError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let deed = *self.deed.lock().unwrap();
        match deed {
            Deed::Good => {}
            Deed::Short => return Ok(Bytes::from_static(b"short")),
            Deed::Fail => return Err(AskError::Failed("told to".into())),
            Deed::Unread => return Err(AskError::Unread("told to".into())),
            Deed::Hang => std::future::pending().await,
            Deed::After(time) => tokio::time::sleep(time).await,
        }
        Ok(range.clone().map(|at| at as u8).collect())
    }
}

#[async_trait]
impl Transport for Player {
    async fn read(&self, neighbour: &Neighbour, ask: &Ask) -> Result<Bytes, AskError> {
        assert_ne!(neighbour.id, OWN, "nobody asks itself");
        assert_eq!((ask.sender, ask.receiver), (OWN, neighbour.id));
        self.act(&ask.range).await
    }
}

#[async_trait]
impl SegmentSource for Player {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        let failed = |error: AskError| ReadError::Unavailable {
            name: segment.id.to_string(),
            reason: error.to_string(),
        };
        self.act(&range).await.map_err(failed)
    }
}

struct Kit {
    zone: Zone,
    owner: Arc<Player>,
    bucket: Arc<Player>,
}

fn neighbour(id: u128) -> Neighbour {
    Neighbour { id: RegistrationId(id), node: id as u32, weight: 1000, host: "h".into(), port: 1 }
}

fn kit(ids: &[u128], owner: Deed, bucket: Deed) -> Kit {
    let (owner, bucket) = (Player::new(owner), Player::new(bucket));
    let there = Arc::new(ids.iter().map(|id| neighbour(*id)).collect::<Vec<_>>());
    let zone = Zone::new(ZoneParts {
        identity: Identity { cluster: "c".into(), incarnation: 5, own: OWN },
        direct: bucket.clone(),
        transport: owner.clone(),
        neighbours: Arc::new(move || there.clone()),
        patience: PATIENCE,
    });
    Kit { zone, owner, bucket }
}

fn segment() -> SegmentPlace {
    let id = SegmentId { registration: RegistrationId(77), number: 3 };
    SegmentPlace { id, inline: false, length: 1000 * PAGE }
}

impl Kit {
    async fn page(&self, number: u64) -> Result<Page, ReadError> {
        let range = number * PAGE..(number + 1) * PAGE;
        let page = self.zone.page(segment(), range.clone()).await?;
        assert_eq!(page.bytes, range.map(|at| at as u8).collect::<Bytes>(), "page {number}");
        Ok(page)
    }

    fn counts(&self) -> (u64, u64) {
        (self.owner.asked(), self.bucket.asked())
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_others_are_asked_for_and_lent() {
    let kit = kit(&[1, 2, 3], Deed::Good, Deed::Good);
    let mut lent = 0;
    for number in 0..60 {
        lent += u64::from(kit.page(number).await.unwrap().lent);
    }
    assert_eq!(kit.counts(), (lent, 60 - lent));
    assert!((25..55).contains(&lent), "two of three are others': {lent}");
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_asks_nobody_nor_does_who_reads_a_block_or_what_is_inline() {
    for ids in [&[][..], &[1]] {
        let kit = kit(ids, Deed::Good, Deed::Good);
        assert!(!kit.page(0).await.unwrap().lent);
        assert_eq!(kit.counts(), (0, 1));
    }
    let kit = kit(&[2], Deed::Good, Deed::Good);
    kit.zone.fetch(segment(), 0..10).await.unwrap();
    kit.zone.page(SegmentPlace { inline: true, ..segment() }, 0..10).await.unwrap();
    assert_eq!(kit.counts(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_fails_is_left_alone_and_tried_again_later() {
    for deed in [Deed::Fail, Deed::Short, Deed::Hang] {
        let kit = kit(&[2], deed, Deed::Good);
        for number in 0..10 {
            assert!(!kit.page(number).await.unwrap().lent, "it was read from the bucket");
        }
        assert_eq!(kit.counts(), (3, 10));
        kit.owner.now(Deed::Good);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(kit.page(11).await.unwrap().lent);
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_could_not_read_is_asked_again() {
    let kit = kit(&[2], Deed::Unread, Deed::Good);
    for number in 0..10 {
        kit.page(number).await.unwrap();
    }
    assert_eq!(kit.counts(), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn who_is_first_counts_when_the_owner_is_late() {
    let late = Deed::After(2 * PATIENCE);
    let slow_bucket = kit(&[2], late, Deed::Hang);
    for number in 0..10 {
        assert!(slow_bucket.page(number).await.unwrap().lent, "the owner is late, the bucket is later");
    }
    assert_eq!(slow_bucket.counts(), (10, 10));
    let bad_bucket = kit(&[2], late, Deed::Fail);
    assert!(bad_bucket.page(0).await.unwrap().lent, "the bucket failed before the owner answered");
    let both = kit(&[2], Deed::Hang, Deed::Fail);
    assert!(matches!(both.page(0).await, Err(ReadError::Unavailable { .. })), "in bounded time");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_borrowed_again_and_again_is_kept() {
    let kit = kit(&[2], Deed::Good, Deed::Good);
    let mut lent = Vec::new();
    for _ in 0..4 {
        lent.push(kit.page(0).await.unwrap().lent);
    }
    assert_eq!(lent, [true, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_segment_is_read_from_the_bucket() {
    let kit = kit(&[2], Deed::Good, Deed::Good);
    kit.zone.damaged(segment().id);
    kit.page(0).await.unwrap();
    assert_eq!(kit.counts(), (0, 1));
    for number in 100..100 + DISTRUSTED as u64 {
        kit.zone.damaged(SegmentId { number, ..segment().id });
        kit.zone.damaged(SegmentId { number, ..segment().id });
    }
    kit.page(1).await.unwrap();
    assert_eq!(kit.counts(), (1, 1), "so many are remembered, each once");
}
