//! Where a channel connects to, as the user names it.

use std::{fmt, path::PathBuf, str::FromStr};

use http::uri::{Authority, Uri};
use tonic::Status;

/// A parsed target: `http://host:port`, `host:port`, `dns:///host:port`, `unix:path` or `unix:///absolute/path`.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A host and port, resolved by the system at each connection attempt.
    Host(Authority),
    /// A Unix socket.
    Unix(PathBuf),
    /// A peer that a test scripts, over memory, so that the clock may be paused.
    #[cfg(test)]
    Scripted(std::sync::Arc<wireloom_peer::Peer>),
}

impl Target {
    /// What requests carry as `:authority`.
    pub(crate) fn authority(&self) -> Authority {
        match self {
            Self::Host(authority) => authority.clone(),
            Self::Unix(_) => Authority::from_static("localhost"),
            #[cfg(test)]
            Self::Scripted(_) => Authority::from_static("scripted"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(authority) => authority.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            #[cfg(test)]
            Self::Scripted(_) => f.write_str("scripted"),
        }
    }
}

impl FromStr for Target {
    type Err = Status;

    fn from_str(target: &str) -> Result<Self, Status> {
        if let Some(path) = target.strip_prefix("unix:") {
            return unix(target, path).map(Self::Unix);
        }
        let host = match target.split_once("://") {
            Some(("http", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some(("dns", rest)) => rest.strip_prefix('/').ok_or_else(|| {
                invalid(
                    target,
                    "a DNS server in the target is not supported: write dns:///host:port",
                )
            })?,
            Some(("https", _)) => {
                return Err(invalid(
                    target,
                    "TLS is not supported yet: use http:// inside a trusted network",
                ));
            }
            Some((scheme, _)) => {
                return Err(invalid(
                    target,
                    &format!("the scheme {scheme:?} is unknown"),
                ));
            }
            None => target.strip_prefix("dns:").unwrap_or(target),
        };
        let authority = Authority::from_str(host)
            .map_err(|error| invalid(target, &format!("{host:?} is no host: {error}")))?;
        if authority.port_u16().is_none()
            || authority.host().is_empty()
            || authority.as_str().contains('@')
        {
            return Err(invalid(target, "it must name a host and a port"));
        }
        Ok(Self::Host(authority))
    }
}

/// The socket that `target` names, which is `unix:` and `path`.
pub(crate) fn unix(target: &str, path: &str) -> Result<PathBuf, Status> {
    // unix:path, unix:/path and unix:///path; unix://path would be an authority, which the scheme does not have.
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(invalid(target, "a path after unix:// must be absolute")),
        None => path,
    };
    if path.is_empty() {
        return Err(invalid(target, "the path of the socket is missing"));
    }
    Ok(PathBuf::from(path))
}

fn invalid(target: &str, reason: &str) -> Status {
    Status::invalid_argument(format!(
        "invalid target {target:?}: {reason} (examples: http://localhost:50051, dns:///greeter:50051, \
         unix:/run/greeter.sock)"
    ))
}

/// A URI of `path` on `authority`.
pub(crate) fn uri(authority: &Authority, path: &http::uri::PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(path.clone());
    Uri::from_parts(parts).expect("a scheme, an authority and a path make a URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Target {
        target
            .parse()
            .unwrap_or_else(|status| panic!("{target}: {status}"))
    }

    #[test]
    fn every_spelling_of_a_host_is_read() {
        for target in ["http://h:1", "http://h:1/", "h:1", "dns:///h:1", "dns:h:1"] {
            assert!(
                matches!(parse(target), Target::Host(host) if host == "h:1"),
                "{target}"
            );
        }
        assert!(matches!(parse("http://[::1]:50051"), Target::Host(host) if host == "[::1]:50051"));
    }

    #[test]
    fn every_spelling_of_a_socket_is_read() {
        for (target, socket) in [
            ("unix:/run/x", "/run/x"),
            ("unix:///run/x", "/run/x"),
            ("unix:x", "x"),
        ] {
            assert!(matches!(parse(target), Target::Unix(path) if path.to_str() == Some(socket)));
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_an_example() {
        let invalid = [
            "",
            "h",
            "http://h",
            "ftp://h:1",
            "https://h:1",
            "http://h:1/path",
            "unix:",
            "unix://x",
            "a@b:1",
            "dns://8.8.8.8/h:1",
            "h:99999",
            ":1",
        ];
        for target in invalid {
            let status = target.parse::<Target>().unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{target}");
            assert!(
                status.message().contains("http://localhost:50051"),
                "{target}: {status}"
            );
        }
    }
}
