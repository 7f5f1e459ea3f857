use super::Listener;

/// The sockets of one server: what [`Listener::bind_all`] makes, a single [`Listener`], or several.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), wireloom::Status> {
/// use wireloom::server::{Listener, Listeners};
///
/// let public = Listener::bind("127.0.0.1:0").await?;
/// let private = Listener::bind("127.0.0.1:0").await?;
/// let listeners = Listeners::from([public, private]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// The sockets, in the order they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Listener> {
        self.0.iter()
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether clients may prove themselves by certificates to one of them, as its own TLS says.
    pub(in crate::server) fn take_client_certificates(&self) -> bool {
        #[cfg(feature = "tls")]
        let takes = self.iter().any(|listener| match listener.security() {
            super::Security::Tls(tls) => tls.takes_client_certificates(),
            super::Security::Server | super::Security::Plaintext => false,
        });
        #[cfg(not(feature = "tls"))]
        let takes = false;
        takes
    }
}

impl From<Listener> for Listeners {
    fn from(listener: Listener) -> Self {
        Self(vec![listener])
    }
}

impl From<Vec<Listener>> for Listeners {
    fn from(listeners: Vec<Listener>) -> Self {
        Self(listeners)
    }
}

impl<const N: usize> From<[Listener; N]> for Listeners {
    fn from(listeners: [Listener; N]) -> Self {
        Self(listeners.into())
    }
}

impl IntoIterator for Listeners {
    type Item = Listener;
    type IntoIter = std::vec::IntoIter<Listener>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Listeners {
    type Item = &'a Listener;
    type IntoIter = std::slice::Iter<'a, Listener>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
