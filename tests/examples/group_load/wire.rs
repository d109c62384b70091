//! One connection: a request, then its answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use siltstone_kafka::api::ApiRequest;
use siltstone_kafka::{ErrorCode, api_versions, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What went wrong, for a person.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An answer may take so long: longer than any rebalance.
const PATIENCE: Duration = Duration::from_secs(330);
const LARGEST_ANSWER: u32 = 64 << 20;

pub(crate) struct Connection {
    stream: TcpStream,
    next: i32,
}

impl Connection {
    /// Connects, and waits until it is answered.
    pub(crate) async fn open(server: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream, next: 0 };
        let client = "group-load".to_owned();
        let hello =
            api_versions::Request { client_software_name: client, client_software_version: "1".to_owned() };
        connection.call(3, &hello).await?;
        Ok(connection)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call<R: ApiRequest>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Failure> {
        tokio::time::timeout(PATIENCE, self.exchange(version, request)).await?
    }

    async fn exchange<R: ApiRequest>(&mut self, version: i16, request: &R) -> Result<R::Response, Failure> {
        self.next += 1;
        let frame = frame::encode_request(self.next, Some("group-load"), version, request)?;
        self.stream.write_all(&frame.into_bytes()).await?;
        let length = self.stream.read_u32().await?;
        if length > LARGEST_ANSWER {
            return Err(format!("an answer of {length} bytes").into());
        }
        let mut answer = BytesMut::zeroed(length as usize);
        self.stream.read_exact(&mut answer).await?;
        let (id, response) = frame::decode_response(&Bytes::from(answer), version)?;
        if id != self.next {
            return Err(format!("answer {id} came for request {}", self.next).into());
        }
        Ok(response)
    }
}

/// The error that a code names.
pub(crate) fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
