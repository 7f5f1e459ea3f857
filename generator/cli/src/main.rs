//! The `wireloom` command: writes new projects, generates code, and explains policies.

mod args;
mod export;
mod generate;
mod inspect;
mod new;
mod output;
mod report;

use std::process::ExitCode;

use clap::Parser as _;
use miette::Report;

use args::{Args, Command, ProtosCommand, TemplatesCommand};

/// How a command ended that met no error: `Drift` is what `--check` found.
enum Outcome {
    Done,
    Drift,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Drift) => ExitCode::FAILURE,
        // `wireloom model | head` is no failure: the reader has what it wanted.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report::print(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Outcome, Report> {
    match command {
        Command::New(args) => new::run(&args)?,
        Command::Generate(args) => return generate::run(args),
        Command::Model(args) => inspect::model(args)?,
        Command::Explain(args) => inspect::explain(args)?,
        Command::Templates(TemplatesCommand::Export(args)) => export::templates(&args)?,
        Command::Protos(ProtosCommand::Export(args)) => export::protos(&args)?,
    }
    Ok(Outcome::Done)
}
