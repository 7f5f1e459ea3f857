//! Names of client certificates, and patterns of them.

/// What may not be a pattern, and what must hold. The generator has the same rules, in `lower/policy/authorization.rs`;
/// a test holds the two equal.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    let must = match pattern.split_once("://") {
        Some((scheme, rest)) => check_uri(scheme, rest),
        None => check_dns(pattern),
    };
    must.map_err(|must| format!("{pattern:?} is no name of a client certificate: {must}"))
}

fn check_uri(scheme: &str, rest: &str) -> Result<(), &'static str> {
    let fixed = rest.strip_suffix("/*").unwrap_or(rest);
    let authority = fixed.split('/').next().unwrap_or_default();
    if scheme.is_empty() || authority.is_empty() {
        return Err(
            "a URI must have a scheme and an authority, such as spiffe://example.org/billing",
        );
    }
    if fixed.contains('*') {
        return Err("the `*` of a URI must be the last segment of its path");
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a URI must be printable ASCII");
    }
    Ok(())
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
            "it must be a DNS name, such as billing.internal or *.internal, or a URI, such as spiffe://example.org/billing",
        ),
    }
}

/// Whether a DNS name of a certificate is what `pattern` allows.
#[cfg(feature = "tls")]
pub(crate) fn allows_dns_name(pattern: &str, name: &str) -> bool {
    if pattern.contains("://") {
        return false;
    }
    match pattern.strip_prefix("*.") {
        // A certificate may have a wildcard of its own, which is no name that something is called by.
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent)
        }),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

/// Whether a URI of a certificate is what `pattern` allows.
#[cfg(feature = "tls")]
pub(crate) fn allows_uri(pattern: &str, uri: &str) -> bool {
    if !pattern.contains("://") {
        return false;
    }
    let Some(parent) = pattern.strip_suffix('*') else {
        return uri == pattern;
    };
    uri.strip_prefix(parent).is_some_and(is_plain_path)
}

/// Whether nothing in a path leads elsewhere than its text says.
#[cfg(feature = "tls")]
fn is_plain_path(path: &str) -> bool {
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    path.split('/').all(is_plain) && !path.contains(['%', '?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_or_name_what_must_hold() {
        for good in [
            "billing.internal",
            "*.internal",
            "localhost",
            "spiffe://example.org/billing",
            "spiffe://example.org/*",
            "https://example.org",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "*",
            "a.*.b",
            "a*.b",
            "a..b",
            "a b",
            "*.",
            "spiffe://",
            "spiffe:///billing",
            "spiffe://*",
            "spiffe://*/billing",
            "spiffe://example.org/*/billing",
            "spiffe://example.org/bil*",
            "://example.org",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn dns_names_are_exact_or_one_label_below() {
        assert!(allows_dns_name("billing.internal", "BILLING.internal"));
        assert!(allows_dns_name("*.internal", "billing.internal"));
        for (pattern, name) in [
            ("billing.internal", "x.billing.internal"),
            ("*.internal", "internal"),
            ("*.internal", "a.billing.internal"),
            ("*.internal", "*.internal"),
            ("*.internal", ".internal"),
            ("spiffe://internal", "spiffe://internal"),
        ] {
            assert!(!allows_dns_name(pattern, name), "{pattern} {name}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn uris_are_exact_or_below_a_path() {
        assert!(allows_uri("spiffe://a/b", "spiffe://a/b"));
        assert!(allows_uri("spiffe://a/b/*", "spiffe://a/b/c"));
        assert!(allows_uri("spiffe://a/b/*", "spiffe://a/b/c/d"));
        assert!(allows_uri("spiffe://a/*", "spiffe://a/b"));
        for (pattern, uri) in [
            ("spiffe://a/b", "spiffe://a/B"),
            ("spiffe://a/b", "spiffe://a/b/c"),
            ("spiffe://a/b/*", "spiffe://a/b"),
            ("spiffe://a/b/*", "spiffe://a/b/"),
            ("spiffe://a/b/*", "spiffe://a/b/../c"),
            ("spiffe://a/b/*", "spiffe://a/b/%2e%2e"),
            ("spiffe://a/b/*", "spiffe://a/bc"),
            ("spiffe://a/*", "spiffe://ab/c"),
            ("a", "a"),
        ] {
            assert!(!allows_uri(pattern, uri), "{pattern} {uri}");
        }
    }
}
