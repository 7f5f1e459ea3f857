//! The service `grpc.health.v1.Health`.

use tokio_stream::{StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};

use super::{
    HealthReporter, ServingStatus,
    messages::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        SERVICE_UNKNOWN,
    },
};
use crate::{
    method::{Method, MethodDescriptor},
    server::{Call, MessageStream, Reply, Service},
};

pub(super) static CHECK: Method<HealthCheckRequest, HealthCheckResponse> =
    Method::unary("/grpc.health.v1.Health/Check");
pub(super) static LIST: Method<HealthListRequest, HealthListResponse> =
    Method::unary("/grpc.health.v1.Health/List");
pub(super) static WATCH: Method<HealthCheckRequest, HealthCheckResponse> =
    Method::server_streaming("/grpc.health.v1.Health/Watch");

/// The most names that `List` tells, the server as a whole included; the same as grpc-go's.
pub(super) const MAX_LISTED: usize = 100;

/// Answers by what a reporter says.
#[derive(Debug)]
pub(crate) struct Health {
    reporter: HealthReporter,
}

impl Health {
    pub(crate) fn new(reporter: HealthReporter) -> Self {
        Self { reporter }
    }

    fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match self.reporter.status(&service) {
            Some(status) => Ok(Response::new(response(Some(status)))),
            // Without its name, which the caller knows: a request may have megabytes of it, and a header may not.
            None => Err(Status::not_found("unknown service")),
        }
    }

    fn list(&self) -> Result<Response<HealthListResponse>, Status> {
        let statuses = self.reporter.now();
        let listed = statuses.all().take(MAX_LISTED + 1);
        let statuses: std::collections::HashMap<_, _> = listed
            .map(|(service, status)| (service.to_owned(), response(Some(status))))
            .collect();
        if statuses.len() > MAX_LISTED {
            let message = format!("there are more than {MAX_LISTED} services to list");
            return Err(Status::resource_exhausted(message));
        }
        Ok(Response::new(HealthListResponse { statuses }))
    }

    /// The status now, and each change. Who reads slowly misses what has changed again by then.
    fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Response<impl MessageStream<HealthCheckResponse>> {
        let service = request.into_inner().service;
        let mut told = None;
        let changes = WatchStream::new(self.reporter.changes());
        Response::new(changes.filter_map(move |statuses| {
            let status = statuses.of(&service);
            let is_news = told.replace(status) != Some(status);
            is_news.then(|| Ok(response(status)))
        }))
    }
}

impl Service for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
    const METHODS: &'static [&'static MethodDescriptor] =
        &[CHECK.descriptor(), LIST.descriptor(), WATCH.descriptor()];

    async fn call(&self, call: Call) -> Reply {
        match call.path() {
            "/grpc.health.v1.Health/Check" => {
                call.unary(&CHECK, async |request| self.check(request))
                    .await
            }
            "/grpc.health.v1.Health/List" => call.unary(&LIST, async |_| self.list()).await,
            "/grpc.health.v1.Health/Watch" => {
                call.server_streaming(&WATCH, async |request| Ok(self.watch(request)))
                    .await
            }
            _ => call.unimplemented(),
        }
    }
}

fn response(status: Option<ServingStatus>) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.map_or(SERVICE_UNKNOWN, |status| status as i32),
    }
}
