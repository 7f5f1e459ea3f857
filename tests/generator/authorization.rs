//! Who may call, at generation and at run time: what one takes for a scope or an identity, the other does.

use wireloom::server::{Call, Reply, Service};
use wireloom::{Authorization, Server};

use crate::Project;

struct Clock;

impl Service for Clock {
    const NAME: &'static str = "clock.Clock";

    async fn call(&self, call: Call) -> Reply {
        call.unimplemented()
    }
}

/// A kind of value, by the name of its list in `wireloom.toml`.
struct Kind {
    list: &'static str,
    authorization: fn(&'static [&'static str]) -> Authorization,
}

const SCOPES: Kind = Kind {
    list: "scopes",
    authorization: |scopes| Authorization::scopes(scopes),
};

const IDENTITIES: Kind = Kind {
    list: "identities",
    authorization: |identities| Authorization::identities(identities),
};

/// Holds both to the same verdict, which comes back.
fn agree(kind: &Kind, value: &str) -> bool {
    let project = Project::new();
    let (list, text) = (kind.list, toml(value));
    let config = format!("[services.'clock.Clock']\nauthorization = {{ {list} = [{text}] }}");
    project.write("wireloom.toml", &config);
    let builder = project.builder().config(project.path("wireloom.toml"));
    let generated = builder.model().map(drop);

    // Authorizations are said once, for as long as the process runs.
    let value: &'static str = value.to_owned().leak();
    let authorization = (kind.authorization)(vec![value].leak());
    let server = Server::builder()
        .add_service(Clock)
        .authorization(Clock::NAME, authorization);
    let refused = server.into_service().map(drop).unwrap_err();
    // What is valid fails as well, since nothing here knows a caller.
    let is_valid = !refused.message().contains("authorization that cannot be");
    assert!(
        refused.message().starts_with("clock.Clock "),
        "{value:?}: {refused}"
    );
    assert_eq!(
        generated.is_ok(),
        is_valid,
        "{value:?}: at generation {generated:?}, at run time {refused}"
    );
    is_valid
}

/// A text of TOML.
fn toml(value: &str) -> String {
    let escaped = value
        .chars()
        .map(|c| format!("\\U{:08x}", u32::from(c)))
        .collect::<String>();
    format!("\"{escaped}\"")
}

#[test]
fn scopes() {
    let characters = (0..=0xff_u8).map(char::from);
    let valid = characters.filter(|c| agree(&SCOPES, &c.to_string()));
    assert_eq!(valid.count(), 92);
    for (scope, valid) in [("", false), ("tasks.read", true), ("a b", false)] {
        assert_eq!(agree(&SCOPES, scope), valid, "{scope:?}");
    }
}

#[test]
fn identities() {
    for (identity, valid) in [
        ("billing.internal", true),
        ("*.internal", true),
        ("spiffe://example.org/billing", true),
        ("spiffe://example.org/*", true),
        ("", false),
        ("*", false),
        ("a*.b", false),
        ("spiffe://*/billing", false),
        ("spiffe://example.org/*/billing", false),
        ("://example.org", false),
    ] {
        assert_eq!(agree(&IDENTITIES, identity), valid, "{identity:?}");
    }
    let mut random = fastrand::Rng::with_seed(1);
    let parts = [
        "a", "-", "_", ".", "*", "*.", "://", "/", "/*", ":", " ", "é", "%", "?",
    ];
    let mut valid = 0;
    for _ in 0..1000 {
        let length = random.usize(1..=6);
        let identity = (0..length).map(|_| parts[random.usize(..parts.len())]);
        valid += usize::from(agree(&IDENTITIES, &identity.collect::<String>()));
    }
    assert!((20..980).contains(&valid), "{valid} are valid");
}
