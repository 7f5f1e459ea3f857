//! `wireloom model` and `wireloom explain`: what the generator has understood.

use miette::{IntoDiagnostic as _, Report};

use crate::args::{ExplainArgs, InputArgs};
use crate::output;

pub(crate) fn model(input: InputArgs) -> Result<(), Report> {
    let model = input.into_builder()?.model()?;
    output::line(serde_json::to_string_pretty(&model).into_diagnostic()?)
}

pub(crate) fn explain(args: ExplainArgs) -> Result<(), Report> {
    let explanation = args.input.into_builder()?.explain(&args.path)?;
    output::line(explanation.to_string().trim_end())
}
