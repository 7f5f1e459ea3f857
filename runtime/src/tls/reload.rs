//! What is made of files, and made again when they have changed.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Status;

use super::pem::Files;

/// How often files are looked at, at most, where nothing else is said.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

type Make<T> = dyn Fn(&Files) -> Result<T, Status> + Send + Sync;

/// The last good value that was made of files.
///
/// Files are looked at when a value is asked for and the last look is an interval ago: what nobody uses costs nothing.
pub(crate) struct Reloading<T> {
    paths: Vec<PathBuf>,
    interval: Duration,
    make: Arc<Make<T>>,
    current: Mutex<Arc<T>>,
    look: tokio::sync::Mutex<Look>,
}

/// The last look at the files.
struct Look {
    at: Instant,
    fingerprint: u64,
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Makes the first value.
    ///
    /// # Errors
    ///
    /// That of `make`.
    pub(crate) fn new(
        paths: impl IntoIterator<Item = PathBuf>,
        interval: Duration,
        make: impl Fn(&Files) -> Result<T, Status> + Send + Sync + 'static,
    ) -> Result<Self, Status> {
        let paths: Vec<_> = paths.into_iter().collect();
        let files = Files::read(&paths);
        let current = Mutex::new(Arc::new(make(&files)?));
        let look = Look {
            at: Instant::now(),
            fingerprint: files.fingerprint(),
        };
        Ok(Self {
            paths,
            interval,
            make: Arc::new(make),
            current,
            look: tokio::sync::Mutex::new(look),
        })
    }

    /// The value of the files as they are, or as they last were good.
    pub(crate) async fn current(&self) -> Arc<T> {
        // Whoever comes while another looks takes what there is: a slow disk holds up one handshake, not all.
        if !self.paths.is_empty()
            && let Ok(mut look) = self.look.try_lock()
            && look.at.elapsed() >= self.interval
        {
            look.at = Instant::now();
            self.look_again(&mut look).await;
        }
        Arc::clone(&self.locked())
    }

    async fn look_again(&self, look: &mut Look) {
        let (paths, make, seen) = (self.paths.clone(), Arc::clone(&self.make), look.fingerprint);
        let looked = tokio::task::spawn_blocking(move || {
            let files = Files::read(&paths);
            let fingerprint = files.fingerprint();
            (fingerprint != seen).then(|| (fingerprint, make(&files)))
        });
        // It fails only where the runtime shuts down.
        let Ok(Some((fingerprint, made))) = looked.await else {
            return;
        };
        look.fingerprint = fingerprint;
        match made {
            Ok(made) => {
                *self.locked() = Arc::new(made);
                tracing::info!(target: "wireloom", files = ?self.paths, "files were read again");
            }
            Err(status) => tracing::warn!(
                target: "wireloom",
                error = status.message(),
                "files have changed and cannot be used; those before stay in use"
            ),
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Arc<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
