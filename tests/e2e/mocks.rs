//! Generated mocks: what a test scripts is what its client gets, over a channel with all that holds of one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;
use wireloom::mock::each;
use wireloom::server::Listener;
use wireloom::{
    CallOptions, Channel, Code, InterceptedCall, Interceptor, IntoStreamingRequest, Next, Request,
    Response, Server, Status, Streaming, tokio_stream,
};

use crate::proto::helloworld::{
    GreeterClient, GreeterMock, HelloReply, HelloRequest, HelloSummary,
};

fn named(name: &str) -> HelloRequest {
    HelloRequest {
        name: name.to_owned(),
        ..HelloRequest::default()
    }
}

fn saying(message: &str) -> HelloReply {
    HelloReply {
        message: message.to_owned(),
    }
}

/// The names that came in one call of a stream of requests.
fn names(call: &Request<Vec<HelloRequest>>) -> Vec<&str> {
    let messages = call.get_ref().iter();
    messages.map(|request| request.name.as_str()).collect()
}

async fn conversation(
    client: &GreeterClient,
    requests: impl IntoStreamingRequest<Message = HelloRequest>,
) -> Streaming<HelloReply> {
    client.chat(requests).await.unwrap().into_inner()
}

/// What fails the test where `check` does.
fn failure_of(check: impl FnOnce()) -> String {
    let failure = catch_unwind(AssertUnwindSafe(check)).unwrap_err();
    failure.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn answers_are_used_in_the_order_in_which_they_were_scripted() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("first")).times(2);
    mock.say_hello()
        .fail(Status::not_found("nobody"))
        .then()
        .answer(saying("last"));
    let client = mock.client();
    for expected in [
        Ok("first"),
        Ok("first"),
        Err((Code::NotFound, "nobody")),
        Ok("last"),
    ] {
        let reply = client.say_hello(named("Ann")).await;
        let reply = reply.map(|reply| reply.into_inner().message);
        let reply = reply.as_deref();
        assert_eq!(
            reply.map_err(|status| (status.code(), status.message())),
            expected
        );
    }
}

#[tokio::test]
async fn a_function_answers_by_the_request_and_its_metadata() {
    let mock = GreeterMock::new();
    mock.say_hello()
        .answer_with(|request: &Request<HelloRequest>| {
            let title = request.metadata().get("title").unwrap().to_str().unwrap();
            let mut response =
                Response::new(saying(&format!("{title} {}", request.get_ref().name)));
            let title = title.parse().unwrap();
            response.metadata_mut().insert("title", title);
            Ok(response)
        })
        .always();
    let mut request = Request::new(named("Ann"));
    request
        .metadata_mut()
        .insert("title", "Dr".parse().unwrap());
    let reply = mock.client().say_hello(request).await.unwrap();
    assert_eq!(reply.metadata().get("title").unwrap(), "Dr");
    assert_eq!(reply.get_ref().message, "Dr Ann");
}

#[tokio::test]
async fn the_default_answers_where_nothing_else_is_left() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("default")).always();
    mock.say_hello().answer(saying("once"));
    let client = mock.client();
    for expected in ["once", "default", "default"] {
        let reply = client.say_hello(named("Ann")).await.unwrap();
        assert_eq!(reply.get_ref().message, expected);
    }
}

#[tokio::test]
async fn a_call_that_nothing_is_scripted_for_is_unimplemented_and_names_the_method() {
    let mock = GreeterMock::new();
    mock.say_hello().allow_unscripted();
    mock.say_hello_stream().allow_unscripted();
    mock.record_hellos().allow_unscripted();
    mock.chat().allow_unscripted();
    let client = mock.client();
    let requests = || tokio_stream::iter([named("Ann")]);
    let failures = [
        client.say_hello(named("Ann")).await.unwrap_err(),
        client.say_hello_stream(named("Ann")).await.unwrap_err(),
        client.record_hellos(requests()).await.unwrap_err(),
        conversation(&client, requests())
            .await
            .message()
            .await
            .unwrap_err(),
    ];
    for (failure, method) in
        failures
            .iter()
            .zip(["SayHello", "SayHelloStream", "RecordHellos", "Chat"])
    {
        assert_eq!(failure.code(), Code::Unimplemented);
        assert_eq!(
            failure.message(),
            format!("no answer is scripted for call 1 of helloworld.Greeter/{method}")
        );
    }
}

#[tokio::test]
async fn what_came_can_be_read() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("hello"));
    let mut request = Request::new(named("Ann"));
    request
        .metadata_mut()
        .insert("title", "Dr".parse().unwrap());
    mock.client().say_hello(request).await.unwrap();
    let calls = mock.say_hello().calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].get_ref().name, "Ann");
    assert_eq!(calls[0].metadata().get("title").unwrap(), "Dr");
    assert!(mock.chat().calls().is_empty());
}

