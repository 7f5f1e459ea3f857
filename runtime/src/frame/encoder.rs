//! The messages of a stream, encoded.

use bytes::{Bytes, BytesMut};
use prost::Message;
use tonic::Status;

use super::encode_into;

/// The most that the frames of a stream share.
const MAX_SHARED: usize = 8 << 10;

/// Encodes the messages of a stream. Small ones share a piece of memory, as large as what has been sent before: the first
/// message takes no more than it needs, and one of many costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct FrameEncoder {
    shared: BytesMut,
    encoded: usize,
}

impl FrameEncoder {
    /// Encodes `message` as one frame.
    pub(crate) fn encode(&mut self, message: &impl Message) -> Result<Bytes, Status> {
        if self.shared.capacity() == 0 {
            self.shared.reserve(self.encoded.min(MAX_SHARED));
        }
        encode_into(message, &mut self.shared)?;
        let frame = self.shared.split().freeze();
        if self.shared.capacity() < frame.len() {
            // The next will hardly fit; what is left must not keep the piece.
            self.shared = BytesMut::new();
        }
        self.encoded = self.encoded.saturating_add(frame.len());
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::encode;

    #[test]
    fn the_frames_of_a_stream_are_those_of_its_messages() {
        let mut encoder = FrameEncoder::default();
        for len in (0..400).chain([MAX_SHARED, 3, 2 * MAX_SHARED, 5]) {
            let message = "x".repeat(len);
            assert_eq!(encoder.encode(&message).unwrap(), encode(&message).unwrap());
        }
    }

    #[test]
    fn the_first_frame_of_a_stream_keeps_no_more_than_its_own_bytes() {
        let mut encoder = FrameEncoder::default();
        encoder.encode(&"the only one".to_string()).unwrap();
        assert_eq!(encoder.shared.capacity(), 0);
    }
}
