//! The services `grpc.reflection.v1.ServerReflection`, and that of `v1alpha`, whose messages are the same.

use std::{collections::BTreeSet, sync::Arc};

use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Response};

use super::{
    index::Index,
    messages::{
        ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
        MessageRequest, MessageResponse, ServerReflectionRequest, ServerReflectionResponse,
        ServiceResponse,
    },
};
use crate::{
    method::{Method, MethodDescriptor},
    server::{Call, MessageStream, Reply, Service},
    streaming::Streaming,
};

type Info = Method<ServerReflectionRequest, ServerReflectionResponse>;

/// The methods of both services, in the same order.
static V1: Info =
    Method::bidi_streaming("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
static V1ALPHA: Info =
    Method::bidi_streaming("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");

/// Answers by what an index has.
#[derive(Debug)]
pub(crate) struct ReflectionV1(Arc<Index>);

/// The same under its older name.
#[derive(Debug)]
pub(crate) struct ReflectionV1Alpha(Arc<Index>);

impl ReflectionV1 {
    pub(super) fn new(index: Arc<Index>) -> Self {
        Self(index)
    }
}

impl ReflectionV1Alpha {
    pub(super) fn new(index: Arc<Index>) -> Self {
        Self(index)
    }
}

impl Service for ReflectionV1 {
    const NAME: &'static str = "grpc.reflection.v1.ServerReflection";
    const METHODS: &'static [&'static MethodDescriptor] = &[V1.descriptor()];

    async fn call(&self, call: Call) -> Reply {
        info(&V1, &self.0, call).await
    }
}

impl Service for ReflectionV1Alpha {
    const NAME: &'static str = "grpc.reflection.v1alpha.ServerReflection";
    const METHODS: &'static [&'static MethodDescriptor] = &[V1ALPHA.descriptor()];

    async fn call(&self, call: Call) -> Reply {
        info(&V1ALPHA, &self.0, call).await
    }
}

async fn info(method: &Info, index: &Arc<Index>, call: Call) -> Reply {
    if call.path() != method.descriptor().path() {
        return call.unimplemented();
    }
    let answer = |requests| async { Ok(Response::new(answers(Arc::clone(index), requests))) };
    call.bidi_streaming(method, answer).await
}

/// Answers each request as it comes. A file goes out once, unless it is asked for by itself.
fn answers(
    index: Arc<Index>,
    requests: Request<Streaming<ServerReflectionRequest>>,
) -> impl MessageStream<ServerReflectionResponse> {
    let mut sent = BTreeSet::new();
    requests.into_inner().map(move |request| {
        let request = request?;
        let answered = answer(&index, &request, &mut sent);
        Ok(ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(answered.unwrap_or_else(MessageResponse::Error)),
        })
    })
}

pub(super) fn answer(
    index: &Index,
    request: &ServerReflectionRequest,
    sent: &mut BTreeSet<String>,
) -> Result<MessageResponse, ErrorResponse> {
    let asked = request.message_request.as_ref();
    let asked =
        asked.ok_or_else(|| error(Code::InvalidArgument, "nothing is asked for".to_owned()))?;
    let (file, what) = match asked {
        MessageRequest::ListServices(_) => return Ok(services(index)),
        MessageRequest::AllExtensionNumbersOfType(message) => {
            return extensions(index, message);
        }
        MessageRequest::FileByFilename(name) => (Some(name.as_str()), format!("file {name:?}")),
        MessageRequest::FileContainingSymbol(symbol) => {
            (index.file_of_symbol(symbol), format!("symbol {symbol:?}"))
        }
        MessageRequest::FileContainingExtension(asked) => (
            index.file_of_extension(&asked.containing_type, asked.extension_number),
            format!(
                "extension {} of {:?}",
                asked.extension_number, asked.containing_type
            ),
        ),
    };
    let files = file.and_then(|file| index.with_imports(file, sent));
    let file_descriptor_proto = files.ok_or_else(|| unknown(&what))?;
    Ok(MessageResponse::FileDescriptor(FileDescriptorResponse {
        file_descriptor_proto,
    }))
}

fn services(index: &Index) -> MessageResponse {
    let services = index.services().map(|name| ServiceResponse {
        name: name.to_owned(),
    });
    MessageResponse::ListServices(ListServiceResponse {
        service: services.collect(),
    })
}

fn extensions(index: &Index, message: &str) -> Result<MessageResponse, ErrorResponse> {
    let numbers = index.extensions(message);
    Ok(MessageResponse::AllExtensionNumbers(
        ExtensionNumberResponse {
            base_type_name: message.to_owned(),
            extension_number: numbers.ok_or_else(|| unknown(&format!("message {message:?}")))?,
        },
    ))
}

fn unknown(what: &str) -> ErrorResponse {
    error(Code::NotFound, format!("there is no {what}"))
}

fn error(code: Code, error_message: String) -> ErrorResponse {
    ErrorResponse {
        error_code: code as i32,
        error_message,
    }
}