#[tokio::test]
async fn a_stream_of_responses_is_a_list_that_a_failure_may_end() {
    let mock = GreeterMock::new();
    mock.say_hello_stream()
        .answer([Ok(saying("one")), Err(Status::data_loss("torn"))]);
    let replies = mock.client().say_hello_stream(named("Ann")).await.unwrap();
    let mut replies = replies.into_inner();
    let first = replies.message().await.unwrap().unwrap();
    assert_eq!(first.message, "one");
    let failure = replies.message().await.unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (Code::DataLoss, "torn")
    );
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_when_all_have_come() {
    let mock = GreeterMock::new();
    mock.record_hellos().answer_with(|requests| {
        let count = requests.get_ref().len() as u32;
        Ok(Response::new(HelloSummary {
            count,
            ..HelloSummary::default()
        }))
    });
    let requests = tokio_stream::iter(["Ann", "Bob"].map(named));
    let summary = mock.client().record_hellos(requests).await.unwrap();
    assert_eq!(summary.get_ref().count, 2);
    assert_eq!(names(&mock.record_hellos().calls()[0]), ["Ann", "Bob"]);
}

#[tokio::test]
async fn a_conversation_is_answered_request_by_request() {
    let mock = GreeterMock::new();
    mock.chat()
        .answer(each(|request: &HelloRequest| match request.name.as_str() {
            "nobody" => Err(Status::not_found("nobody")),
            name => Ok(saying(name)),
        }));
    let (requests, coming) = tokio::sync::mpsc::channel(1);
    let coming = tokio_stream::wrappers::ReceiverStream::new(coming);
    let mut replies = conversation(&mock.client(), coming).await;
    for name in ["Ann", "Bob"] {
        requests.send(named(name)).await.unwrap();
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.message, name);
    }
    requests.send(named("nobody")).await.unwrap();
    let failure = replies.message().await.unwrap_err();
    assert_eq!(failure.code(), Code::NotFound);
    assert_eq!(names(&mock.chat().calls()[0]), ["Ann", "Bob", "nobody"]);
}

#[tokio::test]
async fn a_conversation_by_a_list_is_answered_at_once_and_ends_with_its_requests() {
    let mock = GreeterMock::new();
    mock.chat().answer([Ok(saying("one")), Ok(saying("two"))]);
    let (requests, coming) = tokio::sync::mpsc::channel(1);
    let coming = tokio_stream::wrappers::ReceiverStream::new(coming);
    let mut replies = conversation(&mock.client(), coming).await;
    for expected in ["one", "two"] {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.message, expected);
    }
    requests.send(named("Ann")).await.unwrap();
    drop(requests);
    assert_eq!(replies.message().await.unwrap(), None);
    assert_eq!(names(&mock.chat().calls()[0]), ["Ann"]);
}

