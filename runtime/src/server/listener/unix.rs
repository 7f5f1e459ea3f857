//! Unix sockets: files, and names without a file.

use std::{
    fmt, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};
use tonic::{Code, Status};

use super::UnixPeer;
use crate::status;

/// A Unix socket, whose file is removed when it is closed.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    /// Unless the file is the caller's, or there is none.
    file: Option<BoundFile>,
}

/// The file of a socket, which another may have replaced since.
#[derive(Debug)]
struct BoundFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl BoundFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn is_there(&self) -> bool {
        let metadata = std::fs::symlink_metadata(&self.path);
        metadata.is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && file.is_there()
        {
            let _ = std::fs::remove_file(&file.path);
        }
    }
}

impl UnixSocket {
    pub(super) async fn bind(path: PathBuf) -> io::Result<Self> {
        if path.as_os_str().as_bytes().starts_with(b"\0") {
            return UnixListener::bind(path).map(Self::of_caller);
        }
        let bound = match UnixListener::bind(&path) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && is_stale_socket(&path).await =>
            {
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)
            }
            bound => bound,
        };
        Ok(Self {
            listener: bound?,
            file: Some(BoundFile::at(path)?),
        })
    }

    pub(super) fn of_caller(listener: UnixListener) -> Self {
        Self {
            listener,
            file: None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(UnixStream, UnixPeer)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = UnixPeer::of(&stream);
        Ok((stream, peer))
    }

    pub(super) fn set_mode(&self, mode: u32) -> Result<(), Status> {
        let address = self.listener.local_addr();
        let Some(path) = address.as_ref().ok().and_then(|at| at.as_pathname()) else {
            return Err(Status::invalid_argument(
                "an abstract socket has no file whose permissions could be set",
            ));
        };
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).map_err(|error| {
            let message = format!(
                "cannot set the permissions of {} to {mode:o}: {error}",
                path.display()
            );
            status::with_source(Code::Unavailable, message, error)
        })
    }

    pub(super) fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listener.local_addr() {
            Ok(address) => match (address.as_pathname(), abstract_name(&address)) {
                (Some(path), _) => write!(f, "unix:{}", path.display()),
                (None, Some(name)) => write!(f, "unix-abstract:{name}"),
                (None, None) => f.write_str("unix:"),
            },
            Err(error) => write!(f, "unknown address ({error})"),
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &tokio::net::unix::SocketAddr) -> Option<String> {
    let name = address.as_abstract_name()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &tokio::net::unix::SocketAddr) -> Option<String> {
    None
}

/// Whether `path` is a socket that a process left behind.
async fn is_stale_socket(path: &Path) -> bool {
    // A file that is no socket refuses connections as well.
    let is_socket = |file: std::fs::Metadata| file.file_type().is_socket();
    if !std::fs::symlink_metadata(path).is_ok_and(is_socket) {
        return false;
    }
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    UnixStream::connect(path).await.as_ref().is_err_and(refused)
}
