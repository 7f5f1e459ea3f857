mod proto {
    include!("../../golden/four-kinds/expected/wireloom.rs");
}

use proto::helloworld::{GreeterClient, HelloReply};

pub async fn greet(client: GreeterClient) {
    let _ = client.say_hello(HelloReply::default()).await;
}
