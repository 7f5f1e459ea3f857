//! Sockets that systemd listens on for this process, and what it is told in return ([socket activation], [notifications]).
//!
//! [socket activation]: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
//! [notifications]: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    os::{
        fd::{FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd},
        unix::net::UnixDatagram,
    },
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tonic::{Code, Status};

use super::{Listener, Listeners};
use crate::status;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// As many descriptors as Linux lets a process have, unless it is told otherwise (`fs.nr_open`).
const MAX_PASSED: usize = 1 << 20;

/// The sockets that systemd passed to this process, which it has once.
///
/// ```no_run
/// # async fn example() -> Result<(), wireloom::Status> {
/// use wireloom::server::{Listener, Listeners, systemd::PassedSockets};
///
/// let listeners: Listeners = match PassedSockets::take()? {
///     Some(sockets) => sockets.all()?,
///     None => Listener::bind("127.0.0.1:50051").await?.into(),
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PassedSockets(Vec<Passed>);

struct Passed {
    name: String,
    number: RawFd,
    socket: Socket,
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {} ({:?})", self.number, self.name)
    }
}

impl PassedSockets {
    /// Takes what `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` say; `None` where the process was not started by a socket, or
    /// the variables are another process's.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for variables that cannot be understood, and for what is no stream socket that is listened on;
    /// FAILED_PRECONDITION for sockets that were taken before.
    pub fn take() -> Result<Option<Self>, Status> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let environment = |name: &str| std::env::var(name).ok();
        let Some(names) = names(std::process::id(), environment)? else {
            return Ok(None);
        };
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(Status::failed_precondition(
                "the sockets of systemd have been taken already",
            ));
        }
        let passed = (FIRST..).zip(names);
        let passed = passed.map(|(number, name)| Passed::take(number, name));
        passed.collect::<Result<_, _>>().map(|all| Some(Self(all)))
    }

    /// All of them, in systemd's order. Within a runtime.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE where the system refuses.
    pub fn all(mut self) -> Result<Listeners, Status> {
        self.drain()
    }

    /// Takes those that have not been taken.
    pub(super) fn drain(&mut self) -> Result<Listeners, Status> {
        let listeners = self.0.drain(..).map(Passed::into_listener);
        listeners.collect::<Result<Vec<_>, _>>().map(Into::into)
    }

    /// Takes those of a name: `FileDescriptorName` in the socket's unit, or else the unit's name (`greeter.socket`). Within a
    /// runtime.
    ///
    /// # Errors
    ///
    /// NOT_FOUND for a name that none has, UNAVAILABLE where the system refuses.
    pub fn named(&mut self, name: &str) -> Result<Listeners, Status> {
        let (named, others): (Vec<_>, _) = self.0.drain(..).partition(|passed| passed.name == name);
        self.0 = others;
        if named.is_empty() {
            let message = format!(
                "systemd passed no socket named {name:?}; there are {:?}",
                self.0
            );
            return Err(Status::not_found(message));
        }
        Self(named).all()
    }
}

impl Passed {
    #[allow(unsafe_code)]
    fn take(number: RawFd, name: String) -> Result<Self, Status> {
        // SAFETY: systemd opened the descriptor for this process, as the variables say, and nobody else takes it: this is
        // reached once. One that is not open after all is given up below, unclosed.
        let socket = unsafe { Socket::from_raw_fd(number) };
        let passed = Self {
            name,
            number,
            socket,
        };
        match passed.problem() {
            Ok(None) => Ok(passed),
            Ok(Some(problem)) => Err(Status::invalid_argument(format!(
                "systemd passed {passed}, which {problem}"
            ))),
            Err(error) => {
                let status = Status::invalid_argument(format!(
                    "systemd passed {passed}, which is no socket: {error}"
                ));
                let _ = passed.socket.into_raw_fd();
                Err(status)
            }
        }
    }

