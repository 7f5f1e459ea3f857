//! Who sees a call that is refused.

use std::sync::{Arc, Mutex};

use wireloom::{
    Authorization, CallObserver, Caller, Code, InterceptedCall, Interceptor, Next, Response,
    Server, Status,
};

use super::{Trusting, code};
use crate::support::{self, ProbeClient, task};
use crate::vault::{serve, with};

/// Notes what interceptors and observers are told.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, Code)>>>);

impl CallObserver for Seen {
    fn ended(&self, status: &Status) {
        self.note("observer", status.code());
    }
}

impl Seen {
    fn note(&self, who: &str, code: Code) {
        self.0.lock().unwrap().push((who.to_owned(), code));
    }
}

impl Interceptor for Seen {
    async fn intercept(
        &self,
        mut call: InterceptedCall,
        next: Next<'_>,
    ) -> Result<Response<()>, Status> {
        call.observe(self.clone());
        let caller = call.extensions().get::<Caller>().cloned();
        let response = next.run(call).await;
        let who = caller.map_or("nobody".to_owned(), |caller| caller.subject().to_owned());
        self.note(
            &who,
            response.as_ref().map_or_else(Status::code, |_| Code::Ok),
        );
        response
    }
}

#[tokio::test]
async fn interceptors_see_the_caller_and_with_observers_the_refusal() {
    let seen = Seen::default();
    let server = Server::builder()
        .authenticator(Trusting)
        .authorization("guarded.Vault/Bill", Authorization::Public)
        .authorization("guarded.Vault/Move", Authorization::Public)
        .interceptor(seen.clone());
    let client = serve(server).await;
    client.enter(with("x")).await.unwrap();
    assert_eq!(code(client.enter(with("bad")).await), Code::Unauthenticated);
    assert_eq!(code(client.put(with("x")).await), Code::PermissionDenied);
    let name = |name: &str| name.to_owned();
    let expected = [
        (name("guarded.Vault/Enter"), Code::Ok),
        (name("observer"), Code::Ok),
        (name("nobody"), Code::Unauthenticated),
        (name("observer"), Code::Unauthenticated),
        (name("nobody"), Code::PermissionDenied),
        (name("observer"), Code::PermissionDenied),
    ];
    assert_eq!(*seen.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_refused_call_is_not_retried_into_a_handler() {
    let (builder, mut events) = support::in_process_on(
        Server::builder()
            .authenticator(Trusting)
            .authorization("probe.Probe", Authorization::scopes(&["probe"])),
    );
    let client = ProbeClient::new(builder.lazy().unwrap());
    assert_eq!(code(client.retried(task("a")).await), Code::Unauthenticated);
    assert!(events.try_recv().is_err());
}
