//! Whether a channel's connections are secure, and what that means for them.

use http::uri::Scheme;
use tonic::{Code, Status};

use crate::status;
#[cfg(feature = "tls")]
use crate::tls::{self, ClientTls};

/// What the user said of a channel's security.
#[derive(Clone, Debug)]
pub(super) struct SecurityOptions {
    scheme: TargetScheme,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ClientTls>,
    pub(super) insecure_credentials: InsecureCredentials,
}

/// What a target's scheme says of security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetScheme {
    Http,
    Https,
    /// `dns:`, `unix:`, or none: the channel's options decide.
    Other,
}

/// Whether call credentials go over connections that anybody can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum InsecureCredentials {
    #[default]
    Refused,
    Allowed,
}

impl SecurityOptions {
    pub(super) fn of(target: &str) -> Self {
        let scheme = match target.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => TargetScheme::Http,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => TargetScheme::Https,
            _ => TargetScheme::Other,
        };
        Self {
            scheme,
            #[cfg(feature = "tls")]
            tls: None,
            insecure_credentials: InsecureCredentials::default(),
        }
    }

    /// The security of connections to a server whose name is `host`.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for TLS that cannot be had, or that the target says is not to be.
    #[cfg(feature = "tls")]
    pub(super) fn decide(self, host: &str) -> Result<Security, Status> {
        match (self.tls, self.scheme) {
            (Some(_), TargetScheme::Http) => Err(Status::invalid_argument(
                "the target is http://, which is in plaintext, and the channel has `ChannelBuilder::tls`: write \
                 https://, or leave `tls` out",
            )),
            (None, TargetScheme::Http | TargetScheme::Other) => Ok(Security::Plaintext),
            (Some(tls), _) => tls.connector(host).map(Security::Tls),
            (None, TargetScheme::Https) => ClientTls::new().connector(host).map(Security::Tls),
        }
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn decide(self, _: &str) -> Result<Security, Status> {
        match self.scheme {
            TargetScheme::Https => Err(Status::invalid_argument(
                "an https:// target needs the feature `tls` of the crate wireloom",
            )),
            TargetScheme::Http | TargetScheme::Other => Ok(Security::Plaintext),
        }
    }
}

/// What connections are made of.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    Plaintext,
    #[cfg(feature = "tls")]
    Tls(tls::Connector),
}

impl Security {
    /// The `:scheme` of requests.
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Plaintext => Scheme::HTTP,
            #[cfg(feature = "tls")]
            Self::Tls(_) => Scheme::HTTPS,
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        match self {
            Self::Plaintext => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }

    /// Why a connection did not become HTTP/2.
    pub(super) fn no_http2(&self, error: h2::Error) -> Status {
        let no_http2 =
            format!("what answers there does not speak HTTP/2, as a gRPC server does: {error}");
        let message = match self {
            Self::Plaintext => {
                format!("{no_http2} (a server that speaks TLS is called by https://)")
            }
            #[cfg(feature = "tls")]
            Self::Tls(_) if tls::is_alert(&error) => tls::refused(&error.to_string()),
            #[cfg(feature = "tls")]
            Self::Tls(_) => no_http2,
        };
        status::with_source(Code::Unavailable, message, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "tls"))]
    #[test]
    fn an_https_target_names_the_feature_that_it_needs() {
        let channel = crate::channel::Channel::lazy("https://h");
        let status = channel.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("the feature `tls`"), "{status}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_target_and_the_options_decide_together() {
        let roots = wireloom_peer::Authority::new("the authority");
        let tls = || ClientTls::new().roots(tls::Roots::pem(roots.pem()));
        let decide = |target: &str, tls: Option<ClientTls>| {
            let options = SecurityOptions {
                tls,
                ..SecurityOptions::of(target)
            };
            options.decide("h").map(|security| security.scheme())
        };
        for target in [
            "h:1",
            "dns:///h:1",
            "dns:h:1",
            "unix:/run/x",
            "unix:///run/x",
        ] {
            assert_eq!(decide(target, None).unwrap(), Scheme::HTTP, "{target}");
            assert_eq!(
                decide(target, Some(tls())).unwrap(),
                Scheme::HTTPS,
                "{target}"
            );
        }
        assert_eq!(decide("http://h:1", None).unwrap(), Scheme::HTTP);
        assert_eq!(decide("https://h:1", Some(tls())).unwrap(), Scheme::HTTPS);
        let contradiction = decide("http://h:1", Some(tls())).unwrap_err();
        assert_eq!(contradiction.code(), Code::InvalidArgument);
        assert!(
            contradiction.message().contains("http://"),
            "{contradiction}"
        );
    }
}
