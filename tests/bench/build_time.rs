//! What a service adds to the build of a crate, over its messages: Wireloom's stubs beside those of tonic-build.
//!
//! `cargo bench --profile dev -p wireloom-tests --bench build_time`; a number behind `--` is that of the rounds.
//!
//! The service has [`METHODS`] unary methods, each with messages of its own. Dependencies are built once and not
//! counted, nor is the generator: a round builds crates that are there as source, one after the other, so that what
//! else the machine does falls on all alike. The medians of the rounds are what counts; CPU time is steadier than the
//! clock's. The aim is that Wireloom adds at most 0.6 of what tonic adds.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    num::NonZeroUsize,
    path::Path,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

type Error = Box<dyn std::error::Error>;

const METHODS: usize = 50;
const ROUNDS: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");

fn main() -> Result<(), Error> {
    let rounds = env::args().find_map(|argument| argument.parse().ok());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build_time");
    write_projects(&folder)?;

    println!("One service, {METHODS} unary methods: medians of what a build of the crate takes.");
    for profile in Profile::ALL {
        let times = measure(&folder, profile, rounds.unwrap_or(ROUNDS).get())?;
        print_table(profile, &times);
    }
    Ok(())
}

/// What a crate has beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stubs {
    None,
    Wireloom,
    Tonic,
}

/// What a crate does with what was generated. Stubs are generic here and there, and generic code costs nothing before
/// it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// A program serves all methods and calls them: what a service costs in the end, linking included.
    Program,
    /// As a library, so that nothing is linked.
    Library,
    /// A library of generated code alone, as a workspace may have it.
    Unused,
}

impl Stubs {
    const ALL: [Self; 3] = [Self::None, Self::Wireloom, Self::Tonic];
}

impl Use {
    const ALL: [Self; 3] = [Self::Program, Self::Library, Self::Unused];
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program => "used, in a program",
            Self::Library => "used, in a library",
            Self::Unused => "generated code alone",
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Profile {
    Debug,
    Release,
}

impl Profile {
    const ALL: [Self; 2] = [Self::Debug, Self::Release];

    const fn argument(self) -> &'static str {
        match self {
            Self::Debug => "--profile=dev",
            Self::Release => "--profile=release",
        }
    }
}

/// A crate to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Project {
    used: Use,
    stubs: Stubs,
}

impl Project {
    fn all() -> impl Iterator<Item = Self> {
        Use::ALL
            .into_iter()
            .flat_map(|used| Stubs::ALL.map(|stubs| Self { used, stubs }))
    }

    fn name(self) -> String {
        format!("{:?}-{:?}", self.stubs, self.used).to_lowercase()
    }

    fn manifest(self) -> String {
        let dependencies = match self.stubs {
            Stubs::None => "prost = \"0.14\"\n".to_owned(),
            Stubs::Wireloom => {
                let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime");
                format!("wireloom = {{ path = {runtime:?} }}\n{TOKIO}")
            }
            Stubs::Tonic => {
                format!("prost = \"0.14\"\ntonic = \"0.14\"\ntonic-prost = \"0.14\"\n{TOKIO}")
            }
        };
        let name = self.name();
        format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n[workspace]\n"
        )
    }

    fn source(self) -> String {
        let code = match (self.used, self.stubs) {
            (Use::Unused, _) | (_, Stubs::None) => String::new(),
            (_, Stubs::Wireloom) => use_of(WIRELOOM_HANDLER, WIRELOOM_CALLS),
            (_, Stubs::Tonic) => use_of(TONIC_HANDLER, TONIC_CALLS),
        };
        let end = match (self.used, self.stubs) {
            (Use::Program, Stubs::None) => "fn main() {}\n",
            (Use::Program, _) => PROGRAM_END,
            (Use::Library, Stubs::Wireloom | Stubs::Tonic) => LIBRARY_END,
            (Use::Library, Stubs::None) | (Use::Unused, _) => "",
        };
        let generated = match self.stubs {
            Stubs::Wireloom => "include!(\"gen/wireloom.rs\");",
            Stubs::None | Stubs::Tonic => "pub mod bench { include!(\"gen/bench.rs\"); }",
        };
        format!("#![allow(dead_code)]\npub mod pb {{ {generated} }}\n{code}{end}")
    }
}

const TOKIO: &str = "tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }\n";

const WIRELOOM_HANDLER: &str = "
use pb::bench::*;
use wireloom::{Channel, Request, Response, Status, server::{Listener, Server}};

struct Handler;

