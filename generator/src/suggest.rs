//! "Did you mean": the known name that is nearest to an unknown one.

/// The names must be at least this alike, of 1.0.
const ALIKE: f64 = 0.6;

/// The known name most like `unknown`, if any is like it at all.
pub(crate) fn nearest<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(unknown, name);
    known
        .into_iter()
        .map(|name| (alike(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// What to do about an unknown name: the nearest known one, or all of them where they are few.
pub(crate) fn help<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
    kind: &str,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(unknown, known.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    match known.len() {
        0 => format!("there is no {kind} here"),
        1..=12 => format!("known here: {}", list(&known)),
        more => format!("there are {more}, none of them like it"),
    }
}

/// Names for a sentence: `a`, `b` and `c`.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_find_the_name() {
        assert_eq!(
            nearest("tiemout", ["timeout", "retry_policy"]),
            Some("timeout")
        );
    }

    #[test]
    fn a_name_like_none_has_no_suggestion() {
        assert_eq!(nearest("frobnicate", ["timeout", "retry_policy"]), None);
    }

    #[test]
    fn help_lists_the_names_where_none_is_near() {
        assert_eq!(
            help("x", ["timeout", "no_retry"], "key"),
            "known here: `timeout` and `no_retry`"
        );
    }
}
