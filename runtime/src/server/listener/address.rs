//! Addresses to listen on, as people write them.

use std::{
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use tonic::Status;

use crate::channel::target;

pub(super) const EXAMPLES: &str = "(examples: 127.0.0.1:50051, [::]:50051, unix:/run/greeter.sock)";

/// An address, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// Host and port.
    Tcp(&'a str),
    Unix {
        /// That of an abstract socket begins with a zero byte, as it does for the system.
        path: PathBuf,
        /// The permissions of the file, unless they are as usual.
        mode: Option<u32>,
    },
}

impl<'a> Address<'a> {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no address, with what to write instead where that is known.
    pub(super) fn parse(address: &'a str) -> Result<Self, Status> {
        let (unix, mode) = match address.split_once('?') {
            Some((unix, query)) if unix.starts_with("unix") => (unix, Some(mode(address, query)?)),
            _ => (address, None),
        };
        let path = if let Some(name) = unix.strip_prefix("unix-abstract:") {
            target::unix_abstract(address, name)?
        } else if let Some(path) = unix.strip_prefix("unix:") {
            target::unix(address, path)?
        } else {
            return tcp(address).map(Self::Tcp);
        };
        Ok(Self::Unix { path, mode })
    }
}

/// # Errors
///
/// INVALID_ARGUMENT for what is no host and port.
fn tcp(address: &str) -> Result<&str, Status> {
    let host = address.strip_prefix("http://").unwrap_or(address);
    let host = host.trim_end_matches('/');
    match instead(host) {
        None => Ok(host),
        Some(help) => Err(Status::invalid_argument(format!(
            "cannot listen on {address}: {help} {EXAMPLES}"
        ))),
    }
}

/// What to write instead of `address`, if it is not host and port.
fn instead(address: &str) -> Option<String> {
    let port = address.strip_prefix("*:").or(address.strip_prefix(':'));
    let port = port.unwrap_or(address);
    if port.parse::<u16>().is_ok() {
        return Some(format!(
            "the host is missing: write 0.0.0.0:{port} or [::]:{port} for all addresses of this machine, 127.0.0.1:{port} \
             for itself alone"
        ));
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        // What is behind the scheme may be no address, either.
        let help = instead(rest).unwrap_or_else(|| format!("write {rest}"));
        return Some(match scheme {
            "https" => format!(
                "{help}; whether connections have TLS is said by `Server::tls` and `Listener::tls`"
            ),
            _ => help,
        });
    }
    let path = Path::new(address);
    if path.is_absolute() || path.extension() == Some("sock".as_ref()) {
        return Some(format!("for a Unix socket, write unix:{address}"));
    }
    if let Some(name) = address.strip_prefix('@') {
        return Some(format!(
            "for an abstract Unix socket, write unix-abstract:{name}"
        ));
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return Some(format!(
            "an address of IPv6 stands in brackets: write [{address}]:50051"
        ));
    }
    let has_port = !address.ends_with(']') && address.contains(':');
    (!has_port).then(|| format!("the port is missing: write {address}:50051"))
}

/// The permissions that stand behind an address: `mode=0660`.
fn mode(address: &str, query: &str) -> Result<u32, Status> {
    let digits = query.strip_prefix("mode=").unwrap_or_default();
    let is_mode =
        matches!(digits.len(), 3 | 4) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(digits, 8).ok();
    mode.filter(|mode| is_mode && *mode <= 0o777).ok_or_else(|| {
        Status::invalid_argument(format!(
            "cannot listen on {address}: behind the question mark are the permissions of the socket's file in octal, as in \
             unix:/run/greeter.sock?mode=0660"
        ))
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn error(address: &str) -> String {
        let status = Address::parse(address).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    }

    #[test]
    fn tcp_is_host_and_port() {
        for address in ["127.0.0.1:0", "[::]:50051", "greeter:50051"] {
            assert_eq!(Address::parse(address).unwrap(), Address::Tcp(address));
            let url = format!("http://{address}/");
            assert_eq!(Address::parse(&url).unwrap(), Address::Tcp(address));
        }
    }

    #[test]
    fn what_is_no_address_is_met_with_one_to_write_instead() {
        for (address, help) in [
            (":50051", "write 0.0.0.0:50051 or [::]:50051"),
            ("*:50051", "write 0.0.0.0:50051 or [::]:50051"),
            ("50051", "write 0.0.0.0:50051 or [::]:50051"),
            ("http://:50051", "write 0.0.0.0:50051 or [::]:50051"),
            ("tcp://127.0.0.1:1", "write 127.0.0.1:1 "),
            ("tcp://:50051", "write 0.0.0.0:50051 or [::]:50051"),
            ("tcp://*:50051/", "write 0.0.0.0:50051 or [::]:50051"),
            ("tcp://localhost", "write localhost:50051 "),
            ("file:///run/a.sock", "write unix:/run/a.sock"),
            ("https://127.0.0.1:1", "write 127.0.0.1:1; whether"),
            (
                "https://:50051",
                "127.0.0.1:50051 for itself alone; whether",
            ),
            ("/run/a.sock", "write unix:/run/a.sock"),
            ("a.sock", "write unix:a.sock"),
            ("@a", "write unix-abstract:a"),
            ("::1", "write [::1]:50051"),
            ("[::1]", "write [::1]:50051"),
            ("localhost", "write localhost:50051"),
        ] {
            let error = error(address);
            let begins = format!("cannot listen on {address}: ");
            assert!(error.starts_with(&begins), "{error}");
            assert!(error.contains(help), "{error}");
        }
    }

    #[test]
    fn a_unix_socket_may_have_permissions() {
        let parse = |address| match Address::parse(address).unwrap() {
            Address::Unix { path, mode } => (path.display().to_string(), mode),
            Address::Tcp(address) => panic!("{address} is no Unix socket"),
        };
        let path = || "/run/a.sock".to_owned();
        assert_eq!(parse("unix:/run/a.sock"), (path(), None));
        assert_eq!(parse("unix:/run/a.sock?mode=0660"), (path(), Some(0o660)));
        assert_eq!(parse("unix:///run/a.sock?mode=600"), (path(), Some(0o600)));
        for query in [
            "mode=0o660",
            "mode=66",
            "mode=0888",
            "mode=1777",
            "mode=",
            "",
            "user=a",
        ] {
            let error = error(&format!("unix:/run/a.sock?{query}"));
            assert!(
                error.contains("unix:/run/greeter.sock?mode=0660"),
                "{error}"
            );
        }
    }
}
