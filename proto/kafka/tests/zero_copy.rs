//! Records stay where they are: decoded as slices of the request, encoded as chunks of the response.
#![allow(clippy::unwrap_used, reason = "a test: helpers outside of test functions count as code")]

use bytes::Bytes;
use siltstone_kafka::{Frame, Message, Records, fetch, frame, produce};

fn fetch_response(chunks: &[Bytes]) -> fetch::Response {
    use fetch::response::{Partition, Topic};
    let partition = Partition {
        aborted_transactions: None,
        records: Some(chunks.iter().cloned().collect()),
        ..Partition::default()
    };
    let topic =
        Topic { topic: "t".into(), partitions: vec![partition.clone(), partition], ..Topic::default() };
    fetch::Response { responses: vec![topic], ..fetch::Response::default() }
}

fn holds(frame: &Frame, chunk: &Bytes) -> usize {
    frame
        .chunks()
        .iter()
        .filter(|piece| piece.as_ptr() == chunk.as_ptr() && piece.len() == chunk.len())
        .count()
}

#[test]
fn a_fetch_response_carries_long_chunks_uncopied() {
    let long = [Bytes::from(vec![1; 5000]), Bytes::from(vec![2; 1024])];
    let short = Bytes::from(vec![3; 1023]);
    let response = fetch_response(&[long[0].clone(), short.clone(), long[1].clone()]);
    for version in fetch::Response::VERSIONS.filter(|version| *version < 13) {
        let encoded = frame::encode_response(9, version, &response).unwrap();
        assert_eq!(
            (holds(&encoded, &long[0]), holds(&encoded, &long[1]), holds(&encoded, &short)),
            (2, 2, 0)
        );
        assert!(encoded.chunks().iter().all(|chunk| !chunk.is_empty()));
        let total: usize = encoded.chunks().iter().map(Bytes::len).sum();
        assert_eq!(total, encoded.len());
        let whole = encoded.into_bytes();
        assert_eq!(whole[..4], (total as i32 - 4).to_be_bytes());
        let (id, decoded) = frame::decode_response::<fetch::Response>(&whole.slice(4..), version).unwrap();
        assert_eq!((id, &decoded), (9, &response));
        let records = decoded.responses[0].partitions[1].records.clone().unwrap();
        assert_eq!((records.len(), records.chunks().count()), (7047, 1));
    }
}

#[test]
fn a_produce_request_is_decoded_into_slices() {
    use produce::request::{Partition, Topic};
    let records = Some(Records::from(Bytes::from(vec![5; 300])));
    let topic =
        Topic { name: "t".into(), partition_data: vec![Partition { index: 0, records }], ..Topic::default() };
    let request = produce::Request { acks: -1, topic_data: vec![topic], ..produce::Request::default() };
    for version in 3..=12 {
        let bytes = frame::encode_request(1, None, version, &request).unwrap().into_bytes().slice(4..);
        let (_, decoded) = frame::decode_request(&bytes).unwrap();
        let siltstone_kafka::Request::Produce(decoded) = decoded else { panic!("another API: {decoded:?}") };
        let slice = decoded.topic_data[0].partition_data[0].records.clone().unwrap().into_bytes();
        assert!(bytes.as_ptr_range().contains(&slice.as_ptr()), "version {version}: records were copied");
        assert_eq!(slice, vec![5; 300]);
    }
}

#[test]
fn records_are_equal_by_their_bytes() {
    let whole = Records::from(Bytes::from_static(b"abcdef"));
    let cut: Records = [&b"ab"[..], b"", b"cdef"].into_iter().map(Bytes::from_static).collect();
    assert_eq!((cut.len(), cut.chunks().count()), (6, 2));
    assert_eq!(whole, cut);
    assert_ne!(whole, Records::from(Bytes::from_static(b"abcdeg")));
    assert_eq!(cut.into_bytes(), "abcdef");
    assert!(Records::new().is_empty() && Records::new().chunks().next().is_none());
}