impl Bench for Handler {@
    async fn method#(&self, request: Request<Method#Request>) -> Result<Response<Method#Response>, Status> {
        let request = request.into_inner();
        Ok(Response::new(Method#Response { id: request.id, name: request.name, ..Default::default() }))
    }
@}

async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = Listener::bind(\"127.0.0.1:50051\").await?;
    Server::builder().add_service(BenchServer::new(Handler)).serve(listener).await?;
    Ok(())
}
";

const WIRELOOM_CALLS: &str = "
async fn call() -> Result<u64, Status> {
    let client = BenchClient::new(Channel::connect(\"http://127.0.0.1:50051\").await?);
    let mut sum = 0;@
    sum += client.method#(Method#Request::default()).await?.into_inner().id;
@    Ok(sum)
}
";

const TONIC_HANDLER: &str = "
use pb::bench::{*, bench_client::BenchClient, bench_server::{Bench, BenchServer}};
use tonic::{Request, Response, Status, transport::Server};

struct Handler;

#[tonic::async_trait]
impl Bench for Handler {@
    async fn method#(&self, request: Request<Method#Request>) -> Result<Response<Method#Response>, Status> {
        let request = request.into_inner();
        Ok(Response::new(Method#Response { id: request.id, name: request.name, ..Default::default() }))
    }
@}

async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = \"127.0.0.1:50051\".parse()?;
    Server::builder().add_service(BenchServer::new(Handler)).serve(address).await?;
    Ok(())
}
";

const TONIC_CALLS: &str = "
async fn call() -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let mut client = BenchClient::connect(\"http://127.0.0.1:50051\").await?;
    let mut sum = 0;@
    sum += client.method#(Method#Request::default()).await?.into_inner().id;
@    Ok(sum)
}
";

const PROGRAM_END: &str = "
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tokio::select! {
        biased; // The server listens first.
        served = serve() => served,
        called = call() => { println!(\"{}\", called?); Ok(()) }
    }
}
";

// What these return has no type parameter: all of it is compiled here, rather than where it is used.
const LIBRARY_END: &str = "
type Task = std::pin::Pin<Box<dyn Future<Output = Result<u64, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

pub fn boxed_serve() -> Task { Box::pin(async { serve().await.map(|()| 0) }) }
pub fn boxed_call() -> Task { Box::pin(async { Ok(call().await?) }) }
";

/// The handler and the calls: what is between two `@` is repeated for each method, `#` being its number.
fn use_of(handler: &str, calls: &str) -> String {
    [handler, calls].map(for_each_method).concat()
}

fn for_each_method(text: &str) -> String {
    let repeat = |(at, part): (usize, &str)| match at % 2 {
        0 => part.to_owned(),
        _ => (0..METHODS)
            .map(|method| part.replace('#', &method.to_string()))
            .collect(),
    };
    text.split('@').enumerate().map(repeat).collect()
}

const PROTO: &str = "syntax = \"proto3\";
package bench;

service Bench {@
  rpc Method#(Method#Request) returns (Method#Response);
@}
@
message Method#Request {
  uint64 id = 1;
  string name = 2;
  repeated string tags = 3;
  bool dry_run = 4;
}
message Method#Response {
  uint64 id = 1;
  string name = 2;
  bytes payload = 3;
  int64 changed_at = 4;
}
@";

fn write_projects(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder)?;
    let proto = folder.join("bench.proto");
    fs::write(&proto, for_each_method(PROTO))?;
    let generator = folder.join(TONIC_GENERATOR);
    write_project(&generator, TONIC_MANIFEST, "main.rs", TONIC_MAIN)?;
    for project in Project::all() {
        let main = match project.used {
            Use::Program => "main.rs",
            Use::Library | Use::Unused => "lib.rs",
        };
        let project_folder = folder.join(project.name());
        write_project(
            &project_folder,
            &project.manifest(),
            main,
            &project.source(),
        )?;
        fs::create_dir_all(project_folder.join("src/gen"))?;
        generate(folder, project, &proto, &project_folder.join("src/gen"))?;
    }
    Ok(())
}

/// Writes a package, with the versions of dependencies that the workspace has.
fn write_project(folder: &Path, manifest: &str, main: &str, source: &str) -> Result<(), Error> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src").join(main), source)?;
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock"))?;
    Ok(())
}

const TONIC_GENERATOR: &str = "tonic-generator";

// A package of its own: as a dependency of the tests, it would switch features of prost-build on that the generator
// is tested without.
const TONIC_MANIFEST: &str = "[package]
name = \"tonic-generator\"
edition = \"2024\"

[dependencies]
protox = \"0.10\"
tonic-prost-build = \"0.14\"

[workspace]
";

