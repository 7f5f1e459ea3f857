//! Standard output. `println!` panics where the reader has gone away; this says so instead.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use miette::{Diagnostic, Report};

/// Standard output could not be written.
#[derive(Debug)]
struct OutputError(io::Error);

impl Display for OutputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "standard output cannot be written: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

impl Diagnostic for OutputError {}

/// Prints a line.
pub(crate) fn line(line: impl Display) -> Result<(), Report> {
    text(format_args!("{line}\n"))
}

/// Prints text that ends its own lines.
pub(crate) fn text(text: impl Display) -> Result<(), Report> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| OutputError(error).into())
}

/// Whether the reader of standard output has gone away.
pub(crate) fn is_broken_pipe(error: &Report) -> bool {
    error
        .downcast_ref::<OutputError>()
        .is_some_and(|OutputError(error)| error.kind() == ErrorKind::BrokenPipe)
}

/// A number with the noun that suits it.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
