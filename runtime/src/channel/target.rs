//! Where a channel connects to, as the user names it ([gRPC name resolution]).
//!
//! [gRPC name resolution]: https://github.com/grpc/grpc/blob/master/doc/naming.md

use std::{fmt, net::SocketAddr, path::PathBuf};

use http::uri::{Authority, Scheme, Uri};
use tonic::Status;

use super::address::{Address, Transport};
use crate::memory::InProcess;

const LOCALHOST: &str = "localhost";

/// A parsed target.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As spans and errors name it.
    name: String,
    authority: Authority,
    servers: Servers,
}

/// How the addresses of a target are found.
#[derive(Clone, Debug)]
pub(super) enum Servers {
    /// By DNS, of each host with its port.
    Hosts(Vec<String>),
    Fixed(Vec<Address>),
}

impl Target {
    /// Reads `http://host:port`, `https://host[:port]`, `host:port`, `dns:///host:port`, `static:host:port,host:port`, `unix:path`,
    /// `unix:///absolute/path` or `unix-abstract:name`.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for all else.
    pub(super) fn parse(target: &str) -> Result<Self, Status> {
        if let Some(path) = target.strip_prefix("unix:") {
            let path = unix(target, path)?;
            return Ok(Self::fixed(path.display(), Transport::Unix(path.clone())));
        }
        if let Some(name) = target.strip_prefix("unix-abstract:") {
            let path = unix_abstract(target, name)?;
            return Ok(Self::fixed(target, Transport::Unix(path)));
        }
        if let Some(hosts) = target.strip_prefix("static:") {
            let hosts = hosts.strip_prefix("///").unwrap_or(hosts);
            return Self::hosts(target, hosts, &hosts.split(',').collect::<Vec<_>>());
        }
        let with_port;
        let host = match target.split_once("://") {
            Some(("https", rest)) => {
                with_port = with_default_port(rest.strip_suffix('/').unwrap_or(rest));
                &with_port
            }
            Some(("http", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some(("dns", rest)) => rest.strip_prefix('/').ok_or_else(|| {
                invalid(
                    target,
                    "a DNS server in the target is not supported: write dns:///host:port",
                )
            })?,
            Some((scheme, _)) => {
                let reason = format!(
                    "the scheme {scheme:?} is unknown: a resolver for it is given by `ChannelBuilder::resolver`"
                );
                return Err(invalid(target, &reason));
            }
            None => target.strip_prefix("dns:").unwrap_or(target),
        };
        Self::hosts(target, host, &[host])
    }

    /// A target that means something to a resolver of the user's.
    pub(super) fn custom(target: &str) -> Self {
        Self {
            name: target.to_owned(),
            authority: endpoint(target)
                .parse()
                .unwrap_or(Authority::from_static(LOCALHOST)),
            servers: Servers::Fixed(Vec::new()),
        }
    }

    pub(super) fn in_process(server: InProcess) -> Self {
        Self::fixed(server.to_string(), Transport::InProcess(server))
    }

    fn fixed(name: impl fmt::Display, server: Transport) -> Self {
        Self {
            name: name.to_string(),
            authority: Authority::from_static(LOCALHOST),
            servers: Servers::Fixed(vec![Address::of(server)]),
        }
    }

    /// Requests to one of several hosts carry the first as their authority.
    fn hosts(target: &str, name: &str, hosts: &[&str]) -> Result<Self, Status> {
        let authorities = hosts.iter().map(|host| read_host(target, host));
        let authorities: Vec<_> = authorities.collect::<Result<_, _>>()?;
        let literal = |host: &&str| host.parse::<SocketAddr>().ok().map(Address::from);
        let servers = match hosts.iter().map(literal).collect() {
            Some(addresses) => Servers::Fixed(addresses),
            None => Servers::Hosts(hosts.iter().map(|&host| host.to_owned()).collect()),
        };
        Ok(Self {
            name: name.to_owned(),
            authority: authorities[0].clone(),
            servers,
        })
    }

    /// What requests carry as `:authority`.
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether what is sent there stays on this machine.
    pub(super) fn is_local(&self) -> bool {
        match &self.servers {
            Servers::Hosts(_) => false,
            Servers::Fixed(addresses) => {
                let is_local = |address: &Address| !matches!(address.transport, Transport::Tcp(_));
                !addresses.is_empty() && addresses.iter().all(is_local)
            }
        }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A host of `https://`, whose port is 443 unless it says another.
fn with_default_port(host: &str) -> String {
    let authority: Option<Authority> = host.parse().ok();
    let has_none = authority.is_some_and(|authority| authority.host() == host);
    format!("{host}{}", if has_none { ":443" } else { "" })
}

fn read_host(target: &str, host: &str) -> Result<Authority, Status> {
    let authority = host
        .parse::<Authority>()
        .map_err(|error| invalid(target, &format!("{host:?} is no host: {error}")))?;
    if authority.port_u16().is_none()
        || authority.host().is_empty()
        || authority.as_str().contains('@')
    {
        return Err(invalid(target, "it must name a host and a port"));
    }
    Ok(authority)
}

/// What a target names, after its scheme and the scheme's authority.
fn endpoint(target: &str) -> &str {
    if let Some((_, rest)) = target.split_once("://") {
        return rest.split_once('/').map_or(rest, |(_, endpoint)| endpoint);
    }
    match target.split_once(':') {
        Some((_, rest)) if rest.parse::<u16>().is_err() => rest,
        _ => target,
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

/// The abstract socket that `target` names, which is `unix-abstract:` and `name`: Linux has it as a path that begins with a
/// zero byte.
pub(crate) fn unix_abstract(target: &str, name: &str) -> Result<PathBuf, Status> {
    if !cfg!(target_os = "linux") {
        return Err(invalid(target, "only Linux has abstract sockets"));
    }
    if name.is_empty() {
        return Err(invalid(target, "the name of the socket is missing"));
    }
    Ok(PathBuf::from(format!("\0{name}")))
}

fn invalid(target: &str, reason: &str) -> Status {
    Status::invalid_argument(format!(
        "invalid target {target:?}: {reason} (examples: http://localhost:50051, https://greeter.example.com, dns:///greeter:50051, \
         static:10.0.0.1:50051,10.0.0.2:50051, unix:/run/greeter.sock)"
    ))
}

/// A URI of `path` on `authority`.
pub(crate) fn uri(scheme: Scheme, authority: &Authority, path: &http::uri::PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(path.clone());
    Uri::from_parts(parts).expect("a scheme, an authority and a path make a URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Target {
        Target::parse(target).unwrap_or_else(|status| panic!("{target}: {status}"))
    }

    /// The servers of `target`, and what requests to it carry as their authority.
    fn read(target: &str) -> (String, String) {
        let target = parse(target);
        let servers = match target.servers() {
            Servers::Hosts(hosts) => format!("look up {}", hosts.join(" ")),
            Servers::Fixed(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(Address::to_string).collect();
                addresses.join(" ")
            }
        };
        (servers, target.authority().to_string())
    }

    #[test]
    fn every_spelling_of_a_host_is_read() {
        for target in ["http://h:1", "http://h:1/", "h:1", "dns:///h:1", "dns:h:1"] {
            assert_eq!(
                read(target),
                ("look up h:1".into(), "h:1".into()),
                "{target}"
            );
        }
    }

    #[test]
    fn the_port_of_https_is_443() {
        for (target, host) in [
            ("https://h:1", "h:1"),
            ("https://h", "h:443"),
            ("https://h/", "h:443"),
        ] {
            assert_eq!(read(target), (format!("look up {host}"), host.into()));
        }
        let address = "[::1]:443".to_owned();
        assert_eq!(read("https://[::1]"), (address.clone(), address));
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let address = "[::1]:50051".to_owned();
        assert_eq!(read("http://[::1]:50051"), (address.clone(), address));
    }

    #[test]
    fn every_spelling_of_a_socket_is_read() {
        for (target, socket) in [
            ("unix:/run/x", "/run/x"),
            ("unix:///run/x", "/run/x"),
            ("unix:x", "x"),
        ] {
            assert_eq!(read(target), (socket.into(), "localhost".into()));
        }
    }

    #[test]
    fn a_list_may_be_of_addresses_or_of_hosts() {
        for target in [
            "static:127.0.0.1:1,127.0.0.2:2",
            "static:///127.0.0.1:1,127.0.0.2:2",
        ] {
            let servers = "127.0.0.1:1 127.0.0.2:2";
            assert_eq!(read(target), (servers.into(), "127.0.0.1:1".into()));
        }
        assert_eq!(
            read("static:a:1,b:2"),
            ("look up a:1 b:2".into(), "a:1".into())
        );
    }

    #[test]
    fn the_authority_of_a_custom_target_is_what_it_names() {
        for (target, authority) in [
            ("etcd://127.0.0.1:2379/greeter", "greeter"),
            ("etcd:///greeter", "greeter"),
            ("etcd:greeter", "greeter"),
            ("greeter:80", "greeter:80"),
            ("file:/a/b c", "localhost"),
        ] {
            assert_eq!(Target::custom(target).authority(), authority, "{target}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_an_example() {
        let invalid = [
            "",
            "h",
            "http://h",
            "ftp://h:1",
            "https://",
            "https://h:",
            "https://:1",
            "https://a@b",
            "https://h/path",
            "http://h:1/path",
            "unix:",
            "unix://x",
            "a@b:1",
            "dns://8.8.8.8/h:1",
            "h:99999",
            ":1",
            "static:",
            "static:a:1,",
            "static:a:1,b",
        ];
        for target in invalid {
            let status = Target::parse(target).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{target}");
            assert!(
                status.message().contains("http://localhost:50051"),
                "{target}: {status}"
            );
        }
    }
}
