//! The service of the example.

use std::time::Duration;

use wireloom::{Request, Response, Status};

use crate::proto::whoami::{AskReply, AskRequest, Whoami};

/// Answers with this name.
#[derive(Clone, Debug)]
pub struct Named(pub String);

impl Whoami for Named {
    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskReply>, Status> {
        tokio::time::sleep(Duration::from_millis(request.get_ref().think_ms.into())).await;
        let name = self.0.clone();
        Ok(Response::new(AskReply { name }))
    }
}
