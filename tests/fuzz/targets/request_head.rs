//! What a request begins with: its path in the first line of the input, a header field in each further one, up to an empty
//! line. What follows is its body.

#![no_main]

mod echo;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;
use tower_service::Service as _;
use wireloom::Code;

/// Of a clock that runs ahead while all wait.
const PATIENCE: Duration = Duration::from_secs(600);

const GRPC: &[u8] = b"application/grpc";

fuzz_target!(|input: &[u8]| {
    let Some(request) = request(input) else {
        return;
    };
    let path = request.uri().path().to_owned();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("there is room for a runtime");
    runtime.block_on(async {
        let mut service = echo::server().into_service().expect("the server is valid");
        let answered = async {
            let Ok(response) = service.call(request).await;
            let (head, body) = response.into_parts();
            (head, body.collect().await)
        };
        let Ok((head, body)) = tokio::time::timeout(PATIENCE, answered).await else {
            assert_eq!(path, echo::HANG);
            return;
        };
        match head.status {
            StatusCode::OK => {}
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => return,
            other => panic!("{other}"),
        }
        let body = body.expect("the body of an answer does not fail");
        let fields = body.trailers().unwrap_or(&head.headers);
        let code = fields.get("grpc-status").expect("a call has a status");
        let valid = Code::from_bytes(code.as_bytes());
        assert_eq!(i32::from(valid).to_string().as_bytes(), code.as_bytes());
        assert!(
            head.headers[header::CONTENT_TYPE]
                .as_bytes()
                .starts_with(GRPC)
        );
    });
});

fn request(input: &[u8]) -> Option<Request<Full<bytes::Bytes>>> {
    let (path, mut rest) = split_line(input)?;
    let mut request = Request::post(path).version(Version::HTTP_2);
    let headers = request.headers_mut()?;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(GRPC).ok()?);
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        match name {
            header::CONTENT_TYPE => drop(headers.insert(name, value)),
            _ => drop(headers.append(name, value)),
        }
    }
    request.body(Full::new(rest.to_vec().into())).ok()
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
