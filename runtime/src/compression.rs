//! Compression of messages, by `grpc-encoding` ([the protocol's compression]).
//!
//! [the protocol's compression]: https://github.com/grpc/grpc/blob/master/doc/compression.md

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// How messages are compressed. Each kind but [`Identity`](Self::Identity) is a feature of this crate.
///
/// Compression takes CPU time on both sides, and pays where bandwidth is what is short. The size of a compressed message
/// tells of what is in it: where one message holds both a secret and what an attacker may choose, its size can give the
/// secret away (as CRIME and BREACH do to HTTP). Send such messages with [`Identity`](Self::Identity).
///
/// A client compresses what it sends by [`CallOptions::compression`](crate::CallOptions::compression). A server compresses
/// responses by [`Server::compression`](crate::Server::compression), and a handler decides for one response by putting a
/// `Compression` among its extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    #[cfg(feature = "gzip")]
    Gzip,
    /// RFC 8878.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// What this build can decompress, as `grpc-accept-encoding` says it.
pub(crate) const ACCEPTED: Option<HeaderValue> =
    match (cfg!(feature = "zstd"), cfg!(feature = "gzip")) {
        (true, true) => Some(HeaderValue::from_static("identity,gzip,zstd")),
        (true, false) => Some(HeaderValue::from_static("identity,zstd")),
        (false, true) => Some(HeaderValue::from_static("identity,gzip")),
        (false, false) => None,
    };

impl Compression {
    /// The value of `grpc-encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// The compression that a peer's headers name; the peer's name of it where there is none such.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, &HeaderValue> {
        match headers.get(GRPC_ENCODING) {
            None => Ok(Self::Identity),
            Some(name) => match name.as_bytes() {
                b"identity" => Ok(Self::Identity),
                #[cfg(feature = "gzip")]
                b"gzip" => Ok(Self::Gzip),
                #[cfg(feature = "zstd")]
                b"zstd" => Ok(Self::Zstd),
                _ => Err(name),
            },
        }
    }

    /// Says in `headers` how what follows them is compressed, and what may come back.
    pub(crate) fn write_headers(self, headers: &mut HeaderMap) {
        if self != Self::Identity {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(self.name()));
        }
        if let Some(accepted) = ACCEPTED {
            headers.insert(GRPC_ACCEPT_ENCODING, accepted);
        }
    }

    /// Compresses the message of a frame.
    pub(crate) fn compress(self, message: &[u8]) -> Result<Bytes, Status> {
        match self {
            Self::Identity => Ok(Bytes::copy_from_slice(message)),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::compress(message),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::compress(message),
        }
    }

    /// Decompresses a message, which may have `max_size` bytes then.
    pub(crate) fn decompress(self, message: Bytes, max_size: usize) -> Result<Bytes, Status> {
        match self {
            Self::Identity => {
                debug_assert!(
                    message.len() <= max_size,
                    "it was held to the limit as it came"
                );
                Ok(message)
            }
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::decompress(&message, max_size),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::decompress(&message, max_size),
        }
    }
}

/// What a peer can decompress, by its `grpc-accept-encoding`; a peer that says nothing, nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accepted {
    #[cfg(feature = "gzip")]
    gzip: bool,
    #[cfg(feature = "zstd")]
    zstd: bool,
}

impl Accepted {
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let values = headers.get_all(GRPC_ACCEPT_ENCODING).into_iter();
        let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        for name in names {
            match name.trim_ascii() {
                #[cfg(feature = "gzip")]
                b"gzip" => accepted.gzip = true,
                #[cfg(feature = "zstd")]
                b"zstd" => accepted.zstd = true,
                _ => {}
            }
        }
        accepted
    }

    #[cfg(not(any(feature = "gzip", feature = "zstd")))]
    pub(crate) fn of(_: &HeaderMap) -> Self {
        Self {}
    }

    pub(crate) fn contains(self, compression: Compression) -> bool {
        match compression {
            Compression::Identity => true,
            #[cfg(feature = "gzip")]
            Compression::Gzip => self.gzip,
            #[cfg(feature = "zstd")]
            Compression::Zstd => self.zstd,
        }
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
mod reading {
    use std::io::Read;

    use super::{Bytes, Status};
    use crate::frame;

    /// Reads what a decompressor gives, up to the limit: a small message may stand for a huge one.
    pub(super) fn bounded(decompressor: impl Read, max_size: usize) -> Result<Bytes, Status> {
        let mut message = Vec::new();
        let one_more = u64::try_from(max_size)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        decompressor
            .take(one_more)
            .read_to_end(&mut message)
            .map_err(|error| {
                Status::internal(format!("a message could not be decompressed: {error}"))
            })?;
        if message.len() > max_size {
            return Err(frame::too_large(
                "received a message that decompresses to more",
                frame::MAX_RECEIVE,
                max_size,
            ));
        }
        Ok(message.into())
    }

    pub(super) fn failed(error: std::io::Error) -> Status {
        Status::internal(format!("a message could not be compressed: {error}"))
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use std::io::Write;

    use flate2::{read::MultiGzDecoder, write::GzEncoder};

    use super::{Bytes, Status, reading};

    pub(super) fn compress(message: &[u8]) -> Result<Bytes, Status> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(message).map_err(reading::failed)?;
        Ok(encoder.finish().map_err(reading::failed)?.into())
    }

    pub(super) fn decompress(message: &[u8], max_size: usize) -> Result<Bytes, Status> {
        // A message may be of several members (RFC 1952, section 2.2).
        reading::bounded(MultiGzDecoder::new(message), max_size)
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use ::zstd::stream::read::Decoder;

    use super::{Bytes, Status, reading};

    pub(super) fn compress(message: &[u8]) -> Result<Bytes, Status> {
        let compressed = ::zstd::bulk::compress(message, ::zstd::DEFAULT_COMPRESSION_LEVEL);
        Ok(compressed.map_err(reading::failed)?.into())
    }

    pub(super) fn decompress(message: &[u8], max_size: usize) -> Result<Bytes, Status> {
        reading::bounded(Decoder::new(message).map_err(reading::failed)?, max_size)
    }
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;

    fn gzip(message: &'static str) -> Vec<u8> {
        Compression::Gzip
            .compress(message.as_bytes())
            .unwrap()
            .to_vec()
    }

    #[test]
    fn what_a_peer_accepts_may_come_in_any_form_of_a_list() {
        let accepted = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            Accepted::of(&values.map(|value| (GRPC_ACCEPT_ENCODING, value)).collect())
        };
        for values in [
            &["gzip"] as &[_],
            &["identity,deflate,gzip"],
            &["identity , gzip "],
            &["identity", "gzip"],
        ] {
            assert!(accepted(values).contains(Compression::Gzip), "{values:?}");
        }
        for values in [&[] as &[_], &["identity"], &["gzip2,x-gzip"], &[""]] {
            assert!(!accepted(values).contains(Compression::Gzip), "{values:?}");
        }
    }

    #[test]
    fn all_members_of_a_gzip_message_are_read() {
        let message = [gzip("one"), gzip("two")].concat();
        let read = Compression::Gzip.decompress(message.into(), 100);
        assert_eq!(read.unwrap(), "onetwo");
    }

    #[test]
    fn what_is_not_gzip_behind_a_gzip_message_is_refused() {
        let message = [gzip("one"), b"garbage".to_vec()].concat();
        let status = Compression::Gzip
            .decompress(message.into(), 100)
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
    }
}
