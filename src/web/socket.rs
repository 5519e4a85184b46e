//! The owner-only socket `state/homeostat/api.sock`.
//!
//! It is bound under another name in a directory that only the owner may enter, made private, and then moved to its
//! place: there is no instant at which somebody else could connect, and what an engine that was killed left behind is
//! replaced. Bind it only while holding the engine's lock.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use axum::Router;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
};

use super::{bound::Bound, serve::serve};

/// Its name in the engine's own directory.
pub const SOCKET: &str = "api.sock";

/// The kernel takes no longer path for a socket.
const LONGEST: usize = 100;

#[derive(Debug, thiserror::Error)]
#[error("could not make the socket {path}")]
pub struct SocketError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// A bound socket. Its file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: Option<UnixListener>,
    path: PathBuf,
    /// (device, inode): only our own file is removed.
    identity: (u64, u64),
}

impl Socket {
    /// Binds it in the engine's own directory `own`.
    pub fn bind(own: &Path) -> Result<Socket, SocketError> {
        let path = own.join(SOCKET);
        bind(own, &path).map_err(|source| SocketError { path, source })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until `ending` turns true and the answers under way are read.
    pub async fn serve(mut self, router: Router, ending: watch::Receiver<bool>) {
        if let Some(listener) = self.listener.take() {
            serve(Bound::new(listener), router, ending).await;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = identity(&self.path).is_ok_and(|identity| identity == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "could not remove the socket");
        }
    }
}

fn bind(own: &Path, path: &Path) -> io::Result<Socket> {
    let private = tempfile::Builder::new()
        .prefix(".api-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(own)?;
    let first = private.path().join(SOCKET);
    let listener = with_short(&first, |short| UnixListener::bind(short))?;
    fs::set_permissions(&first, Permissions::from_mode(0o600))?;
    fs::rename(&first, path)?;
    Ok(Socket {
        listener: Some(listener),
        path: path.to_owned(),
        identity: identity(path)?,
    })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Calls `act` with a path to the same place that is short enough for a socket.
fn with_short<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return act(path);
    };
    if path.as_os_str().len() <= LONGEST {
        return act(path);
    }
    let parent = File::open(parent)?;
    let short = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string());
    act(&short.join(name))
}

/// Connects to the socket at `path`.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    // Connecting to a Unix socket does not wait for the other side.
    let stream = with_short(path, |short| std::os::unix::net::UnixStream::connect(short))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn it_is_the_owners_alone_and_replaces_what_was_left_behind() {
        let own = tempfile::tempdir().unwrap();
        let first = Socket::bind(own.path()).unwrap();
        let path = first.path().to_owned();
        assert_eq!(mode(&path), 0o600);
        let second = Socket::bind(own.path()).unwrap();
        drop(first);
        assert!(path.exists(), "only its own file is removed");
        connect(&path).await.unwrap();
        assert_eq!(
            fs::read_dir(own.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        drop(second);
        assert!(!path.exists());
        assert!(connect(&path).await.is_err());
    }

    #[tokio::test]
    async fn a_long_path_is_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("d".repeat(120)).join("state/homeostat");
        fs::create_dir_all(&own).unwrap();
        let socket = Socket::bind(&own).unwrap();
        connect(socket.path()).await.unwrap();
    }
}
