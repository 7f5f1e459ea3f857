//! What is told before anything is served.

use wireloom::server::{Call, Reply, Service};
use wireloom::{Code, Request, Response, Status};

use crate::support::{Log, in_process, pairs, refusal, violations};

/// What was generated from rules that are wrong.
#[allow(dead_code)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/wrong/wireloom.rs"));
}

use generated::wrong::{
    Boxed, Divided, Fails, FailsClient, FailsServer, Hidden, HiddenServer, Made, MadeServer, Named,
    NamedServer, Numbered, Outer, Painted, Rare, Seldom, SeldomClient, SeldomServer, Wrong,
    WrongServer,
};

/// Does nothing.
struct Nothing;

macro_rules! do_nothing {
    ($($service:ident: $($method:ident),+ ($message:ident);)+) => {
        $(
            impl $service for Nothing {
                $(
                    async fn $method(
                        &self,
                        request: Request<$message>,
                    ) -> Result<Response<$message>, Status> {
                        Ok(Response::new(request.into_inner()))
                    }
                )+
            }
        )+
    };
}

do_nothing! {
    Wrong: r#do(Outer);
    Hidden: r#do(Numbered);
    Named: r#do(Painted);
    Made: r#do(Boxed);
    Fails: r#do, redo(Divided);
    Seldom: r#do(Rare);
}

/// That a server does not serve for the rules of a message, for a reason that says this.
fn assert_wrong(status: &Status, message: &str, reason: &str) {
    assert_eq!(status.code(), Code::InvalidArgument);
    let said = status.message();
    assert!(said.contains(message) && said.contains(reason), "{status}");
}

#[tokio::test]
async fn a_rule_that_cannot_be_compiled_is_told() {
    let status = refusal(WrongServer::new(Nothing)).await;
    assert_wrong(&status, "wrong.Inner", "this ==");
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated_hides_none_that_cannot_be_compiled() {
    let status = refusal(HiddenServer::new(Nothing)).await;
    assert_wrong(&status, "wrong.Numbered", "this ==");
}

#[tokio::test]
async fn a_rule_that_names_what_there_is_not_is_told() {
    let status = refusal(NamedServer::new(Nothing)).await;
    assert_wrong(&status, "wrong.Painted", "Undeclared reference to 'wrong'");
}

#[tokio::test]
async fn a_rule_that_is_not_supported_is_told() {
    let status = refusal(MadeServer::new(Nothing)).await;
    assert_wrong(&status, "wrong.Boxed", "not supported");
}

#[tokio::test]
async fn a_rule_that_fails_is_the_server_s_fault_and_told_as_it_starts() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone().subscriber());
    let client = FailsClient::new(in_process(FailsServer::new(Nothing)));
    let divided = |by| Divided { by: Some(by) };
    client.r#do(divided(5)).await.unwrap();
    let warning = "a rule cannot be evaluated for zero values";
    assert_eq!(log.text().matches(warning).count(), 1);
    assert!(log.text().contains("wrong.Divided"));

    let status = client.r#do(divided(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    // What the rule is, is none of the caller's business.
    assert_eq!(status.message(), "the request could not be validated");
    assert!(log.text().contains("cannot validate"));
    assert_eq!(
        violations(&client.r#do(divided(10)).await.unwrap_err()),
        pairs(&[("by", "by")])
    );
}

#[tokio::test]
async fn a_rule_that_is_not_supported_for_a_request_fails_that_call_alone() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone().subscriber());
    let client = SeldomClient::new(in_process(SeldomServer::new(Nothing)));
    let named = |name: &str| Rare {
        name: Some(name.to_owned()),
    };
    client.r#do(named("")).await.unwrap();
    let status = client.r#do(named("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert_eq!(status.message(), "the request could not be validated");
    assert!(log.text().contains("wrong.Rare"), "{}", log.text());
    client.r#do(named("")).await.unwrap();
}

#[tokio::test]
async fn a_service_without_descriptors_is_told() {
    struct Bare;
    impl Service for Bare {
        const NAME: &'static str = "bare.Service";

        async fn call(&self, call: Call) -> Reply {
            call.unimplemented()
        }
    }
    let status = refusal(Bare).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("bare.Service"), "{status}");
}
