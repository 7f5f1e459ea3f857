//! Every command and every block of code in the README is run, or shown to be what it says it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ended, Project, checkout, files, wireloom};

/// What Cargo runs inside a new project: the test of `wireloom new` does, at length.
const RUN_IN_A_NEW_PROJECT: [&str; 3] = [
    "cargo run",
    "cargo run --bin server",
    "cargo run --bin client",
];

#[test]
fn the_readme_holds() {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let mut reader = Reader::new();
    let blocks = blocks(&readme);
    assert!(blocks.len() > 10, "the README has lost its code");
    for (language, text) in blocks {
        match language.as_str() {
            "sh" => text.lines().for_each(|line| reader.run(line)),
            "rust" => reader.find(&text, &reader.rust()),
            "proto" => reader.find(
                &text,
                &Vec::from_iter(files(&greeter().join("proto")).into_values()),
            ),
            "toml" => reader.configure(&text),
            "text" => assert!(
                reader.printed.contains(&text),
                "{text}\nis not in\n{}",
                reader.printed
            ),
            _ => panic!("nothing is known of ```{language}:\n{text}"),
        }
    }
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let links = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.contains("://")) {
        assert!(checkout().join(link).exists(), "{link}");
    }
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

/// Someone who follows the README from top to bottom.
struct Reader {
    _home: Project,
    /// `None` in the checkout, where the README starts.
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

    /// Adds to the project's `wireloom.toml`.
    fn configure(&self, text: &str) {
        let path = self
            .project
            .as_ref()
            .expect("the README has made a project")
            .join("wireloom.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{before}\n{text}")).unwrap();
    }

    /// Code that is compiled: that of the greeter, and what is generated for it.
    fn rust(&self) -> Vec<String> {
        let generated = self.home.join("generated");
        let output = wireloom(&greeter())
            .args(["generate", "--out"])
            .arg(&generated)
            .output()
            .unwrap();
        Ended::from(output).ok();
        let folders = [greeter().join("src"), generated];
        let build = fs::read_to_string(greeter().join("build.rs")).unwrap();
        folders
            .iter()
            .flat_map(|folder| files(folder).into_values())
            .chain([build])
            .collect()
    }

    /// Finds an excerpt, whatever its layout.
    fn find(&self, excerpt: &str, texts: &[String]) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = texts
            .iter()
            .any(|text| words(text).contains(&words(excerpt)));
        assert!(found, "no file has this:\n{excerpt}");
    }
}

/// Whether a line of `.ci/run` is this command, with more arguments perhaps.
fn ci_runs(command: &str) -> bool {
    let script = fs::read_to_string(checkout().join(Path::new(".ci/run"))).unwrap();
    script
        .lines()
        .any(|line| line == command || line.starts_with(&format!("{command} ")))
}
