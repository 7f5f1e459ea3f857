//! Who may call a method: what its proto declares, and whether a caller meets it.

pub(crate) mod identities;

use std::fmt;

/// Who may call a method.
///
/// Generated code has it of the option `authorization` in the proto or in `wireloom.toml`, as a part of the method's
/// descriptor; [`Server::authorization`](crate::Server::authorization) sets it by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Anyone. Credentials are not looked at.
    Public,
    /// Anyone who is known: by credentials that an [`Authenticator`](crate::Authenticator) takes, or by a client
    /// certificate (mTLS).
    Authenticated,
    /// Those who meet all of these.
    Required(Requirements),
}

/// What a caller must have. What is empty asks for nothing; all that is not must be met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Scopes that a caller must have, all of them.
    pub scopes: &'static [&'static str],
    /// Scopes of which a caller must have at least one.
    pub any_scopes: &'static [&'static str],
    /// The client certificate must be for one of these, by a DNS name or a URI among its subject's alternative names.
    ///
    /// A name is a DNS name (`billing.internal`), whose case does not matter, or a URI, such as a SPIFFE ID
    /// (`spiffe://example.org/billing`), whose case does. `*.internal` is any DNS name with one label more, and
    /// `spiffe://example.org/billing/*` any URI below that path, however deep.
    pub identities: &'static [&'static str],
}

impl Authorization {
    /// Those with all of these scopes.
    pub const fn scopes(scopes: &'static [&'static str]) -> Self {
        Self::Required(Requirements {
            scopes,
            any_scopes: &[],
            identities: &[],
        })
    }

    /// Those with at least one of these scopes.
    pub const fn any_scopes(any_scopes: &'static [&'static str]) -> Self {
        Self::Required(Requirements {
            scopes: &[],
            any_scopes,
            identities: &[],
        })
    }

    /// Those whose client certificate is for one of these names; see [`Requirements::identities`].
    pub const fn identities(identities: &'static [&'static str]) -> Self {
        Self::Required(Requirements {
            scopes: &[],
            any_scopes: &[],
            identities,
        })
    }

    /// What may not be said, and what must hold.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::Required(requirements) = self else {
            return Ok(());
        };
        if *requirements == Requirements::default() {
            return Err(
                "requirements that ask for nothing: say `Public` or `Authenticated`".to_owned(),
            );
        }
        for scope in requirements.each_scope() {
            if !is_scope(scope) {
                return Err(format!(
                    "{scope:?} is no scope: it must be printable ASCII without spaces, quotes and backslashes"
                ));
            }
        }
        let mut identities = requirements.identities.iter();
        identities.try_for_each(|identity| identities::check(identity))
    }
}

impl Requirements {
    pub(crate) fn need_scopes(&self) -> bool {
        self.each_scope().next().is_some()
    }

    fn each_scope(&self) -> impl Iterator<Item = &'static str> {
        self.scopes.iter().chain(self.any_scopes).copied()
    }

    /// Whether `has` says yes to the scopes.
    pub(crate) fn are_met_by_scopes(&self, has: impl Fn(&str) -> bool) -> bool {
        let any = self.any_scopes;
        self.scopes.iter().all(|scope| has(scope))
            && (any.is_empty() || any.iter().any(|scope| has(scope)))
    }

    /// The scopes, for who lacks some.
    pub(crate) fn scopes_in_words(&self) -> impl fmt::Display {
        let all = self.scopes.join(" ");
        let any = self.any_scopes.join(" ");
        match (all.is_empty(), any.is_empty()) {
            (_, true) => format!("scope=\"{all}\""),
            (true, false) => format!("one of scope=\"{any}\""),
            (false, false) => format!("scope=\"{all}\", and one of \"{any}\""),
        }
    }
}

/// The `scope-token` of [RFC 6749, section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_any_scopes_must_both_be_met() {
        let requirements = Requirements {
            scopes: &["a", "b"],
            any_scopes: &["c", "d"],
            identities: &[],
        };
        let met = |has: &[&str]| requirements.are_met_by_scopes(|scope| has.contains(&scope));
        assert!(met(&["a", "b", "d"]));
        assert!(!met(&["a", "b"]));
        assert!(!met(&["a", "c", "d"]));
    }

    #[test]
    fn what_no_token_can_have_is_refused() {
        for scope in ["", "a b", "a\"b", "a\\b", "ä"] {
            assert!(!is_scope(scope), "{scope}");
        }
        assert!(is_scope("https://example.com/tasks.write"));
        let nothing = Authorization::Required(Requirements::default());
        assert!(nothing.check().is_err());
        assert!(Authorization::identities(&["*"]).check().is_err());
        assert!(Authorization::scopes(&["a"]).check().is_ok());
    }
}