    /// Why no server can take connections from it.
    fn problem(&self) -> io::Result<Option<&'static str>> {
        if self.socket.r#type()? != Type::STREAM {
            return Ok(Some("is no stream socket: the unit needs ListenStream="));
        }
        if !self.socket.is_listener()? {
            return Ok(Some("does not listen: the unit needs Accept=no"));
        }
        // So that programs which this one starts do not hold the port.
        self.socket.set_cloexec(true)?;
        self.socket.set_nonblocking(true)?;
        Ok(None)
    }

    fn into_listener(self) -> Result<Listener, Status> {
        let described = self.to_string();
        let listener = || {
            let domain = self.socket.domain()?;
            let socket = OwnedFd::from(self.socket);
            match domain {
                Domain::UNIX => UnixListener::from_std(socket.into()).map(Listener::from),
                _ => TcpListener::from_std(socket.into()).map(Listener::from),
            }
        };
        listener().map_err(|error| {
            let message = format!("cannot listen on systemd's {described}: {error}");
            status::with_source(Code::Unavailable, message, error)
        })
    }
}

/// The names of the sockets that are passed to the process `id`.
fn names(
    id: u32,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Vec<String>>, Status> {
    let number = |name: &str| {
        let value = environment(name);
        let number = value.map(|value| {
            value.parse::<u32>().map_err(|_| {
                Status::invalid_argument(format!("{name} is {value:?}, and must be a number"))
            })
        });
        number.transpose()
    };
    let (Some(count), Some(of)) = (number("LISTEN_FDS")?, number("LISTEN_PID")?) else {
        return Ok(None);
    };
    if of != id || count == 0 {
        return Ok(None);
    }
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_PASSED)
        .ok_or_else(|| {
            Status::invalid_argument(format!(
                "LISTEN_FDS is {count}, and no process has so many descriptors"
            ))
        })?;
    let Some(names) = environment("LISTEN_FDNAMES") else {
        return Ok(Some(vec!["unknown".to_owned(); count]));
    };
    let names: Vec<_> = names.split(':').map(str::to_owned).collect();
    match names.len() == count {
        true => Ok(Some(names)),
        false => Err(Status::invalid_argument(format!(
            "LISTEN_FDNAMES has {} names, and LISTEN_FDS is {count}",
            names.len()
        ))),
    }
}

/// Tells systemd how the process does, where its unit has `Type=notify`.
pub(in crate::server) struct Systemd {
    socket: Option<OsString>,
}

impl Systemd {
    pub(in crate::server) fn new(is_told: bool) -> Self {
        let socket = || std::env::var_os("NOTIFY_SOCKET");
        Self {
            socket: is_told.then(socket).flatten(),
        }
    }

    pub(in crate::server) fn is_ready(&self) {
        self.tell("READY=1");
    }

    pub(in crate::server) fn is_stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some(path) = &self.socket
            && let Err(error) = send(path, state)
        {
            tracing::warn!(target: "wireloom", %error, state, "cannot tell systemd");
        }
    }
}

fn send(path: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = path.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
        let address = SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Vec<String>>, String> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        names(7, environment).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn sockets_have_the_names_that_systemd_says() {
        let variables = [
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", "7"),
            ("LISTEN_FDNAMES", "grpc:admin"),
        ];
        assert_eq!(
            read(&variables),
            Ok(Some(vec!["grpc".into(), "admin".into()]))
        );
        assert_eq!(read(&variables[..2]), Ok(Some(vec!["unknown".into(); 2])));
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "8")]), Ok(None));
    }

    #[test]
    fn variables_that_make_no_sense_are_errors() {
        let pid = ("LISTEN_PID", "7");
        assert_eq!(
            read(&[("LISTEN_FDS", "two"), pid]),
            Err("LISTEN_FDS is \"two\", and must be a number".into())
        );
        assert_eq!(
            read(&[("LISTEN_FDS", "2"), pid, ("LISTEN_FDNAMES", "grpc")]),
            Err("LISTEN_FDNAMES has 1 names, and LISTEN_FDS is 2".into())
        );
        assert_eq!(
            read(&[("LISTEN_FDS", "4294967295"), pid]),
            Err("LISTEN_FDS is 4294967295, and no process has so many descriptors".into())
        );
    }
}
