//! What to do about a name that is unknown.

/// Proposes the known name that is most like `unknown`, or else says which there are.
#[cfg(feature = "config")]
pub(crate) fn help<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest(unknown, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The known name that is most like `unknown`, if any is like it at all.
#[cfg(feature = "config")]
pub(crate) fn nearest<'a>(
    unknown: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// A name must be at least this much like another, of 1.0, to be meant by it.
    const ALIKE: f64 = 0.6;

    let alike = |name| strsim::normalized_damerau_levenshtein(unknown, name);
    let known = known.into_iter().map(|name| (alike(name), name));
    let known = known.filter(|(likeness, _)| *likeness >= ALIKE);
    let nearest = known.max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map(|(_, name)| name)
}

/// Only the feature `config` has the crate that knows how much names are alike.
#[cfg(not(feature = "config"))]
pub(crate) fn nearest<'a>(_: &str, _: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    None
}

#[cfg(all(test, feature = "config"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_alike_is_proposed_and_otherwise_all_are_told() {
        let known = ["helloworld.Greeter", "helloworld.Greeter/SayHello"];
        let help = |unknown| help(unknown, known);
        assert_eq!(
            help("helloworld.Greeter/SayHelo"),
            "did you mean helloworld.Greeter/SayHello?"
        );
        assert_eq!(
            help("x"),
            "there are helloworld.Greeter, helloworld.Greeter/SayHello"
        );
    }
}
