//! What is sent.

use std::fmt;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::proto::speed::{Payload, Place, Record};

/// The messages of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A text of ten bytes.
    Hello,
    /// A blob of 1 KiB.
    Kibibyte,
    /// A blob of 64 KiB.
    Large,
    /// One record, with a nested message and a list: 78 bytes.
    Record,
    /// Fifty records.
    Records,
}

impl Message {
    pub const ALL: [Self; 5] = [
        Self::Hello,
        Self::Record,
        Self::Kibibyte,
        Self::Large,
        Self::Records,
    ];

    /// Encoded, to be decoded to each contender's own type.
    pub fn encoded(self) -> Vec<u8> {
        self.payload().encode_to_vec()
    }

    fn payload(self) -> Payload {
        match self {
            Self::Hello => Payload {
                text: "0123456789".into(),
                ..Payload::default()
            },
            Self::Kibibyte => blob(1 << 10),
            Self::Large => blob(64 << 10),
            Self::Record => records(1),
            Self::Records => records(50),
        }
    }
}

fn blob(size: usize) -> Payload {
    Payload {
        blob: vec![0x5a; size],
        ..Payload::default()
    }
}

fn records(count: u32) -> Payload {
    Payload {
        records: (0..count).map(record).collect(),
        ..Payload::default()
    }
}

fn record(id: u32) -> Record {
    Record {
        id: u64::from(id) << 20,
        name: format!("record number {id}"),
        weight: f64::from(id) * 1.5,
        place: Some(Place {
            city: "Kyiv".into(),
            latitude: 50_450_000,
            longitude: -30_523_000,
        }),
        tags: vec!["first".into(), "second".into()],
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "10 bytes",
            Self::Kibibyte => "1 KiB",
            Self::Large => "64 KiB",
            Self::Record => "1 record",
            Self::Records => "50 records",
        })
    }
}
