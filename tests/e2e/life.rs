//! Connections that end while they are used.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wireloom::server::PeerAddr;
use wireloom::{InterceptedCall, Interceptor, Next, Response, Server, Status};

use crate::support::{Setup, TestServer, task};

/// Notes which connections calls came on.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashSet<String>>>);

impl Interceptor for Peers {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        let peer = call.extensions().get::<PeerAddr>().copied();
        self.0.lock().unwrap().insert(format!("{peer:?}"));
        next.run(call).await
    }
}

impl Peers {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Makes calls by one client, so many at a time with a pause after each, until they came on twenty connections.
async fn call_until_moved(callers: usize, pause: Duration, server: impl FnOnce(Server) -> Server) {
    let peers = Peers::default();
    let server = server(Server::builder().interceptor(peers.clone()));
    let setup = Setup {
        server,
        ..Setup::default()
    };
    let server = TestServer::start(setup).await;
    let client = server.client().await;
    let callers = (0..callers).map(|_| {
        let (client, peers) = (client.clone(), peers.clone());
        tokio::spawn(async move {
            while peers.count() < 20 {
                client.unary(task("a")).await.unwrap();
                tokio::time::sleep(pause).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_loses_no_call_to_connections_that_get_old() {
    call_until_moved(8, Duration::ZERO, |server| {
        server.max_connection_age(Duration::from_millis(20))
    })
    .await;
}

#[tokio::test]
async fn a_client_loses_no_call_to_connections_that_end_as_they_are_used() {
    // As long as what lies between two calls: the next one crosses the GOAWAY every now and then.
    call_until_moved(1, Duration::from_millis(1), |server| {
        server.max_connection_idle(Duration::from_millis(1))
    })
    .await;
}
