//! Fetching a document over HTTP, by ureq.

use std::{net::IpAddr, time::Duration};

use http::{Uri, uri::Scheme};
use tokio::sync::oneshot;
use tonic::Status;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::keys::Plaintext;
use crate::tls::{self, Roots};

/// How long a fetch may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest document that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

pub(super) struct Fetch {
    url: String,
    agent: Agent,
}

impl Fetch {
    /// # Errors
    ///
    /// INVALID_ARGUMENT for what is no URL to fetch keys from, and for roots that cannot be read.
    pub(super) fn new(url: &str, roots: &Roots, plaintext: Plaintext) -> Result<Self, Status> {
        let way = check(url, plaintext).map_err(Status::invalid_argument)?;
        let is_secure = way == Way::Secure;
        let roots = match is_secure {
            true => roots.certificates()?,
            false => Vec::new(),
        };
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
            .unversioned_rustls_crypto_provider(tls::provider());
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(TIMEOUT))
            .https_only(is_secure)
            .max_redirects(if is_secure { 3 } else { 0 })
            .user_agent("wireloom");
        let config = match way {
            // A proxy's `localhost` is another.
            Way::Loopback => config.proxy(None),
            Way::Secure | Way::Plaintext => config,
        };
        Ok(Self {
            url: url.to_owned(),
            agent: config.build().new_agent(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// # Errors
    ///
    /// What went wrong.
    pub(super) async fn run(&self) -> Result<Vec<u8>, String> {
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let (done, fetched) = oneshot::channel();
        // A thread of its own, and not one of tokio's: a runtime that shuts down would wait for those.
        std::thread::Builder::new()
            .name("wireloom-jwks".to_owned())
            .spawn(move || done.send(get(&agent, &url)))
            .map_err(|error| format!("there is no thread for it: {error}"))?;
        fetched
            .await
            .unwrap_or_else(|_| Err("the fetch panicked".to_owned()))
    }
}

fn get(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let get = || {
        let response = agent.get(url).header("accept", "application/json").call()?;
        let body = response.into_body().into_with_config().limit(MAX_SIZE);
        body.read_to_vec()
    };
    get().map_err(|error: ureq::Error| error.to_string())
}

/// How keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Secure,
    /// In plaintext, from this machine.
    Loopback,
    /// In plaintext, from another.
    Plaintext,
}

/// How what a URL names comes.
///
/// # Errors
///
/// What is wrong with it.
fn check(url: &str, plaintext: Plaintext) -> Result<Way, String> {
    let parsed = url.parse::<Uri>().ok();
    let parsed = parsed.filter(|uri| uri.host().is_some());
    let Some(uri) = parsed else {
        return Err(format!(
            "{url:?} is no URL of keys: it must be one such as https://issuer.example.com/.well-known/jwks.json"
        ));
    };
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(Way::Secure),
        Some(scheme) if *scheme == Scheme::HTTP => {
            match (is_loopback(uri.host().unwrap_or_default()), plaintext) {
                (true, _) => Ok(Way::Loopback),
                (false, Plaintext::Allowed) => Ok(Way::Plaintext),
                (false, Plaintext::Loopback) => Err(format!(
                    "keys from {url} could be changed on the way: use https://, or, where nobody is in between, \
                     `Keys::allow_plaintext`"
                )),
            }
        }
        _ => Err(format!("{url} must begin with https://")),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_for_this_machine_unless_it_is_allowed() {
        let (loopback, allowed) = (Plaintext::Loopback, Plaintext::Allowed);
        assert_eq!(check("https://a.example/keys", loopback), Ok(Way::Secure));
        assert_eq!(check("http://a.example/keys", allowed), Ok(Way::Plaintext));
        for local in [
            "http://localhost:80/",
            "http://127.0.0.1/",
            "http://[::1]:8080/",
        ] {
            assert_eq!(check(local, loopback), Ok(Way::Loopback), "{local}");
        }
        for refused in [
            "http://a.example/keys",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "ftp://a.example/",
            "a.example",
            "/keys",
            "",
        ] {
            assert!(check(refused, loopback).is_err(), "{refused}");
        }
    }

    #[test]
    fn keys_of_this_machine_come_by_no_proxy() {
        let name = "jwt::fetch::tests::keys_of_this_machine_come_by_no_proxy";
        if std::env::var_os("ALL_PROXY").is_none() {
            // What the environment says is for a process as a whole.
            let mut process = std::process::Command::new(std::env::current_exe().unwrap());
            process.args(["--exact", name]);
            process.env("ALL_PROXY", "http://proxy.example:3128");
            return assert!(process.output().unwrap().status.success());
        }
        let has_proxy = |url: &str, plaintext| {
            let fetch = Fetch::new(url, &Roots::system(), plaintext).unwrap();
            fetch.agent.config().proxy().is_some()
        };
        let (loopback, allowed) = (Plaintext::Loopback, Plaintext::Allowed);
        assert!(has_proxy("https://issuer.example/keys", loopback));
        assert!(has_proxy("http://issuer.example/keys", allowed));
        for url in ["http://localhost/keys", "http://127.0.0.1:8080/keys"] {
            assert!(!has_proxy(url, loopback), "{url}");
            assert!(!has_proxy(url, allowed), "{url}");
        }
    }
}
