//! Bytes that no client should send: they cost the connection, and nothing else.

use siltstone_kafka::{ApiKey, api_versions};

use crate::kit::{Client, Server};

async fn is_closed(mut client: Client, bytes: &[u8]) -> bool {
    client.try_raw(bytes).await;
    client.frame().await.is_none()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A request's header, then `rest`.
fn request(api: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    let mut body = api.to_be_bytes().to_vec();
    body.extend_from_slice(&version.to_be_bytes());
    body.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
    body.extend_from_slice(rest);
    framed(&body)
}

#[tokio::test]
async fn frames_that_are_none_close_the_connection() {
    let server = Server::start().await;
    let cases = [
        (-1i32).to_be_bytes().to_vec(),
        i32::MAX.to_be_bytes().to_vec(),
        // Only Produce may be so large.
        [&(17i32 << 20).to_be_bytes()[..], &[0, 3, 0, 1, 0, 0, 0, 1]].concat(),
        framed(&[]),
        framed(&[0, 3]),
        request(999, 0, &[]),
        request(ApiKey::Metadata.code(), 99, &[0]),
        request(ApiKey::Produce.code(), 2, &[0; 20]),
        request(ApiKey::Metadata.code(), 1, &[0, 0, 0, 0, 1, 2, 3]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ];
    for bytes in cases {
        assert!(is_closed(server.client().await, &bytes).await, "{bytes:?}");
    }
    let response = server.client().await.call(0, &api_versions::Request::default()).await;
    assert_eq!(response.error_code, 0);
}

#[tokio::test]
async fn counts_that_lie_cost_no_memory() {
    let server = Server::start().await;
    for api in ApiKey::ALL {
        for version in api.versions() {
            for fill in [0x7f, 0xff] {
                let mut client = server.client().await;
                client.raw(&request(api.code(), version, &[fill; 100])).await;
                // Some of it may even be a request; what matters is that the server goes on.
                drop(client.frame().await);
            }
        }
    }
    let response = server.client().await.call(0, &api_versions::Request::default()).await;
    assert_eq!(response.error_code, 0);
}
