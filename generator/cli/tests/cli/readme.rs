//! Every command and every block of code in the README and in `docs/` is run, or shown to be what it says it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ended, Project, checkout, files, wireloom};

/// What Cargo runs inside a new project: the test of `wireloom new` does, at length.
const RUN_IN_A_NEW_PROJECT: [&str; 3] = [
    "cargo run",
    "cargo run --bin server",
    "cargo run --bin client",
];

/// The name that pages give the service configs which they show.
const SERVICE_CONFIG: &str = "service_config.json";

/// The page that shows no code: what was measured.
const WITHOUT_CODE: &str = "performance.md";

#[test]
fn the_readme_holds() {
    Reader::new().read(&checkout().join("README.md"));
}

#[test]
fn the_documentation_holds() {
    for page in pages().filter(|page| !page.ends_with(WITHOUT_CODE)) {
        let mut reader = Reader::new();
        reader.run("wireloom new greeter && cd greeter");
        reader.read(&page);
    }
}

#[test]
fn the_four_spellings_of_a_policy_are_the_same() {
    let page = fs::read_to_string(checkout().join("docs/policies.md")).unwrap();
    let blocks = blocks(&page);
    let block = |language: &str| {
        let found = blocks.iter().find(|(other, _)| other == language);
        found.unwrap_or_else(|| panic!("no {language}")).1.as_str()
    };
    let home = Project::empty();
    home.run(&["new", "greeter"]).ok();
    let with_option = home.read("greeter/proto/greeter.proto");
    let config = home.read("greeter/wireloom.toml");
    let by_option = say_hello(&home, &[]);

    let without_option = with_option.replace(block("proto"), "");
    assert_ne!(without_option, with_option);
    home.write("greeter/proto/greeter.proto", &without_option);
    assert_ne!(say_hello(&home, &[]), by_option, "the option says nothing");

    home.write(&format!("greeter/{SERVICE_CONFIG}"), block("json"));
    let by_service_config = say_hello(&home, &["--service-config", SERVICE_CONFIG]);
    assert_eq!(by_service_config, by_option);

    let with_table = format!("{config}\n{}", block("toml"));
    home.write("greeter/wireloom.toml", &with_table);
    assert_eq!(say_hello(&home, &[]), by_option);

    let code: String = block("rust").split_whitespace().collect();
    for (from, to) in [("RetryPolicy{", "}"), ("timeout(", ")")] {
        let written = between(&code, from, to);
        assert!(
            by_option.contains(written),
            "{written} is not in {by_option}"
        );
    }
}

/// What is generated for `SayHello` in the project `greeter`: its descriptor, without white space and crates' names.
fn say_hello(home: &Project, arguments: &[&str]) -> String {
    let folder = home.path().join("greeter");
    let output = wireloom(&folder)
        .args(["generate", "--out", "generated"])
        .args(arguments)
        .output()
        .unwrap();
    Ended::from(output).ok();
    let code: String = home
        .read("greeter/generated/helloworld.rs")
        .split_whitespace()
        .collect();
    between(&code, "GREETER_SAY_HELLO:", ";")
        .replace("::wireloom::", "")
        .replace("::core::time::", "")
}

/// The first part of a text that starts with `from` and ends with the `to` after it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from}"));
    let length = text[start..].find(to).unwrap_or_else(|| panic!("no {to}"));
    &text[start..start + length]
}

#[test]
fn the_readme_and_a_new_project_name_all_features_of_the_runtime() {
    let read = |path: &str| fs::read_to_string(checkout().join(path)).unwrap();
    let manifest: toml::Table = toml::from_str(&read("runtime/Cargo.toml")).unwrap();
    let readme = read("README.md");
    let (_, table) = readme.split_once("| feature |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let new_project = read("examples/greeter/Cargo.toml");
    let comment = new_project
        .lines()
        .find(|line| line.starts_with("# Features"));
    for feature in manifest["features"].as_table().unwrap().keys() {
        assert!(table.contains(&format!("`{feature}`")), "{feature}");
        assert!(comment.unwrap().contains(feature), "{feature}");
    }
}

#[test]
fn every_file_that_is_linked_to_exists() {
    for page in pages().chain([checkout().join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.with_file_name(file),
            };
            let there = target.exists() && (heading.is_empty() || has_heading(&target, heading));
            assert!(there, "{}: {link}", page.display());
        }
    }
}

/// Whether `page` has a heading that a link names as GitHub does: in lower case, with `-` for spaces.
fn has_heading(page: &Path, named: &str) -> bool {
    let text = fs::read_to_string(page).unwrap();
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        words
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
            == named
    })
}

fn pages() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(checkout().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
}

fn greeter() -> PathBuf {
    checkout().join("examples/greeter")
}

