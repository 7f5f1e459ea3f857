//! The sizes of messages in DATA.

use super::HEADER_LEN;

/// Follows the frames in DATA that passes by, in whatever pieces.
#[derive(Debug, Default)]
pub(crate) struct FrameScanner {
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// What is to come of the current message.
    left: usize,
}

impl FrameScanner {
    /// Calls `on_message` with the size of each message that begins in `data`.
    pub(crate) fn scan(&mut self, mut data: &[u8], mut on_message: impl FnMut(usize)) {
        while !data.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data = &data[passed..];
                continue;
            }
            let taken = (HEADER_LEN - self.header_len).min(data.len());
            self.header[self.header_len..self.header_len + taken].copy_from_slice(&data[..taken]);
            self.header_len += taken;
            data = &data[taken..];
            if self.header_len == HEADER_LEN {
                let [_, len @ ..] = self.header;
                self.left = u32::from_be_bytes(len) as usize;
                self.header_len = 0;
                on_message(self.left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::frame::encode_into;

    #[test]
    fn a_scanner_sees_each_message_s_size_however_the_data_is_cut() {
        let mut wire = BytesMut::new();
        for message in ["one", "", "three"] {
            encode_into(&message.to_string(), &mut wire).unwrap();
        }
        for size in 1..=wire.len() {
            let (mut scanner, mut sizes) = (FrameScanner::default(), Vec::new());
            for chunk in wire.chunks(size) {
                scanner.scan(chunk, |size| sizes.push(size));
            }
            assert_eq!(sizes, [5, 0, 7]);
        }
    }
}
