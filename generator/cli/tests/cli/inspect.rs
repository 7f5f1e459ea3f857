//! `wireloom model` and `wireloom explain`.

use crate::support::{CLOCK_TOML, Project};

#[test]
fn the_model_is_json_with_both_spellings_of_a_name() {
    let model = Project::clock().run(&["model"]).ok();
    let model: serde_json::Value = serde_json::from_str(&model).unwrap();
    let method = &model["packages"][0]["services"][0]["methods"][0];
    assert_eq!(method["proto_name"], "Now");
    assert_eq!(method["rust_name"], "now");
    assert_eq!(method["kind"], "unary");
}

#[test]
fn a_policy_is_explained_with_where_each_value_comes_from() {
    let project = Project::clock();
    let policy = "[methods.\"clock.Clock/Now\"]\ntimeout = \"3s\"\n";
    project.write("wireloom.toml", &format!("{CLOCK_TOML}\n{policy}"));
    let explanation = project.run(&["explain", "clock.Clock/Now"]).ok();
    assert!(explanation.contains("3s"), "{explanation}");
    assert!(explanation.contains("wireloom.toml:6"), "{explanation}");
}

#[test]
fn policies_that_tonic_s_stubs_do_not_read_are_warned_of() {
    let project = Project::clock();
    let explained = || project.run(&["explain", "clock.Clock/Now"]).ok();
    let warning = "warning: tonic's stubs read no policy";
    assert!(!explained().contains(warning));
    project.write("wireloom.toml", &format!("{CLOCK_TOML}stubs = \"tonic\"\n"));
    assert!(explained().contains(warning));
}

#[test]
fn a_path_that_names_nothing_is_refused_with_what_is_near() {
    let error = Project::clock()
        .run(&["explain", "clock.Clock/Noww"])
        .failed();
    assert!(error.contains("clock.Clock/Noww"), "{error}");
    assert!(error.contains("`clock.Clock/Now`"), "{error}");
}

#[test]
fn a_service_config_wins_over_the_file_s_policy_and_what_cannot_work_is_warned_of() {
    let project = Project::clock();
    let policy = "[methods.\"clock.Clock/Now\"]\ntimeout = \"3s\"\n";
    project.write("wireloom.toml", &format!("{CLOCK_TOML}\n{policy}"));
    let config = r#"{"methodConfig": [{"name": [{"service": "clock.Clock"}], "timeout": "0.05s", "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;
    project.write("clock_grpc_service_config.json", config);
    let arguments = [
        "explain",
        "clock.Clock/Now",
        "--service-config",
        "clock_grpc_service_config.json",
    ];
    let explanation = project.run(&arguments).ok();
    let origin = "0.05s        methodConfig[0].timeout, clock_grpc_service_config.json:1";
    assert!(explanation.contains(origin), "{explanation}");
    assert!(
        explanation.contains("warning: the timeout of 0.05s"),
        "{explanation}"
    );
}

#[test]
fn a_service_config_that_is_missing_is_an_error() {
    let arguments = ["model", "--service-config", "nowhere.json"];
    let error = Project::clock().run(&arguments).failed();
    assert!(error.contains("cannot read `nowhere.json`"), "{error}");
}

#[test]
fn a_path_in_the_file_that_leads_nowhere_is_an_error_with_its_line() {
    for (key, path) in [
        ("service_configs", "[\"nowhere\"]"),
        ("descriptor_set", "\"nowhere\""),
        ("templates", "\"nowhere\""),
    ] {
        let project = Project::clock();
        project.write("wireloom.toml", &format!("{CLOCK_TOML}{key} = {path}\n"));
        let error = project.run(&["generate"]).failed();
        let start = "error: wireloom.toml:4:";
        assert!(error.starts_with(start), "{error}");
        assert!(error.contains(": there is no `nowhere`"), "{error}");
    }
}