/// The fenced blocks: language and text.
fn blocks(markdown: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// Someone who follows a page from top to bottom.
struct Reader {
    _home: Project,
    /// `None` in the checkout, where the README starts; later the project that was made.
    project: Option<PathBuf>,
    home: PathBuf,
    /// What the last command printed.
    printed: String,
}

impl Reader {
    fn new() -> Self {
        let home = Project::empty();
        Self {
            home: home.path().to_owned(),
            _home: home,
            project: None,
            printed: String::new(),
        }
    }

    fn read(&mut self, page: &Path) {
        let blocks = blocks(&fs::read_to_string(page).unwrap());
        assert!(!blocks.is_empty(), "{} has lost its code", page.display());
        for (language, text) in blocks {
            match language.as_str() {
                "sh" => text.lines().for_each(|line| self.run(line)),
                "rust" => find(&text, self.rust()),
                "proto" if text.starts_with("syntax") => self.generate(&text),
                "proto" => find(&text, files(&greeter().join("proto")).into_values()),
                "toml" if text.starts_with("[features]") => self.add_to_manifest(&text),
                "toml" => self.configure(&text),
                "json" => self.take_service_config(&text),
                "text" => assert!(
                    self.printed.contains(&text),
                    "{text}\nis not in\n{}",
                    self.printed
                ),
                _ => panic!("nothing is known of ```{language}:\n{text}"),
            }
        }
    }

    fn run(&mut self, line: &str) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        for command in line.split(" && ") {
            let words: Vec<&str> = command.split(' ').collect();
            match (words[0], &self.project) {
                ("wireloom", project) => {
                    let folder = project.as_ref().unwrap_or(&self.home);
                    let output = wireloom(folder).args(&words[1..]).output().unwrap();
                    self.printed = Ended::from(output).ok();
                }
                ("cd", _) => self.project = Some(self.home.join(words[1])),
                ("cargo", Some(_)) => assert!(RUN_IN_A_NEW_PROJECT.contains(&command), "{command}"),
                ("cargo", None) => assert!(ci_runs(command), "`.ci/run` does not run `{command}`"),
                _ => panic!("nothing is known of `{command}`"),
            }
        }
    }

    /// Generates from a whole proto.
    fn generate(&mut self, text: &str) {
        fs::write(self.home.join("whole.proto"), text).unwrap();
        let output = wireloom(&self.home)
            .args(["generate", "whole.proto", "--out", "whole"])
            .output()
            .unwrap();
        Ended::from(output).ok();
    }

    /// Adds to the project's `wireloom.toml`, or takes its place if it says what to generate; the command must agree.
    fn configure(&mut self, text: &str) {
        let project = self.project.as_ref().expect("there is a project");
        let path = project.join("wireloom.toml");
        let before = match text.contains("[generate]") {
            true => String::new(),
            false => fs::read_to_string(&path).unwrap(),
        };
        fs::write(path, format!("{before}\n{text}")).unwrap();
        self.run("wireloom model");
    }

    /// Adds to the project's `Cargo.toml`, with the tests that it names; Cargo must take it.
    fn add_to_manifest(&mut self, text: &str) {
        let project = self.project.as_ref().expect("there is a project");
        let added: toml::Table = toml::from_str(text).unwrap();
        for test in added["test"].as_array().unwrap() {
            let name = test["name"].as_str().unwrap();
            fs::write(project.join(format!("tests/{name}.rs")), "").unwrap();
        }
        let path = project.join("Cargo.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}\n{text}")).unwrap();
        let output = Command::new(env!("CARGO"))
            .args(["read-manifest", "--manifest-path"])
            .arg(&path)
            .output()
            .unwrap();
        Ended::from(output).ok();
    }

    /// Writes a service config where the page's next commands find it; the command must take it.
    fn take_service_config(&mut self, text: &str) {
        let project = self.project.as_ref().expect("there is a project");
        fs::write(project.join(SERVICE_CONFIG), text).unwrap();
        self.run(&format!("wireloom model --service-config {SERVICE_CONFIG}"));
    }

    /// Code that is compiled: that of examples and tests, and what is generated for the greeter.
    fn rust(&self) -> Vec<String> {
        let generated = self.home.join("generated");
        let output = wireloom(&greeter())
            .args(["generate", "--out"])
            .arg(&generated)
            .output()
            .unwrap();
        Ended::from(output).ok();
        let folders = [
            greeter().join("src"),
            checkout().join("examples/etcd-resolver/src"),
            checkout().join("tests/e2e"),
            checkout().join("tests/security"),
            checkout().join("tests/tonic"),
            checkout().join("tests/validation/tests"),
            generated,
        ];
        let build = fs::read_to_string(greeter().join("build.rs")).unwrap();
        folders
            .iter()
            .flat_map(|folder| files(folder).into_values())
            .chain([build])
            .collect()
    }
}

/// Finds an excerpt in one of the texts, whatever its layout.
fn find(excerpt: &str, texts: impl IntoIterator<Item = String>) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let excerpt_words = words(excerpt);
    let found = texts
        .into_iter()
        .any(|text| words(&text).contains(&excerpt_words));
    assert!(found, "no file has this:\n{excerpt}");
}

/// Whether a line of `.ci/run` is this command, with more arguments perhaps.
fn ci_runs(command: &str) -> bool {
    let script = fs::read_to_string(checkout().join(Path::new(".ci/run"))).unwrap();
    script
        .lines()
        .any(|line| line == command || line.starts_with(&format!("{command} ")))
}
