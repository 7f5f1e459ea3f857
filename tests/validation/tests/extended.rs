//! Requests that the rules' descriptors know more of than the code that was generated.

use wireloom::{Code, Method, Request, Response, Status};

use crate::proto::extended::{Guest, Guests, GuestsServer, Stranger};
use crate::support::in_process;

/// Welcomes everybody.
struct Host;

impl Guests for Host {
    async fn welcome(&self, guest: Request<Guest>) -> Result<Response<Guest>, Status> {
        Ok(Response::new(guest.into_inner()))
    }
}

#[tokio::test]
async fn an_extension_that_cannot_be_decoded_is_no_way_round_the_rules() {
    static WELCOME: Method<Stranger, Guest> = Method::unary("/extended.Guests/Welcome");
    let channel = in_process(GuestsServer::new(Host));
    let welcome = |name: &str, title| {
        let name = Some(name.to_owned());
        channel.unary(&WELCOME, Stranger { name, title })
    };
    welcome("ada", None).await.unwrap();
    assert_eq!(
        welcome("x", None).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let status = welcome("x", Some(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert!(
        status.message().contains("could not be decoded"),
        "{status}"
    );
}
