//! The `wireloom` command as people run it: arguments in; files, output and exit code out.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod generate;
mod inspect;
mod new;
mod protos;
mod readme;
mod support;
mod templates;