#[tokio::test]
async fn a_function_answers_a_conversation_by_all_that_came() {
    let mock = GreeterMock::new();
    mock.chat().answer_with(|requests| {
        let replies = names(requests).into_iter().rev();
        let replies: Vec<_> = replies.map(|name| Ok(saying(name))).collect();
        Ok(Response::new(replies.into()))
    });
    let requests = tokio_stream::iter(["Ann", "Bob"].map(named));
    let mut replies = conversation(&mock.client(), requests).await;
    for expected in ["Bob", "Ann"] {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(reply.message, expected);
    }
    assert_eq!(replies.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_tried_again_takes_the_next_answer() {
    let mock = GreeterMock::new();
    mock.say_hello()
        .fail(Status::unavailable("asleep"))
        .times(2)
        .then()
        .answer(saying("Hello, Ann!"));

    let reply = mock.client().say_hello(named("Ann")).await.unwrap();

    assert_eq!(reply.get_ref().message, "Hello, Ann!");
    let calls = mock.say_hello().calls();
    assert_eq!(calls.len(), 3);
    let attempts = calls[2].metadata().get("grpc-previous-rpc-attempts");
    assert_eq!(attempts.unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_longer_than_the_deadline_comes_too_late() {
    let mock = GreeterMock::new();
    mock.say_hello()
        .answer(saying("Hello, Ann!"))
        .after(Duration::from_secs(60));
    let start = Instant::now();

    let status = mock.client().say_hello(named("Ann")).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_by_the_paused_clock() {
    let mock = GreeterMock::new();
    let hour = Duration::from_secs(3600);
    mock.record_hellos()
        .answer(HelloSummary::default())
        .after(hour);
    let start = Instant::now();
    let requests = tokio_stream::iter([named("Ann")]);
    mock.client().record_hellos(requests).await.unwrap();
    assert!(start.elapsed() >= hour && start.elapsed() < 2 * hour);
}

/// Counts the calls that pass.
struct Counting(Arc<AtomicUsize>);

impl Interceptor for Counting {
    async fn intercept(
        &self,
        call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        self.0.fetch_add(1, Relaxed);
        next.run(call).await
    }
}

#[tokio::test]
async fn a_mock_can_be_behind_a_channel_with_options_of_its_own() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("hello")).times(2);
    let counted = Arc::new(AtomicUsize::new(0));

    let server = Server::builder().add_service(mock.server());
    let channel = Channel::in_process(server)
        .call_options(CallOptions::new().timeout(Duration::from_secs(1)))
        .interceptor(Counting(Arc::clone(&counted)))
        .lazy()
        .unwrap();
    let client = GreeterClient::new(channel);

    client.say_hello(named("Ann")).await.unwrap();
    client.say_hello(named("Bob")).await.unwrap();
    assert_eq!(counted.load(Relaxed), 2);
}

#[tokio::test]
async fn a_function_that_panics_fails_its_call_and_no_other() {
    let mock = GreeterMock::new();
    mock.say_hello().answer_with(|_| panic!("an assertion"));
    mock.say_hello().answer(saying("hello"));
    let client = mock.client();
    let status = client.say_hello(named("Ann")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    client.say_hello(named("Ann")).await.unwrap();

    let expected = "the mock was not used as scripted:\n\
                    - helloworld.Greeter/SayHello: a function panicked: an assertion";
    assert_eq!(failure_of(|| mock.verify()), expected);
    assert_eq!(failure_of(|| drop(mock)), expected);
}

#[tokio::test]
async fn an_assertion_on_a_request_of_a_conversation_fails_the_test() {
    let mock = GreeterMock::new();
    mock.chat().answer(each(|request: &HelloRequest| {
        assert_eq!(request.name, "Bob", "the name");
        Ok(saying("Hello, Bob!"))
    }));
    let requests = tokio_stream::iter([named("Ann")]);
    let mut replies = conversation(&mock.client(), requests).await;
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);

    let failure = failure_of(|| drop(mock));
    assert!(
        failure.contains("- helloworld.Greeter/Chat: a function panicked: assertion `left == right` failed: the name"),
        "{failure}"
    );
}

#[tokio::test]
async fn calls_that_no_answer_was_scripted_for_fail_the_test() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("hello"));
    let client = mock.client();
    client.say_hello(named("Ann")).await.unwrap();
    for _ in 0..2 {
        client.say_hello(named("Ann")).await.unwrap_err();
    }
    let requests = tokio_stream::iter([named("Ann")]);
    client.record_hellos(requests).await.unwrap_err();

    let expected = "the mock was not used as scripted:\n\
                    - helloworld.Greeter/SayHello: calls that no answer was scripted for: 2 of 3\n\
                    - helloworld.Greeter/RecordHellos: calls that no answer was scripted for: 1 of 1";
    assert_eq!(failure_of(|| mock.verify()), expected);
    assert_eq!(failure_of(|| drop(mock)), expected);
}

#[tokio::test]
async fn answers_that_were_not_used_fail_the_test() {
    let mock = GreeterMock::new();
    let line = line!() + 1;
    mock.say_hello().answer(saying("hello")).times(3);
    mock.say_hello().answer(saying("any")).always();
    mock.say_hello().answer(saying("taken back")).times(0);
    mock.chat().fail(Status::aborted("never"));
    mock.client().say_hello(named("Ann")).await.unwrap();

    let expected = format!(
        "the mock was not used as scripted:\n\
         - helloworld.Greeter/SayHello: an answer, scripted at {file}:{line}:22, was used 1 of 3 times; calls that came: 1\n\
         - helloworld.Greeter/Chat: a failure with ABORTED, scripted at {file}:{chat}:17, was used 0 of 1 times; calls that came: 0",
        file = file!(),
        chat = line + 3,
    );
    assert_eq!(failure_of(|| mock.verify()), expected);
    drop(mock.clone());
    assert_eq!(failure_of(|| drop(mock)), expected);
}

#[tokio::test]
async fn a_mock_that_was_used_as_scripted_passes() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("hello"));
    mock.say_hello().answer(saying("any")).always();
    mock.client().say_hello(named("Ann")).await.unwrap();
    mock.verify();
}

#[tokio::test]
async fn a_mock_that_a_server_serves_still_fails_the_test() {
    let mock = GreeterMock::new();
    mock.say_hello().answer(saying("hello")).times(2);
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.target().to_string();
    let server = Server::builder().add_service(mock.server());
    let server = tokio::spawn(server.serve(listener));
    let client = GreeterClient::connect(&target).await.unwrap();
    client.say_hello(named("Ann")).await.unwrap();
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());

    let failure = failure_of(|| drop(mock));
    assert!(failure.contains("was used 1 of 2 times"), "{failure}");
}

#[test]
fn a_test_that_panics_already_is_not_failed_twice() {
    let message = failure_of(|| {
        let mock = GreeterMock::new();
        mock.say_hello().answer(saying("hello"));
        panic!("{}", "the first failure");
    });
    assert_eq!(message, "the first failure");
}