const TONIC_MAIN: &str = "
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proto, folder, out, stubs] = arguments.as_slice() else {
        return Err(\"expected proto, folder, output and whether to write stubs\".into());
    };
    let stubs = stubs.parse()?;
    tonic_prost_build::configure()
        .build_client(stubs)
        .build_server(stubs)
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(protox::compile([proto], [folder])?)?;
    Ok(())
}
";

fn generate(folder: &Path, project: Project, proto: &Path, out: &Path) -> Result<(), Error> {
    match project.stubs {
        Stubs::Wireloom => {
            wireloom_build::builder()
                .proto(proto)
                .include(folder)
                .out_dir(out)
                .generate()?;
            Ok(())
        }
        Stubs::None | Stubs::Tonic => {
            let status = Command::new(env!("CARGO"))
                .current_dir(folder.join(TONIC_GENERATOR))
                .args(["run", "--quiet", "--target-dir"])
                .arg(folder.join("target"))
                .arg("--")
                .args([proto, folder, out])
                .arg((project.stubs == Stubs::Tonic).to_string())
                .status()?;
            succeeded(status, "generate", project)
        }
    }
}

/// What a build took.
#[derive(Clone, Copy, Debug)]
struct Time {
    wall: Duration,
    cpu: Duration,
}

fn measure(
    folder: &Path,
    profile: Profile,
    rounds: usize,
) -> Result<BTreeMap<Project, Time>, Error> {
    for project in Project::all() {
        eprintln!("{profile:?}: building {}'s dependencies", project.name());
        build(folder, project, profile)?;
    }
    let mut times: BTreeMap<Project, Vec<Time>> = BTreeMap::new();
    for round in 1..=rounds {
        eprintln!("{profile:?}: round {round} of {rounds}");
        for project in Project::all() {
            let time = build(folder, project, profile)?;
            times.entry(project).or_default().push(time);
        }
    }
    let medians = times.into_iter().map(|(project, times)| {
        let median = |of: fn(&Time) -> Duration| {
            let mut all: Vec<_> = times.iter().map(of).collect();
            all.sort();
            all[all.len() / 2]
        };
        let time = Time {
            wall: median(|time| time.wall),
            cpu: median(|time| time.cpu),
        };
        (project, time)
    });
    Ok(medians.collect())
}

/// Builds a crate from nothing; its dependencies stay.
fn build(folder: &Path, project: Project, profile: Profile) -> Result<Time, Error> {
    cargo(folder, project, profile, &["clean", "-p", &project.name()])?;
    let (start, cpu) = (Instant::now(), cpu_of_children()?);
    cargo(folder, project, profile, &["build"])?;
    Ok(Time {
        wall: start.elapsed(),
        cpu: cpu_of_children()? - cpu,
    })
}

fn cargo(
    folder: &Path,
    project: Project,
    profile: Profile,
    arguments: &[&str],
) -> Result<(), Error> {
    let status = Command::new(env!("CARGO"))
        .current_dir(folder.join(project.name()))
        .args(arguments)
        .args([profile.argument(), "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .status()?;
    succeeded(status, arguments[0], project)
}

fn succeeded(status: ExitStatus, what: &str, project: Project) -> Result<(), Error> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("{what}: {} failed with {status}", project.name()).into()),
    }
}

/// User's and system's time of all processes that have ended, `rustc` and the linker among them.
fn cpu_of_children() -> Result<Duration, Error> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let times = [usage.user_time(), usage.system_time()];
    let micros = times
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(u64::try_from(micros.sum::<i64>())?))
}

fn print_table(profile: Profile, times: &BTreeMap<Project, Time>) {
    println!("\n{profile:?}, seconds of CPU (of the clock)");
    println!(
        "| {:<20} | {:>13} | {:>13} | {:>13} | {:>13} | {:>13} | {:>13} |",
        "", "messages", "with Wireloom", "with tonic", "it adds", "tonic adds", "ratio"
    );
    println!("|{:-<22}|{}", "", format!("{:->15}|", ":").repeat(6));
    let pair = |cpu: f64, wall: f64| format!("{cpu:.2} ({wall:.2})");
    for used in Use::ALL {
        let [none, wireloom, tonic] = Stubs::ALL
            .map(|stubs| times[&Project { used, stubs }])
            .map(|time| [time.cpu, time.wall].map(|time| time.as_secs_f64()));
        let adds = |stubs: [f64; 2]| [stubs[0] - none[0], stubs[1] - none[1]];
        let ratio = [0, 1].map(|of| adds(wireloom)[of] / adds(tonic)[of]);
        let cells = [none, wireloom, tonic, adds(wireloom), adds(tonic), ratio]
            .map(|[cpu, wall]| format!(" {:>13} |", pair(cpu, wall)));
        println!("| {:<20} |{}", used.to_string(), cells.concat());
    }
}
