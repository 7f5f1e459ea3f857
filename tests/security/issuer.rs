//! An issuer of tokens, and a server where it publishes its keys.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wireloom::jwt::{JwtAuthenticator, JwtBuilder, Keys};
use wireloom_peer::Authority;

pub const NAME: &str = "https://issuer.test/";
pub const AUDIENCE: &str = "vault";

/// Made for these tests, and used nowhere else: they cannot make such keys.
pub const RSA_KEY: &[u8] = include_bytes!("rsa.key");
pub const RSA_PUBLIC_KEY: &[u8] = include_bytes!("rsa.pub");

/// A key that signs tokens.
pub struct Signer {
    pub id: String,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
}

impl Signer {
    pub fn ec(id: &str) -> Self {
        let key = Authority::new("a key").issue(&["key.test"]).key;
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_pem(key.as_bytes()).unwrap(),
        }
    }

    pub fn rsa(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_pem(RSA_KEY).unwrap(),
        }
    }

    pub fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        jwk
    }

    pub fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        header
    }

    pub fn token(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).unwrap()
    }
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// The claims of a token as it should be.
pub fn claims() -> Value {
    json!({
        "iss": NAME,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": now() + 300,
        "scope": "vault.read vault.write",
    })
}

pub fn jwks(signers: &[&Signer]) -> String {
    let keys = signers.iter().map(|signer| signer.jwk()).collect();
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

pub fn tokens(keys: Keys) -> JwtBuilder {
    JwtAuthenticator::builder(keys)
        .issuer(NAME)
        .audience(AUDIENCE)
}

/// What an issuer's server does with a request.
#[derive(Clone)]
pub enum Answers {
    Document(String),
    Status(u16),
    /// It takes the request, and says nothing.
    Nothing,
}

/// An HTTPS server that publishes a document.
pub struct Publisher {
    pub url: String,
    pub authority: Authority,
    state: Arc<Mutex<State>>,
}

struct State {
    answers: Answers,
    requests: usize,
}

impl Publisher {
    pub async fn start(answers: Answers) -> Self {
        let authority = Authority::new("the issuer's authority");
        let certified = authority.issue(&["127.0.0.1"]);
        let acceptor = acceptor(&certified.chain, &certified.key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/jwks", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            answers,
            requests: 0,
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let mut io = acceptor.accept(io).await?;
                    let mut request = [0; 4096];
                    let _ = io.read(&mut request).await?;
                    let answers = {
                        let mut state = state.lock().unwrap();
                        state.requests += 1;
                        state.answers.clone()
                    };
                    let (status, body) = match answers {
                        Answers::Document(body) => (200, body),
                        Answers::Status(status) => (status, String::new()),
                        Answers::Nothing => std::future::pending().await,
                    };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status} It\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                    );
                    io.write_all(answer.as_bytes()).await?;
                    io.shutdown().await
                });
            }
        });
        Self {
            url,
            authority,
            state,
        }
    }

    pub fn answer(&self, answers: Answers) {
        self.state.lock().unwrap().answers = answers;
    }

    pub fn publish(&self, signers: &[&Signer]) {
        self.answer(Answers::Document(jwks(signers)));
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }
}

fn acceptor(chain: &str, key: &str) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
