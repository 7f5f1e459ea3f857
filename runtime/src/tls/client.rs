use std::{fmt, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName, sign::SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::Status;

use super::{
    H2, Identity, Roots, TlsVersion, failure,
    pem::Files,
    provider,
    reload::{self, Reloading},
    unusable_provider,
};

/// How a channel proves who the server is, and itself to the server.
///
/// Unless something else is said: the system's roots, no certificate of one's own, the name in the target, TLS 1.2 or
/// newer.
///
/// ```no_run
/// use wireloom::{Channel, tls::{ClientTls, Identity, Roots}};
///
/// let tls = ClientTls::new()
///     .roots(Roots::file("/etc/greeter/ca.pem"))
///     .identity(Identity::files("/etc/greeter/client.pem", "/etc/greeter/client.key"));
/// let channel = Channel::builder("https://greeter.internal:50051").tls(tls).lazy()?;
/// # Ok::<(), wireloom::Status>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until a channel has it"]
pub struct ClientTls {
    roots: Roots,
    identity: Option<Identity>,
    server_name: Option<String>,
    min_version: TlsVersion,
    reload_interval: Duration,
}

impl ClientTls {
    /// TLS as any public server wants it.
    pub fn new() -> Self {
        Self {
            roots: Roots::system(),
            identity: None,
            server_name: None,
            min_version: TlsVersion::default(),
            reload_interval: reload::INTERVAL,
        }
    }

    /// Whose signature makes a server's certificate good. The default is [`Roots::system`]; this takes its place.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// What the client proves itself by, where the server asks for it (mTLS). The default is nothing.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The name or the IP address that the server's certificate must be for, and that the server is asked for (SNI). The
    /// default is the host of the channel's [authority](crate::ChannelBuilder::authority), which is not changed by this.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The oldest version of TLS that is spoken. The default is TLS 1.2.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// How often files are looked at, at most: a handshake that comes this long after the last look reads them. The
    /// default is 10 seconds; zero has every handshake look.
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.reload_interval = interval;
        self
    }

    /// # Errors
    ///
    /// INVALID_ARGUMENT for what cannot be read or used.
    pub(crate) fn connector(self, host: &str) -> Result<Connector, Status> {
        let name = self.server_name.as_deref().unwrap_or(host);
        // A URI has brackets around an IPv6 address, a certificate has none.
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(bare.to_owned()).map_err(|_| {
            Status::invalid_argument(format!(
                "no certificate can be for the server name {name:?}: give a DNS name or an IP address by \
                 `ClientTls::server_name`"
            ))
        })?;
        let identity = self.identity.iter().flat_map(Identity::paths);
        let paths: Vec<_> = self.roots.paths().chain(identity).collect();
        let interval = self.reload_interval;
        let config = Reloading::new(paths, interval, move |files| self.config(files))?;
        Ok(Connector {
            config: Arc::new(config),
            server_name,
        })
    }

    fn config(&self, files: &Files) -> Result<ClientConfig, Status> {
        let provider = provider();
        let identity = self
            .identity
            .as_ref()
            .map(|identity| identity.certified_key(files, &provider))
            .transpose()?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.min_version.and_newer())
            .map_err(|error| unusable_provider(&error))?
            .with_root_certificates(self.roots.store(files)?);
        let mut config = match identity {
            Some(key) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::new(key))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
    }
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes connections of a channel secure.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<Reloading<ClientConfig>>,
    server_name: ServerName<'static>,
}

impl Connector {
    /// Shakes hands over `io`.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE, with the reason and what may be done.
    pub(crate) async fn connect<T>(&self, io: T) -> Result<TlsStream<T>, Status>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config.current().await);
        let stream = connector
            .connect(self.server_name.clone(), io)
            .await
            .map_err(|error| failure::of_client(error, &self.server_name))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(H2) => Ok(stream),
            _ => Err(failure::no_h2()),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
