//! Services of two crates, each of which has a `common.proto` of its own.

use wireloom::{Channel, Request, Response, Server, Status};

use crate::support::{pairs, violations};

macro_rules! generated {
    ($side:ident) => {
        #[allow(dead_code)]
        mod $side {
            include!(concat!(
                env!("OUT_DIR"),
                "/",
                stringify!($side),
                "/wireloom.rs"
            ));
        }
    };
}

generated!(left);
generated!(right);

use left::left::{Left, LeftClient, LeftServer};
use right::right::{Right, RightClient, RightServer};

/// Gives back what it takes.
struct Shelf;

impl Left for Shelf {
    async fn take(
        &self,
        thing: Request<left::left::Thing>,
    ) -> Result<Response<left::left::Thing>, Status> {
        Ok(Response::new(thing.into_inner()))
    }
}

impl Right for Shelf {
    async fn take(
        &self,
        thing: Request<right::right::Thing>,
    ) -> Result<Response<right::right::Thing>, Status> {
        Ok(Response::new(thing.into_inner()))
    }
}

fn named_left(text: &str) -> left::left::Thing {
    let text = text.to_owned();
    left::left::Thing {
        name: Some(left::common::Name { text }),
    }
}

fn named_right(text: &str) -> right::right::Thing {
    let text = text.to_owned();
    right::right::Thing {
        name: Some(right::common::Name { text }),
        size: None,
    }
}

#[tokio::test]
async fn each_service_is_held_to_the_files_of_its_own_crate() {
    let server = Server::builder()
        .add_service(LeftServer::new(Shelf))
        .add_service(RightServer::new(Shelf))
        .validation();
    let channel = Channel::in_process(server).lazy().unwrap();
    let left = LeftClient::new(channel.clone());
    let right = RightClient::new(channel);
    let too_long = pairs(&[("name.text", "string.max_len")]);

    left.take(named_left("abc")).await.unwrap();
    let refused = left.take(named_left("abcd")).await.unwrap_err();
    assert_eq!(violations(&refused), too_long);
    right.take(named_right("abcde")).await.unwrap();
    let refused = right.take(named_right("abcdef")).await.unwrap_err();
    assert_eq!(violations(&refused), too_long);

    let flat = right::right::Thing {
        size: Some(right::common::Size::default()),
        ..named_right("a")
    };
    let refused = right.take(flat).await.unwrap_err();
    let width = pairs(&[("size.width", "uint32.gt")]);
    assert_eq!(violations(&refused), width);
}
