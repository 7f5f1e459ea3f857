//! Where the keys of now are.

use std::{fmt, sync::Arc};

use super::{key_set::KeySet, remote::Remote, verify::Failure};
use crate::tls::Reloading;

pub(super) enum Source {
    Given(Arc<KeySet>),
    File(Box<Reloading<KeySet>>),
    Remote(Arc<Remote>),
}

impl Source {
    /// # Errors
    ///
    /// Where there have been none yet.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, Failure> {
        match self {
            Self::Given(keys) => Ok(Arc::clone(keys)),
            Self::File(keys) => Ok(keys.current().await),
            Self::Remote(remote) => remote.keys().await.map_err(Failure::NoKeys),
        }
    }

    /// Keys that are newer than these, where there are some, or may be asked for.
    pub(super) async fn newer_keys(&self, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        match self {
            Self::Given(_) | Self::File(_) => None,
            Self::Remote(remote) => remote.newer_keys(seen).await,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::File(_) => "File",
            Self::Remote(_) => "Remote",
        })
    }
}
