//! The sockets that a server is told to listen on.

use std::{future::Future, sync::atomic::Ordering};

use tonic::Status;

use super::{Listener, Listeners, systemd::PassedSockets};
use crate::{server::Server, status};

/// An address that is all sockets of systemd, or before a colon those of a name.
const SYSTEMD: &str = "systemd";

impl Server {
    /// The addresses that [`listeners`](Self::listeners) listens on, each as [`Listener::bind`] takes it; `systemd` is the
    /// sockets that [systemd passed](PassedSockets), and `systemd:grpc` those of them that it names `grpc`. The default is
    /// none.
    ///
    /// In `wireloom.toml` it is a list; in `WIRELOOM_SERVER_LISTEN` there are commas between. An empty list, and `none`, are no
    /// address.
    pub fn listen<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.options.listen = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Listens where [`listen`](Self::listen) says, for one of the methods that serve.
    ///
    /// ```no_run
    /// # struct Greeter;
    /// # impl wireloom::server::Service for Greeter {
    /// #     const NAME: &'static str = "helloworld.Greeter";
    /// #     async fn call(&self, call: wireloom::server::Call) -> wireloom::server::Reply { call.unimplemented() }
    /// # }
    /// # async fn example() -> Result<(), wireloom::Status> {
    /// let server = wireloom::Server::builder()
    ///     .listen(["127.0.0.1:50051", "unix:/run/greeter.sock"])
    ///     .add_service(Greeter);
    /// let listeners = server.listeners().await?;
    /// server.serve_until_signalled(listeners).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT where there is no address, or one that is none; UNAVAILABLE where the system refuses;
    /// FAILED_PRECONDITION where systemd passed no sockets that have not been taken, NOT_FOUND where none has the name. No
    /// address is listened on then.
    pub fn listeners(&self) -> impl Future<Output = Result<Listeners, Status>> + Send + use<> {
        self.options.is_listen_used.store(true, Ordering::Relaxed);
        let addresses = self.options.listen.clone();
        let from = self.options.origin_of_listen().map(str::to_owned);
        async move {
            let bound = bind(addresses).await;
            bound.map_err(|status| match from {
                Some(from) => {
                    let message = format!("{from}: {}", status.message());
                    status::with_source(status.code(), message, status)
                }
                None => status,
            })
        }
    }
}

async fn bind(addresses: Vec<String>) -> Result<Listeners, Status> {
    if addresses.is_empty() {
        return Err(Status::invalid_argument(
            "there is nothing to listen on: set `listen` to addresses, such as 127.0.0.1:50051, in code, in the table \
             [server] of wireloom.toml or as WIRELOOM_SERVER_LISTEN",
        ));
    }
    let mut passed = None;
    let mut listeners: Vec<Listener> = Vec::new();
    for address in addresses {
        match address.strip_prefix(SYSTEMD) {
            Some("") => listeners.extend(take(&mut passed)?.drain()?),
            Some(name) if name.starts_with(':') => {
                listeners.extend(take(&mut passed)?.named(&name[1..])?);
            }
            _ => listeners.push(Listener::bind(&address).await?),
        }
    }
    Ok(listeners.into())
}

/// The sockets of systemd, taken once.
fn take(passed: &mut Option<PassedSockets>) -> Result<&mut PassedSockets, Status> {
    match passed {
        Some(passed) => Ok(passed),
        None => {
            let sockets = PassedSockets::take()?.ok_or_else(|| {
                Status::failed_precondition(
                    "`listen` names systemd, which passed no sockets to this process",
                )
            })?;
            Ok(passed.insert(sockets))
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_server_listens_where_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = format!("unix:{}", folder.path().join("a.sock").display());
        let server = Server::builder().listen(["127.0.0.1:0".to_owned(), socket.clone()]);
        let listeners = server.listeners().await.unwrap();
        let targets: Vec<_> = listeners.iter().map(|of| of.target().to_string()).collect();
        assert!(targets[0].starts_with("http://127.0.0.1:"), "{targets:?}");
        assert_eq!(targets[1], socket);
    }

    #[tokio::test]
    async fn nothing_and_what_is_not_there_cannot_be_listened_on() {
        let refused = async |server: Server| server.listeners().await.unwrap_err();
        let status = refused(Server::builder()).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().contains("WIRELOOM_SERVER_LISTEN"),
            "{status}"
        );
        for address in ["systemd", "systemd:grpc"] {
            let status = refused(Server::builder().listen([address])).await;
            assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        }
        let status = refused(Server::builder().listen(["nowhere"])).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}
