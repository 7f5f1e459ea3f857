//! What a service adds to the build of a crate, over its messages: Wireloom's stubs beside those of tonic-build.
//!
//! `cargo bench --profile dev -p wireloom-tests --bench build_time`; a number behind `--` is that of the rounds.
//!
//! The service has [`METHODS`] unary methods, each with messages of its own. Dependencies are built once and not
//! counted, nor is the generator: a round builds crates that are there as source, one after the other, so that what
//! else the machine does falls on all alike. The medians of the rounds are what counts; CPU time is steadier than the
//! clock's. The aim is that Wireloom adds at most 0.6 of what tonic adds.

#[path = "build_time/project.rs"]
mod project;
#[path = "build_time/sources.rs"]
mod sources;

use std::{
    collections::BTreeMap,
    env,
    num::NonZeroUsize,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

use self::project::{Project, Stubs, Use, succeeded, write_projects};

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
