//! `wireloom templates export`, and templates of a project's own.

use crate::support::Project;

#[test]
fn exported_templates_render_the_same_code() {
    let project = Project::clock();
    project.run(&["generate"]).ok();
    project.run(&["templates", "export", "templates"]).ok();
    assert_eq!(
        project
            .run(&["generate", "--templates", "templates", "--check"])
            .ok(),
        "up to date\n"
    );
}

#[test]
fn a_changed_template_changes_the_code() {
    let project = Project::clock();
    project.run(&["templates", "export", "templates"]).ok();
    let client = project.read("templates/client.rs.tera");
    project.write(
        "templates/client.rs.tera",
        &format!("/// Of our own.\npub struct Marker;\n\n{client}"),
    );
    project.run(&["generate", "--templates", "templates"]).ok();
    assert!(project.read("gen/clock.rs").contains("pub struct Marker;"));
}

#[test]
fn changed_templates_are_overwritten_by_force_alone() {
    let project = Project::empty();
    project.run(&["templates", "export", "templates"]).ok();
    let original = project.read("templates/client.rs.tera");
    project.write("templates/client.rs.tera", "mine");

    let error = project.run(&["templates", "export", "templates"]).failed();
    assert!(
        error.contains("templates/client.rs.tera") && error.contains("--force"),
        "{error}"
    );
    assert_eq!(project.read("templates/client.rs.tera"), "mine");

    project
        .run(&["templates", "export", "templates", "--force"])
        .ok();
    assert_eq!(project.read("templates/client.rs.tera"), original);
}
