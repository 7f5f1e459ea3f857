use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::WebPkiClientVerifier, sign::SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::Status;

use super::{
    H2, Identity, PeerIdentity, Roots, TlsVersion, failure,
    pem::Files,
    provider,
    reload::{self, Reloading},
    revocation, unusable_provider,
};
use crate::{limits::HANDSHAKE_TIMEOUT, linger};

/// How a server proves who it is, and whom it lets in.
///
/// Unless something else is said, it takes clients without certificates, speaks TLS 1.2 or newer, and gives a handshake
/// 10 seconds.
///
/// ```no_run
/// use wireloom::{Server, tls::{ClientCertificates, Identity, Roots, ServerTls}};
///
/// let tls = ServerTls::new(Identity::files("/etc/greeter/server.pem", "/etc/greeter/server.key"))
///     .client_certificates(ClientCertificates::Required(Roots::file("/etc/greeter/clients-ca.pem")));
/// let server = Server::builder().tls(tls);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until a server has it"]
pub struct ServerTls {
    identity: Identity,
    client_certificates: ClientCertificates,
    revocation_lists: Vec<PathBuf>,
    min_version: TlsVersion,
    /// As the server says, if there is none.
    handshake_timeout: Option<Duration>,
    reload_interval: Duration,
}

/// Whether clients prove themselves by certificates (mTLS). What they prove is in the [`PeerIdentity`] of each call.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// Clients are not asked for one.
    #[default]
    None,
    /// A client may have none; one that leads to none of the roots ends the handshake.
    Optional(Roots),
    /// A client without one that leads to one of the roots is not let in.
    Required(Roots),
}

impl ClientCertificates {
    fn roots(&self) -> Option<&Roots> {
        match self {
            Self::None => None,
            Self::Optional(roots) | Self::Required(roots) => Some(roots),
        }
    }
}

impl ServerTls {
    /// TLS by which the server proves to be `identity`.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            client_certificates: ClientCertificates::None,
            revocation_lists: Vec::new(),
            min_version: TlsVersion::default(),
            handshake_timeout: None,
            reload_interval: reload::INTERVAL,
        }
    }

    /// Whether clients prove themselves by certificates. The default does not ask for them.
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.client_certificates = certificates;
        self
    }

    /// Refuses client certificates that the issuer revoked, by a PEM file of revocation lists (CRL, [RFC
    /// 5280](https://www.rfc-editor.org/rfc/rfc5280#section-5)), read again when it has changed. Called again, by several.
    ///
    /// Each certificate of a chain is looked up in the list of its issuer; one whose issuer has no list here is taken. A list
    /// past its `nextUpdate` still counts: who has to be sure of a fresh one watches over the file. Connections that are there
    /// stay.
    pub fn revocation_lists(mut self, path: impl Into<PathBuf>) -> Self {
        self.revocation_lists.push(path.into());
        self
    }

    /// The oldest version of TLS that is spoken. The default is TLS 1.2.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// How long a handshake may take before its connection is ended. The default is 10 seconds.
    ///
    /// The setting `tls_handshake_timeout` of a server's configuration replaces what was given to
    /// [`Server::tls`](crate::Server::tls) before; what a listener's own TLS says stays.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Some(timeout);
        self
    }

    /// How often files are looked at, at most: a handshake that comes this long after the last look reads them. The
    /// default is 10 seconds; zero has every handshake look.
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.reload_interval = interval;
        self
    }

    pub(crate) fn own_handshake_timeout(&self) -> Option<Duration> {
        self.handshake_timeout
    }

    pub(crate) fn takes_client_certificates(&self) -> bool {
        self.client_certificates.roots().is_some()
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read or used.
    pub(crate) fn acceptor(self, alpn: Alpn) -> Result<Acceptor, Status> {
        let roots = self.client_certificates.roots();
        let roots = roots.into_iter().flat_map(Roots::paths);
        let lists = self.revocation_lists.iter().cloned();
        let paths: Vec<_> = self.identity.paths().chain(roots).chain(lists).collect();
        let interval = self.reload_interval;
        let handshake_timeout = self.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT);
        let config = Reloading::new(paths, interval, move |files| self.config(files, alpn))?;
        Ok(Acceptor {
            config: Arc::new(config),
            handshake_timeout,
            alpn,
        })
    }

    fn config(&self, files: &Files, alpn: Alpn) -> Result<ServerConfig, Status> {
        let provider = provider();
        let key = self.identity.certified_key(files, &provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.min_version.and_newer())
            .map_err(|error| unusable_provider(&error))?;
        let builder = match self.client_certificates.roots() {
            None if !self.revocation_lists.is_empty() => {
                return Err(Status::invalid_argument(
                    "revocation lists are of client certificates, and this server takes none: set \
                     `ServerTls::client_certificates`",
                ));
            }
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let roots = roots.store(files)?;
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                if matches!(self.client_certificates, ClientCertificates::Optional(_)) {
                    verifier = verifier.allow_unauthenticated();
                }
                for path in &self.revocation_lists {
                    verifier = verifier.with_crls(revocation::lists(path, files)?);
                }
                if !self.revocation_lists.is_empty() {
                    verifier = verifier.allow_unknown_revocation_status();
                }
                let verifier = verifier.build().map_err(|error| {
                    Status::invalid_argument(format!(
                        "the roots of clients, or their revocation lists, cannot be used: {error}"
                    ))
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::new(key))));
        config.alpn_protocols = alpn.protocols();
        Ok(config)
    }
}

/// Makes connections of a server secure.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: Arc<Reloading<ServerConfig>>,
    handshake_timeout: Duration,
    alpn: Alpn,
}

/// What is spoken once a connection is secure (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http2,
    /// A client that offers nothing speaks HTTP/1.1.
    #[cfg(feature = "http1")]
    Http2OrHttp1,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2 => vec![H2.to_vec()],
            #[cfg(feature = "http1")]
            Self::Http2OrHttp1 => vec![H2.to_vec(), b"http/1.1".to_vec()],
        }
    }

    fn allows(self, negotiated: Option<&[u8]>) -> bool {
        match self {
            Self::Http2 => negotiated == Some(H2),
            #[cfg(feature = "http1")]
            Self::Http2OrHttp1 => true,
        }
    }
}

impl Acceptor {
    /// Shakes hands over `io`.
    ///
    /// # Errors
    ///
    /// Why the connection has ended, for the log.
    pub(crate) async fn accept<T>(
        &self,
        io: T,
    ) -> Result<(TlsStream<T>, Option<PeerIdentity>), String>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            let acceptor = TlsAcceptor::from(self.config.current().await);
            acceptor.accept(io).into_fallible().await
        };
        let stream = match tokio::time::timeout(self.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, io))) => {
                linger::end(io, b"").await;
                return Err(failure::of_server(&error));
            }
            Err(_) => return Err(format!("no handshake within {:?}", self.handshake_timeout)),
        };
        let connection = stream.get_ref().1;
        if !self.alpn.allows(connection.alpn_protocol()) {
            linger::end(stream, b"").await;
            return Err("the client does not offer HTTP/2 by ALPN (\"h2\")".to_owned());
        }
        let identity = PeerIdentity::new(connection.peer_certificates());
        Ok((stream, identity))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}
