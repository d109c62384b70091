//! Frames: what goes over a connection. A size in four bytes, a header, a body.
//!
//! Encoding gives the size with it. Decoding takes what follows the size: the caller has read it, checked
//! it against its own limit, and knows where the frame ends.

use crate::api::{ApiRequest, ApiResponse};
use crate::error::{DecodeError, DecodeFault, EncodeError};
use crate::wire::{Decoder, Limits, Message, Writer};
use crate::{ApiKey, Request, RequestHeader, Response, ResponseHeader};
use bytes::{Bytes, BytesMut};

/// Encoded bytes in chunks, none of them empty, for a vectored write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    chunks: Vec<Bytes>,
    len: usize,
}

impl Frame {
    pub(crate) fn new(chunks: Vec<Bytes>, len: usize) -> Self {
        Self { chunks, len }
    }

    /// The length of all chunks, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes, as in a message without fields.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The chunks, in order.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// All bytes in one piece: a copy if there are several chunks.
    pub fn into_bytes(mut self) -> Bytes {
        if self.chunks.len() <= 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        self.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        whole.freeze()
    }
}

/// The header of a request whose API is known. The version may be one that the API doesn't have: ask
/// [`ApiKey::supports`] and answer UNSUPPORTED_VERSION (for ApiVersions in version 0, else by closing the connection).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The API.
    pub api: ApiKey,
    /// The version of the request, and of the response that it expects.
    pub version: i16,
    /// Goes into the response's header as it is.
    pub correlation_id: i32,
    /// The client's name for itself; Kafka takes null as empty.
    pub client_id: Option<String>,
}

impl RequestHead {
    /// Decodes the header at the start of `frame` (without its size); also gives the body.
    ///
    /// The header's own version follows from the API and version in it, also for versions that the API doesn't have (yet).
    /// A null client id and unknown tagged fields are taken, as Kafka takes them. An API key that this crate doesn't know
    /// is an error, because the header can't be told then; Kafka closes the connection.
    pub fn decode(frame: &Bytes) -> Result<(Self, Bytes), DecodeError> {
        let (api, version) = peek(frame)?;
        let (header, body) = RequestHeader::decode_prefix(frame, api.request_header_version(version))?;
        let RequestHeader { correlation_id, client_id, .. } = header;
        Ok((Self { api, version, correlation_id, client_id }, body))
    }
}

/// The API and version in the first four bytes of a request.
fn peek(frame: &Bytes) -> Result<(ApiKey, i16), DecodeError> {
    let mut decoder = Decoder::new(frame, RequestHeader::NAME, 1, false, Limits { memory: 0 });
    decoder.at("RequestHeader.RequestApiKey");
    let code = i16::from_be_bytes(decoder.fixed()?);
    let api = ApiKey::from_code(code).ok_or_else(|| decoder.fail(DecodeFault::UnknownApi(code)))?;
    decoder.at("RequestHeader.RequestApiVersion");
    Ok((api, i16::from_be_bytes(decoder.fixed()?)))
}

/// Decodes a request's frame (without its size): header and body.
pub fn decode_request(frame: &Bytes) -> Result<(RequestHead, Request), DecodeError> {
    let (head, body) = RequestHead::decode(frame)?;
    let request = Request::decode(head.api, head.version, &body)?;
    Ok((head, request))
}

/// Encodes a request with size and header.
pub fn encode_request<R: ApiRequest>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &R,
) -> Result<Frame, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::API.code(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    framed(&header, R::API.request_header_version(version), |writer| request.append(version, writer))
}

/// Encodes a request of any API with size and header; `head.api` must be the request's.
pub fn encode_any_request(head: &RequestHead, request: &Request) -> Result<Frame, EncodeError> {
    let header = RequestHeader {
        request_api_key: request.api().code(),
        request_api_version: head.version,
        correlation_id: head.correlation_id,
        client_id: head.client_id.clone(),
    };
    let header_version = request.api().request_header_version(head.version);
    framed(&header, header_version, |writer| request.append(head.version, writer))
}

/// Encodes a response with size and header. `version` is that of the request.
pub fn encode_response<R: ApiResponse>(
    correlation_id: i32,
    version: i16,
    response: &R,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id };
    framed(&header, R::API.response_header_version(version), |writer| response.append(version, writer))
}

/// Encodes a response of any API with size and header. `version` is that of the request.
pub fn encode_any_response(
    correlation_id: i32,
    version: i16,
    response: &Response,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id };
    framed(&header, response.api().response_header_version(version), |writer| {
        response.append(version, writer)
    })
}

/// Decodes a response's frame (without its size) to a request of `version`: correlation id and body.
pub fn decode_response<R: ApiResponse>(frame: &Bytes, version: i16) -> Result<(i32, R), DecodeError> {
    let (header, body) = ResponseHeader::decode_prefix(frame, R::API.response_header_version(version))?;
    Ok((header.correlation_id, R::decode(&body, version)?))
}

/// Decodes a response's frame (without its size) of any API.
pub fn decode_any_response(frame: &Bytes, api: ApiKey, version: i16) -> Result<(i32, Response), DecodeError> {
    let (header, body) = ResponseHeader::decode_prefix(frame, api.response_header_version(version))?;
    Ok((header.correlation_id, Response::decode(api, version, &body)?))
}

fn framed<H: Message>(
    header: &H,
    header_version: i16,
    body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<Frame, EncodeError> {
    let mut writer = Writer::new(H::NAME, header_version, false);
    writer.reserve_size();
    header.append(header_version, &mut writer)?;
    body(&mut writer)?;
    writer.fill_size()?;
    Ok(writer.finish())
}
