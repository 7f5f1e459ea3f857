//! The files of a new project, rendered from the templates in `templates/new`.

use miette::{IntoDiagnostic as _, Report, WrapErr as _};
use tera::{Context, Tera};

use super::dependencies::Dependencies;
use super::name::Name;

/// Where each file goes, and its template.
macro_rules! scaffold {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../templates/", $path, ".tera")))),*]
    };
}

const FILES: [(&str, &str); 12] = scaffold![
    "Cargo.toml",
    "README.md",
    "build.rs",
    "wireloom.toml",
    "proto/greeter.proto",
    "src/lib.rs",
    "src/service.rs",
    "src/calls.rs",
    "src/bin/demo.rs",
    "src/bin/server.rs",
    "src/bin/client.rs",
    "tests/greeter.rs",
];

/// Where the file that Git reads goes: under its own name it would rule over the templates as well.
const GITIGNORE: (&str, &str) = (".gitignore", include_str!("../../templates/gitignore.tera"));

/// Renders the project: paths in its folder, and texts.
pub(crate) fn render(
    name: &Name,
    dependencies: &Dependencies,
) -> Result<Vec<(&'static str, String)>, Report> {
    let mut context = Context::new();
    context.insert("name", name.package());
    context.insert("crate_path", &name.crate_path());
    context.insert("wireloom", &dependencies.on("runtime", &["config"]));
    context.insert("wireloom_build", &dependencies.on("generator", &[]));

    let files = FILES.into_iter().chain([GITIGNORE]);
    files
        .map(|(path, template)| {
            let mut tera = Tera::new();
            tera.autoescape_on(Vec::<&str>::new());
            tera.add_raw_template(path, template)
                .and_then(|()| tera.render(path, &context))
                .map(|text| (path, text))
                .into_diagnostic()
                .wrap_err_with(|| {
                    format!("the template of {path} is wrong: this is an error in Wireloom")
                })
        })
        .collect()
}
