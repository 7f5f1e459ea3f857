//! Handshakes that fail, in words that say what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, pki_types::ServerName};
use tonic::{Code, Status};

use crate::status;

/// Why a client's handshake failed.
pub(super) fn of_client(error: io::Error, name: &ServerName<'_>) -> Status {
    let reason = match cause(&error) {
        Some(Error::InvalidCertificate(certificate)) => of_certificate(certificate, name),
        Some(Error::NoApplicationProtocol)
        | Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => return no_h2(),
        Some(Error::InvalidMessage(_)) => format!(
            "what answers there does not speak TLS ({error}): a server in plaintext is called by http:// and without \
             `ChannelBuilder::tls`"
        ),
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion))
        | Some(Error::PeerIncompatible(_)) => format!(
            "the server speaks no version of TLS that is allowed here, or none of its ciphers ({error}): see \
             `ClientTls::min_version`"
        ),
        Some(Error::AlertReceived(_)) => refused(&error.to_string()),
        _ if is_end(error.kind()) => format!(
            "the TLS handshake failed: the server ended the connection, as one in plaintext does ({error})"
        ),
        _ => format!("the TLS handshake failed: {error}"),
    };
    status::with_source(Code::Unavailable, reason, error)
}

/// Whether the peer ended a connection without a word; where it has not read all of ours, that is a reset.
fn is_end(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

/// The peer speaks TLS, and not HTTP/2 in it.
pub(super) fn no_h2() -> Status {
    Status::unavailable(
        "the server did not agree to HTTP/2 by ALPN (\"h2\"), which gRPC over TLS needs: it serves something else, or \
         a proxy before it ends TLS and lets HTTP/2 not through",
    )
}

/// Whether a connection ended by a TLS alert: what a server has against a client's certificate comes after the handshake
/// of TLS 1.3, by when only the text is left.
pub(crate) fn is_alert(error: &h2::Error) -> bool {
    error.is_io() && error.to_string().contains("received fatal alert")
}

/// The server ended the connection by an alert.
pub(crate) fn refused(error: &str) -> String {
    format!(
        "the server refused the TLS connection ({error}): where it asks for a client certificate, give one that its \
         roots have signed by `ClientTls::identity`"
    )
}

fn of_certificate(error: &CertificateError, name: &ServerName<'_>) -> String {
    let name = name.to_str();
    match error {
        CertificateError::UnknownIssuer => format!(
            "the certificate of the server for {name} leads to no root that is trusted: where it is signed by a CA of \
             your own, give that CA's certificate by `ClientTls::roots`; else the server may lack the certificates in \
             between"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the server's certificate is not for {name}: {error}; call it by a name that it is for, or give that \
                 name by `ClientTls::server_name`"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!(
                "the server's certificate has expired, or this machine's clock is wrong: {error}"
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!(
                "the server's certificate is not valid yet, or this machine's clock is wrong: {error}"
            )
        }
        error => format!("the certificate of the server for {name} is not accepted: {error}"),
    }
}

/// Why a server's handshake failed, for its log.
pub(super) fn of_server(error: &io::Error) -> String {
    match cause(error) {
        Some(Error::InvalidMessage(_)) => {
            format!("the client does not speak TLS ({error}): it may be in plaintext")
        }
        Some(Error::NoApplicationProtocol) => {
            "the client does not offer HTTP/2 by ALPN (\"h2\")".to_owned()
        }
        Some(Error::NoCertificatesPresented) => "the client has shown no certificate".to_owned(),
        Some(Error::InvalidCertificate(reason)) => {
            format!("the client's certificate is not accepted: {reason}")
        }
        _ => error.to_string(),
    }
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
