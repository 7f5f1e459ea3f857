//! Errors on standard error: drawn for a terminal, plain text with `file:line:column` for anything else.

use std::io::{self, IsTerminal as _, Write as _};

use miette::{MietteHandlerOpts, Report};

/// Prints why a command failed. Nothing is left to do if that fails too.
pub(crate) fn print(error: &Report) {
    let stderr = io::stderr();
    let text = if stderr.is_terminal() {
        drawn(error)
    } else {
        plain(error)
    };
    let _ = writeln!(stderr.lock(), "{}", text.trim_end());
}

/// miette's report, as the terminal can show it; `NO_COLOR` is respected.
fn drawn(error: &Report) -> String {
    struct Drawn<'a>(&'a Report);
    impl std::fmt::Debug for Drawn<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            use miette::ReportHandler as _;
            MietteHandlerOpts::new().build().debug(self.0.as_ref(), f)
        }
    }
    format!("{:?}", Drawn(error))
}

/// What editors and CI logs can read: lines are not wrapped, and each place is `file:line:column`.
fn plain(error: &Report) -> String {
    if let Some(error) = error.downcast_ref::<wireloom_build::Error>() {
        return format!("error: {error:?}");
    }
    match error.help() {
        Some(help) => format!("error: {error}\n  help: {help}"),
        None => format!("error: {error}"),
    }
}
