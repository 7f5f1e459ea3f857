//! The scripts of the rules' tests, run against our client and against grpcio's: how the call ends, with what messages
//! and metadata, how many attempts it makes, and what each says of those before it have to agree.

mod cases;
mod differences;
mod grpcio;
mod ours;
mod outcome;

use wireloom::MethodKind;

use self::{
    cases::{Case, cases},
    differences::{DIFFERENCES, Difference},
    grpcio::Grpcio,
    outcome::Outcome,
};
use crate::python::Python;

const KINDS: [MethodKind; 4] = [
    MethodKind::Unary,
    MethodKind::ServerStreaming,
    MethodKind::ClientStreaming,
    MethodKind::BidiStreaming,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python's grpcio, which .ci/run installs"]
async fn the_rules_scripts_end_with_grpcio_as_they_do_with_ours() {
    let python = Python::new().await;
    let [one, two, three, four] = KINDS.map(|kind| compare(kind, &python));
    let of_kinds: [_; 4] = tokio::join!(one, two, three, four).into();
    let wrong = of_kinds.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls methods of one kind by both clients; gives what is wrong with the outcomes.
async fn compare(kind: MethodKind, python: &Python) -> Vec<String> {
    let mut grpcio = Grpcio::start(python, kind);
    let mut wrong = Vec::new();
    for case in cases() {
        let (ours, grpcio_s) = tokio::join!(ours::call(&case, kind), grpcio.call(&case));
        wrong.extend(judge(&case, kind, &ours, &grpcio_s));
    }
    wrong
}

/// What is wrong with two outcomes, if anything is: they differ where no difference is listed, or not as listed.
fn judge(case: &Case, kind: MethodKind, ours: &Outcome, grpcio_s: &Outcome) -> Option<String> {
    let mut differences = DIFFERENCES.iter();
    let listed = differences.find(|difference| difference.is_of(case.name, kind));
    let agrees = match listed {
        None => ours == grpcio_s,
        Some(Difference { codes, .. }) => {
            ours != grpcio_s && [ours.code, grpcio_s.code] == codes.map(|code| code as i32)
        }
    };
    (!agrees).then(|| {
        format!(
            "{}, {kind:?}: listed: {listed:?}\n  ours: {ours:?}\n  grpcio's: {grpcio_s:?}",
            case.name
        )
    })
}

#[test]
fn each_difference_is_of_a_case_that_there_is() {
    let names: Vec<_> = cases().iter().map(|case| case.name).collect();
    for difference in DIFFERENCES {
        assert!(names.contains(&difference.case), "{difference:?}");
    }
}
