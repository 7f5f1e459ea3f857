use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

/// What a verified token says. It is in the extensions of a [`Request`](crate::Request), and in those that interceptors
/// see. Cloning it is cheap.
///
/// ```
/// # use wireloom::{Request, Status, jwt::Claims};
/// fn tenant<T>(request: &Request<T>) -> Result<&str, Status> {
///     let claims = request.extensions().get::<Claims>();
///     let tenant = claims.and_then(|claims| claims.get("tenant")?.as_str());
///     tenant.ok_or_else(|| Status::permission_denied("the token is of no tenant"))
/// }
/// ```
#[derive(Clone)]
pub struct Claims(Arc<Map<String, Value>>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(Arc::new(claims))
    }

    /// Whom the token is about (`sub`).
    pub fn subject(&self) -> Option<&str> {
        self.get("sub")?.as_str()
    }

    /// Who issued it (`iss`).
    pub fn issuer(&self) -> Option<&str> {
        self.get("iss")?.as_str()
    }

    /// Whom it is for (`aud`), be that one or several.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        strings(self.get("aud"))
    }

    /// What its bearer may do: the words of `scope` ([RFC 8693, section
    /// 4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2)) and those of `scp`, which some issuers have in its place;
    /// either may be a text or a list.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.words("scope").chain(self.words("scp"))
    }

    /// The words of a claim that is a text or a list of texts.
    pub(super) fn words<'a>(&'a self, claim: &str) -> impl Iterator<Item = &'a str> {
        strings(self.get(claim)).flat_map(str::split_ascii_whitespace)
    }

    /// The claim of this name, as JSON.
    pub fn get(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim)
    }

    /// All claims, as a JSON object.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// The texts of a value that is one or a list of them.
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(Value::as_array);
    let list = list.map_or(&[][..], Vec::as_slice);
    let one = value.and_then(Value::as_str);
    one.into_iter().chain(list.iter().filter_map(Value::as_str))
}

/// Without what the token says of its bearer, which logs are no place for.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
