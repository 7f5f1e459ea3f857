use std::{future::Future, time::Duration};

use etcd_client::{Client, ConnectOptions, Error};
use http::Request;
use tokio::time::timeout;
use tonic::body::Body;
use tower::{BoxError, Service, service_fn, util::BoxCloneSyncService};
use wireloom::Channel;

/// etcd closes connections that ping more often than every 5 seconds.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A client of the etcd at `target`, such as `static:10.0.0.1:2379,10.0.0.2:2379`: a [`Channel`]'s target, which it connects to
/// at its first call.
///
/// # Errors
///
/// What is no target.
pub async fn connect(target: &str) -> Result<Client, Error> {
    // A watch is silent for hours; only pings tell that its connection is gone.
    let channel = Channel::builder(target).keepalive(KEEPALIVE).lazy()?;
    let service = service_fn(move |request: Request<Body>| {
        let answer = channel.clone().call(request);
        async { Ok::<_, BoxError>(answer.await?.map(Body::new)) }
    });
    let channel = etcd_client::Channel::Custom(BoxCloneSyncService::new(service));
    // A member that has lost the others ends its watches, instead of saying that nothing happens.
    let options = ConnectOptions::new().with_require_leader(true);
    Client::from_channel(channel, Some(options)).await
}

/// A call of etcd that has `time`: etcd's client sets no deadlines.
pub(crate) async fn timed<T>(
    time: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Error::Internal(format!("etcd has not answered within {time:?}"));
    timeout(time, call).await.map_err(late)?
}
