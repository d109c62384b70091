//! Connections: order, numbers, ends.

use siltstone_kafka::{api_versions, fetch, list_offsets};

use crate::kit::{Server, batch, fetch_from, produce_to};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    // The first waits for what the second brings.
    let poll = fetch::Request { max_wait_ms: 60_000, ..fetch_from(&topic, &[(0, 0)]) };
    let mut expected = vec![client.send(12, &poll).await];
    for _ in 0..30 {
        expected
            .push(client.send(9, &produce_to("t", -1, &[(0, batch(&[b"a"])), (1, batch(&[b"b"]))])).await);
        expected.push(client.send(0, &api_versions::Request::default()).await);
        expected.push(client.send(5, &list_offsets::Request::default()).await);
    }
    let mut offsets = Vec::new();
    for (at, id) in expected.into_iter().enumerate() {
        let frame = client.frame().await.unwrap();
        assert_eq!(frame[..4], id.to_be_bytes());
        if at % 3 == 1 {
            let decoded = siltstone_kafka::frame::decode_response(&frame, 9);
            let (_, response): (_, siltstone_kafka::produce::Response) = decoded.unwrap();
            offsets.push(response.responses[0].partition_responses[0].base_offset);
        }
    }
    assert_eq!(offsets, (0..30).collect::<Vec<i64>>());
}

#[tokio::test]
async fn hundreds_of_idle_connections_are_in_nobodys_way() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(server.client().await);
    }
    let mut client = server.client().await;
    assert_eq!(client.call(0, &api_versions::Request::default()).await.error_code, 0);
    for mut connection in idle {
        assert_eq!(connection.call(0, &api_versions::Request::default()).await.error_code, 0);
    }
}
