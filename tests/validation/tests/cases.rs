//! The violations that we tell are those of protovalidate, whose Python package is the measure.
//!
//! A file of `cases/` has requests by names that say what they are about, and the fields and the rules of the violations that
//! the measure finds in each; with `WIRELOOM_BLESS=1`, they are written there anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wireloom::{Code, Request, Response, Status};

use crate::peers::python;
use crate::proto;
use crate::proto::cases::{Case, Cases, CasesClient, CasesServer, Checked};
use crate::support::{bad_request, in_process, pairs, violations};

/// The cases in which we find other violations, and why.
const DIFFERENCES: [(&str, &str); 7] = [
    ("a list and a map with nothing", EMPTY_IS_SET),
    ("an expression about whether a map is empty", EMPTY_IS_SET),
    (
        "a text of two characters",
        "`size` counts the bytes of a text",
    ),
    ("an hour in another zone", "times have no zones"),
    ("a number that is rounded in a text", FORMATS),
    ("a number with an exponent in a text", FORMATS),
    ("a number in hexadecimal digits", FORMATS),
];
const EMPTY_IS_SET: &str = "for `has`, a list or a map without anything in it is set";
const FORMATS: &str = "`format` knows no precision, no exponents and no hexadecimal digits";

/// What is found in a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
enum Found {
    /// The fields and the rules of its violations.
    Violations(BTreeSet<(String, String)>),
    /// That a rule cannot be evaluated.
    Failure(String),
}

/// A case of a file, beside its name.
#[derive(Deserialize)]
struct Recorded {
    request: Value,
    violations: Found,
}

/// Finds nothing to say about any request.
struct Content;

impl Cases for Content {
    async fn check(&self, _: Request<Case>) -> Result<Response<Checked>, Status> {
        Ok(Response::new(Checked {}))
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn cases_of(file: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn request(json: Value) -> Case {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let message = pool.get_message_by_name("cases.Case").unwrap();
    let message = DynamicMessage::deserialize(message, json).unwrap();
    message.transcode_to().unwrap()
}

async fn found_by_us(client: &CasesClient, request: Case) -> Found {
    match client.check(request).await {
        Ok(_) => Found::Violations(BTreeSet::new()),
        Err(status) if status.code() == Code::Internal => {
            Found::Failure("cannot be evaluated".to_owned())
        }
        Err(status) => Found::Violations(violations(&status).into_iter().collect()),
    }
}

#[tokio::test]
async fn we_find_what_protovalidate_finds() {
    let client = CasesClient::new(in_process(CasesServer::new(Content)));
    let mut differing = BTreeSet::new();
    let mut names = BTreeSet::new();
    for file in files() {
        for (name, case) in cases_of(&file) {
            let case: Recorded = serde_json::from_value(case).unwrap();
            let ours = found_by_us(&client, request(case.request)).await;
            if ours != case.violations {
                println!("{name}: ours {ours:?}, theirs {:?}", case.violations);
                differing.insert(name.clone());
            }
            assert!(names.insert(name), "two cases have one name");
        }
    }
    assert!(names.len() > 100, "{} cases", names.len());
    let known = DIFFERENCES.map(|(name, _)| name.to_owned());
    assert_eq!(differing, BTreeSet::from(known));
}

#[tokio::test]
#[ignore = "needs Python's protovalidate, which .ci/run installs"]
async fn what_is_recorded_is_what_protovalidate_finds() {
    let folder = tempfile::tempdir().unwrap();
    let descriptors = folder.path().join("descriptors.binpb");
    fs::write(&descriptors, proto::FILE_DESCRIPTOR_SET).unwrap();
    for file in files() {
        let mut measure = python("measure.py");
        let output = measure.arg(&descriptors).arg(&file).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", file.display());
        let measured = String::from_utf8(output.stdout).unwrap();
        if std::env::var_os("WIRELOOM_BLESS").is_some() {
            fs::write(&file, measured).unwrap();
        } else {
            let recorded = fs::read_to_string(&file).unwrap();
            assert_eq!(measured, recorded, "{}", file.display());
        }
    }
}

#[tokio::test]
async fn a_rule_says_its_own_text_whatever_other_rule_has_its_id() {
    let client = CasesClient::new(in_process(CasesServer::new(Content)));
    let low = json!({"low": 1});
    let sums = json!({"sum": -1, "cel": low, "parts": [{"named": {"a": low}}, {"sum": -1}]});
    let status = client
        .check(request(json!({"sums": sums})))
        .await
        .unwrap_err();
    let told = bad_request(&status).into_iter();
    let told = told.map(|violation| (violation.field, violation.description));
    let (sum, order) = ("the sum must not be negative", "low must not be above high");
    let expected = pairs(&[
        ("sums", sum),
        ("sums.cel", order),
        ("sums.parts[0].named[\"a\"]", order),
        ("sums.parts[1]", sum),
    ]);
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
