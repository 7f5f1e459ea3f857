//! Where the documentation says that types are.

#![allow(unused_imports)]

use wireloom::error_details::{ErrorDetails, StatusExt};
use wireloom::health::{HealthReporter, ServingStatus};
use wireloom::jwt::{Claims, JwtAuthenticator, Keys};
use wireloom::metadata::{MetadataMap, MetadataValue};
use wireloom::resolver::{Address, Resolution, Resolver, ResolverUpdates};
use wireloom::server::systemd::PassedSockets;
use wireloom::server::{AdaptiveLimit, Limits, Queue, RateLimit};
use wireloom::server::{Listener, Listeners, PeerAddr, Runtimes, Shutdown};
use wireloom::tls::{ClientCertificates, ClientTls, Identity, PeerIdentity, Roots, ServerTls};
use wireloom::{Authenticator, BearerCredentials, BearerToken, CallCredentials, Caller};
use wireloom::{Authorization, CallOptions, Channel, Compression, Metrics, RetryPolicy};
use wireloom::{Code, InterceptedCall, Interceptor, Next, Request, Response, Server, Status};
