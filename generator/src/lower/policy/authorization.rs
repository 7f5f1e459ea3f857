//! Who may call a method: what may be said of it, and how Rust says it.

use super::{Judge, is_true};
use crate::model::{Authorization, Who};
use crate::source::Spot;
use crate::syntax::{self, Written};

impl Judge<'_> {
    pub(super) fn authorization(
        &mut self,
        written: &Written<syntax::Authorization>,
    ) -> Option<Authorization> {
        let Written { value, spot } = written;
        let public = is_true(&value.public).map(|spot| ("public", spot));
        let authenticated = is_true(&value.authenticated).map(|spot| ("authenticated", spot));
        let lists = [
            ("scopes", &value.scopes),
            ("any_scopes", &value.any_scopes),
            ("identities", &value.identities),
        ];
        let required = lists
            .into_iter()
            .find_map(|(name, list)| Some((name, &filled(list)?.spot)));
        let said: Vec<_> = [public, authenticated, required]
            .into_iter()
            .flatten()
            .collect();
        match said.as_slice() {
            [] => {
                let message = "`authorization` says nobody who may call".to_owned();
                let must =
                    "must say `public`, `authenticated`, `scopes`, `any_scopes` or `identities`";
                self.reject(spot, message, must);
                return None;
            }
            [_] => {}
            [(one, first), (other, second), ..] => {
                self.contradiction(one, first, other, second);
                return None;
            }
        }
        let scopes = self.all(&value.scopes, "scope", check_scope);
        let any_scopes = self.all(&value.any_scopes, "scope", check_scope);
        let identities = self.all(&value.identities, "identity", check_identity);
        let who = match (public, authenticated) {
            (Some(_), _) => Who::Public,
            (_, Some(_)) => Who::Authenticated,
            _ => Who::Required,
        };
        let (scopes, any_scopes, identities) = (scopes?, any_scopes?, identities?);
        Some(Authorization {
            rust: rust(who, &scopes, &any_scopes, &identities),
            who,
            scopes,
            any_scopes,
            identities,
        })
    }

    fn contradiction(&mut self, one: &str, first: &Spot, other: &str, second: &Spot) {
        let what = format!("a method is for `{one}` or for `{other}`, not both");
        let help = match one {
            "public" => "what is public asks for nothing: take one of them out",
            _ => "what asks for scopes or identities asks who calls: take `authenticated` out",
        };
        let error = first.error(what, "either this").and_at(second, "or this");
        self.errors.push(error.with_help(help));
    }

    /// The values of a list, where each is good.
    fn all(
        &mut self,
        list: &Option<Written<Vec<Written<String>>>>,
        kind: &str,
        check: fn(&str) -> Result<(), &'static str>,
    ) -> Option<Vec<String>> {
        let mut good = Some(Vec::new());
        for value in list.iter().flat_map(|list| &list.value) {
            match check(&value.value) {
                Ok(()) => {
                    if let Some(good) = &mut good {
                        good.push(value.value.clone());
                    }
                }
                Err(must) => {
                    let message = format!("\"{}\" is no {kind}", value.value.escape_default());
                    self.reject(&value.spot, message, must);
                    good = None;
                }
            }
        }
        good
    }
}

fn filled(list: &Option<Written<Vec<Written<String>>>>) -> Option<&Written<Vec<Written<String>>>> {
    list.as_ref().filter(|list| !list.value.is_empty())
}

fn rust(who: Who, scopes: &[String], any_scopes: &[String], identities: &[String]) -> String {
    match (who, scopes, any_scopes, identities) {
        (Who::Public, ..) => "::wireloom::Authorization::Public".to_owned(),
        (Who::Authenticated, ..) => "::wireloom::Authorization::Authenticated".to_owned(),
        (_, _, [], []) => format!("::wireloom::Authorization::scopes({})", slice(scopes)),
        (_, [], _, []) => format!(
            "::wireloom::Authorization::any_scopes({})",
            slice(any_scopes)
        ),
        (_, [], [], _) => format!(
            "::wireloom::Authorization::identities({})",
            slice(identities)
        ),
        _ => format!(
            "::wireloom::Authorization::Required(::wireloom::Requirements {{ scopes: {}, any_scopes: {}, identities: {} }})",
            slice(scopes),
            slice(any_scopes),
            slice(identities)
        ),
    }
}

fn slice(values: &[String]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("&[{}]", values.join(", "))
}

/// The `scope-token` of RFC 6749, section 3.3. The runtime has the same rules.
fn check_scope(scope: &str) -> Result<(), &'static str> {
    let is_good = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    match !scope.is_empty() && scope.bytes().all(is_good) {
        true => Ok(()),
        false => Err("must be printable ASCII without spaces, quotes and backslashes"),
    }
}

/// The names of client certificates. The runtime has the same rules.
fn check_identity(pattern: &str) -> Result<(), &'static str> {
    match pattern.split_once("://") {
        Some((scheme, rest)) => check_uri(scheme, rest),
        None => check_dns(pattern),
    }
}

fn check_uri(scheme: &str, rest: &str) -> Result<(), &'static str> {
    let fixed = rest.strip_suffix("/*").unwrap_or(rest);
    let authority = fixed.split('/').next().unwrap_or_default();
    if scheme.is_empty() || authority.is_empty() {
        return Err(
            "must have a scheme and an authority, such as \"spiffe://example.org/billing\"",
        );
    }
    if fixed.contains('*') {
        return Err("may have `*` as the last segment of its path only");
    }
    match rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("must be printable ASCII"),
    }
}

fn check_dns(pattern: &str) -> Result<(), &'static str> {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match name.split('.').all(is_label) {
        true => Ok(()),
        false => Err(
            "must be a DNS name (\"billing.internal\", \"*.internal\") or a URI (\"spiffe://example.org/billing\")",
        ),
    }
}
