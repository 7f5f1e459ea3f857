//! How the responses of a call are encoded: compressed by what the server prefers, the client accepts and the handler says.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderValue};
use prost::Message;
use tonic::Status;

use crate::{
    compression::{Accepted, Compression, GRPC_ENCODING},
    frame::{self, HEADER_LEN},
};

/// What a server is told of encoding responses.
#[derive(Clone, Debug)]
pub(super) struct ResponseCompression {
    /// The first that the client accepts is used.
    pub(super) preferred: Arc<[Compression]>,
    /// The smallest message that is compressed, in bytes.
    pub(super) threshold: usize,
    /// The largest message, in bytes before it is compressed.
    pub(super) max_message_size: usize,
}

impl Default for ResponseCompression {
    fn default() -> Self {
        Self {
            preferred: Arc::default(),
            threshold: 1 << 10,
            max_message_size: usize::MAX,
        }
    }
}

impl ResponseCompression {
    /// What may be made of the responses to a call with these headers.
    pub(super) fn negotiate(&self, headers: &HeaderMap) -> Negotiated {
        let accepted = Accepted::of(headers);
        let mut preferred = self.preferred.iter().copied();
        Negotiated {
            accepted,
            compression: preferred
                .find(|compression| accepted.contains(*compression))
                .unwrap_or_default(),
            threshold: self.threshold,
            max_message_size: self.max_message_size,
        }
    }
}

/// What server and client have agreed upon for one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negotiated {
    accepted: Accepted,
    compression: Compression,
    threshold: usize,
    max_message_size: usize,
}

impl Negotiated {
    /// The largest message that may be sent.
    #[cfg(feature = "tonic")]
    pub(super) fn max_message_size(self) -> usize {
        self.max_message_size
    }

    /// The encoder of a response with these extensions, where its handler may have said how.
    pub(super) fn encoder(self, extensions: &Extensions) -> ResponseEncoder {
        let compression = match extensions.get::<Compression>() {
            Some(chosen) if self.accepted.contains(*chosen) => *chosen,
            Some(_) => Compression::Identity,
            None => self.compression,
        };
        ResponseEncoder {
            compression,
            threshold: self.threshold,
            max_message_size: self.max_message_size,
        }
    }
}

/// Encodes the messages of one response as frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseEncoder {
    compression: Compression,
    threshold: usize,
    max_message_size: usize,
}

impl ResponseEncoder {
    /// Appends `message` as one frame; whether it is compressed.
    pub(super) fn encode_into(
        self,
        message: &impl Message,
        out: &mut BytesMut,
    ) -> Result<bool, Status> {
        let start = out.len();
        frame::encode_into(message, out)?;
        let size = out.len() - start - HEADER_LEN;
        if size > self.max_message_size {
            out.truncate(start);
            return Err(frame::too_large_to_send(size, self.max_message_size));
        }
        if self.compression == Compression::Identity || size < self.threshold {
            return Ok(false);
        }
        frame::compress_last(out, start, self.compression)
    }

    /// Encodes the one message of a response, and says in its headers how.
    pub(super) fn encode_one(
        self,
        message: &impl Message,
        headers: &mut HeaderMap,
    ) -> Result<Bytes, Status> {
        let mut out = BytesMut::new();
        if self.encode_into(message, &mut out)? {
            self.write_headers(headers);
        }
        Ok(out.freeze())
    }

    /// Says how those messages are compressed that say that they are.
    pub(super) fn write_headers(self, headers: &mut HeaderMap) {
        if self.compression != Compression::Identity {
            let name = HeaderValue::from_static(self.compression.name());
            headers.insert(GRPC_ENCODING, name);
        }
    }
}

#[cfg(test)]
impl ResponseEncoder {
    /// An encoder that compresses nothing.
    pub(super) fn identity() -> Self {
        Self {
            compression: Compression::Identity,
            threshold: 0,
            max_message_size: usize::MAX,
        }
    }
}

#[cfg(all(test, feature = "gzip", feature = "zstd"))]
mod tests {
    use super::*;
    use crate::compression::GRPC_ACCEPT_ENCODING;

    fn encoder(
        preferred: &[Compression],
        accepted: &'static str,
        chosen: Option<Compression>,
    ) -> ResponseEncoder {
        let options = ResponseCompression {
            preferred: preferred.into(),
            ..ResponseCompression::default()
        };
        let accepted = (GRPC_ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        let mut extensions = Extensions::new();
        chosen.map(|chosen| extensions.insert(chosen));
        options
            .negotiate(&HeaderMap::from_iter([accepted]))
            .encoder(&extensions)
    }

    /// What is made of a message of that many bytes which compresses well.
    fn compresses(encoder: ResponseEncoder, size: usize) -> bool {
        let message = "a".repeat(size - 3);
        let mut out = BytesMut::new();
        frame::encode_into(&message, &mut out).unwrap();
        assert_eq!(out.len(), HEADER_LEN + size);
        encoder.encode_into(&message, &mut out).unwrap()
    }

    #[test]
    fn the_first_that_the_client_accepts_is_used() {
        use Compression::{Gzip, Identity, Zstd};
        let used = |preferred: &[_], accepted| encoder(preferred, accepted, None).compression;
        assert_eq!(used(&[Zstd, Gzip], "identity,gzip,zstd"), Zstd);
        assert_eq!(used(&[Zstd, Gzip], "identity,deflate,gzip"), Gzip);
        assert_eq!(used(&[Zstd, Gzip], "identity"), Identity);
        assert_eq!(used(&[], "identity,gzip"), Identity);
    }

    #[test]
    fn what_a_handler_chooses_counts_where_the_client_accepts_it() {
        use Compression::{Gzip, Identity, Zstd};
        let used = |chosen| encoder(&[Gzip], "gzip", Some(chosen)).compression;
        assert_eq!(used(Identity), Identity);
        assert_eq!(used(Zstd), Identity);
        assert_eq!(encoder(&[], "gzip", Some(Gzip)).compression, Gzip);
    }

    #[test]
    fn messages_below_the_threshold_are_not_compressed() {
        let encoder = encoder(&[Compression::Gzip], "gzip", None);
        assert!(!compresses(encoder, 1023));
        assert!(compresses(encoder, 1024));
    }

    #[test]
    fn a_message_that_would_grow_goes_as_it_is() {
        let mut random = fastrand::Rng::with_seed(1);
        let message: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(2000)
            .collect();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let encoder = encoder(&[compression], "gzip,zstd", None);
            let mut headers = HeaderMap::new();
            let frame = encoder.encode_one(&message, &mut headers).unwrap();
            assert_eq!(frame, frame::encode(&message).unwrap());
            assert!(headers.is_empty());
        }
    }
}
