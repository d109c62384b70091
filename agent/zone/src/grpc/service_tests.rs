//! The service without a network.

use std::ops::Range;

use async_trait::async_trait;
use futures::StreamExt;
use siltstone_log::{RegistrationId, SegmentId, SegmentPlace};
use siltstone_objects::cache::SegmentSource;
use tonic::Code;

use super::*;

const PAGE: u64 = 512 << 10;
const OWN: RegistrationId = RegistrationId(2);

/// A bucket with segments whose number is at most 100; further ones fail, each in its own way.
struct Bucket;

#[async_trait]
impl SegmentSource for Bucket {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        let (name, reason) = (segment.id.to_string(), "told to".to_owned());
        match segment.id.number {
            101 => Err(ReadError::NotFound { name, reason }),
            102 => Err(ReadError::Unavailable { name, reason }),
            103 => std::future::pending().await,
            _ => Ok(vec![segment.id.number as u8; (range.end - range.start) as usize].into()),
        }
    }
}

fn pages(answer_bytes: u64) -> Pages {
    let cache = PageCache::new(64 << 20, PAGE, Arc::new(Bucket));
    Pages::new(Identity { cluster: "c".into(), incarnation: 5, own: OWN }, cache, answer_bytes)
}

fn ask(number: u64) -> Ask {
    Ask {
        cluster: "c".into(),
        incarnation: 5,
        sender: RegistrationId(1),
        receiver: OWN,
        segment: SegmentPlace {
            id: SegmentId { registration: RegistrationId(7), number },
            inline: false,
            length: 10 * PAGE,
        },
        range: PAGE..2 * PAGE,
        patience_ms: 1000,
    }
}

async fn call(pages: &Pages, ask: &Ask) -> Result<Answer, Code> {
    let answered = pages_server::Pages::read(pages, Request::new(ask.encode())).await;
    answered.map(Response::into_inner).map_err(|status| status.code())
}

#[tokio::test(start_paused = true)]
async fn a_page_is_given_in_chunks_and_its_room_given_back() {
    let pages = pages(4 << 20);
    let answer = call(&pages, &ask(9)).await.unwrap();
    assert_eq!(pages.serving(), PAGE);
    let chunks: Vec<_> = answer.map(Result::unwrap).collect().await;
    assert_eq!(chunks.len(), 2);
    assert!(chunks.iter().flat_map(|chunk| chunk.data.iter()).all(|byte| *byte == 9));
    assert_eq!(pages.serving(), 0);
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused() {
    let pages = pages(4 << 20);
    let good = ask(1);
    let others = [
        Ask { cluster: "d".into(), ..good.clone() },
        Ask { incarnation: 6, ..good.clone() },
        Ask { receiver: RegistrationId(3), ..good.clone() },
    ];
    for other in others {
        assert_eq!(call(&pages, &other).await.err(), Some(Code::FailedPrecondition), "{other:?}");
    }
    let rubbish = ReadRequest { end: 3, ..ReadRequest::default() };
    let rubbish = pages_server::Pages::read(&pages, Request::new(rubbish)).await;
    assert_eq!(rubbish.map(drop).map_err(|status| status.code()), Err(Code::InvalidArgument));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_said_so_and_takes_no_room() {
    let pages = pages(4 << 20);
    for (number, code) in [(101, Code::NotFound), (102, Code::Aborted), (103, Code::DeadlineExceeded)] {
        assert_eq!(call(&pages, &ask(number)).await.err(), Some(code));
        assert_eq!(pages.serving(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_have_a_bound_and_askers_wait_for_room() {
    let pages = pages(2 * PAGE);
    let first = call(&pages, &ask(1)).await.unwrap();
    let second = call(&pages, &ask(2)).await.unwrap();
    assert_eq!(call(&pages, &ask(3)).await.err(), Some(Code::DeadlineExceeded), "no room in time");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(pages.serving(), 0, "and by then those that nobody took are let go");
    drop((first, second));
    let third = call(&pages, &ask(3)).await.unwrap();
    assert_eq!(pages.serving(), PAGE);
    drop(third);
    assert_eq!(pages.serving(), 0);
    let large = Ask { range: 0..5 * PAGE, ..ask(4) };
    let passes = call(&pages, &large).await.unwrap();
    assert_eq!(pages.serving(), 2 * PAGE, "alone");
    drop(passes);
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_told_that_it_is_late() {
    let pages = pages(4 << 20);
    let mut answer = call(&pages, &ask(1)).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pages.serving(), 0);
    let status = answer.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(answer.next().await.is_none());
}
