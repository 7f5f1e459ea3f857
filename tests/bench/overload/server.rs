//! The server, a process of its own with one thread.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use wireloom::{
    MessageStream, Request, Response, Server, Status, Streaming,
    server::{AdaptiveLimit, Limits, Listener},
    tokio_stream,
};
use wireloom_tests::real::route_guide::routeguide::{
    Feature, Point, Rectangle, RouteGuide, RouteGuideServer, RouteNote, RouteSummary,
};

use super::Error;

/// Work that takes the processor, however often the system interrupts it.
#[derive(Clone, Copy, Debug)]
pub struct Rounds(pub u64);

impl Rounds {
    /// Those that take [`CPU_TIME`], on a machine that does nothing else.
    pub fn measure() -> Self {
        let few = Self(100_000);
        let time = || {
            let start = Instant::now();
            few.take();
            start.elapsed()
        };
        let least = (0..200).map(|_| time()).min().unwrap_or_default();
        let share = CPU_TIME.as_secs_f64() / least.as_secs_f64();
        Self((few.0 as f64 * share) as u64)
    }

    fn take(self) {
        for round in 0..self.0 {
            std::hint::black_box(round);
        }
    }
}

/// What a call has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It takes the processor for [`CPU_TIME`].
    Cpu,
    /// It takes [`QUERY_TIME`] of a database that serves [`QUERIES`] at a time.
    Database,
}

const CPU_TIME: Duration = Duration::from_millis(2);
const QUERY_TIME: Duration = Duration::from_millis(40);
const QUERIES: u32 = 16;

impl Work {
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Database];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Database => "database",
        }
    }

    pub fn named(name: &str) -> Result<Self, Error> {
        let named = Self::ALL.into_iter().find(|work| work.name() == name);
        named.ok_or_else(|| format!("there is no work {name}").into())
    }

    /// The calls in a second that can be served at best.
    pub fn capacity(self) -> u32 {
        match self {
            Self::Cpu => 500,
            Self::Database => 400,
        }
    }
}

/// What the server is limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    Not,
    Adaptive,
}

impl Limited {
    pub fn name(self) -> &'static str {
        match self {
            Self::Not => "none",
            Self::Adaptive => "adaptive",
        }
    }

    pub fn named(name: &str) -> Result<Self, Error> {
        let all = [Self::Not, Self::Adaptive];
        let named = all.into_iter().find(|limited| limited.name() == name);
        named.ok_or_else(|| format!("there are no limits {name}").into())
    }

    fn limits(self) -> Limits {
        match self {
            Self::Not => Limits::default(),
            Self::Adaptive => Limits {
                adaptive: Some(AdaptiveLimit::default()),
                ..Limits::default()
            },
        }
    }
}

/// The processor core of a process, so that the load takes nothing from the server.
#[derive(Clone, Copy, Debug)]
pub enum Core {
    Server,
    Load,
}

impl Core {
    fn number(self) -> &'static str {
        match self {
            Self::Server => "0",
            Self::Load => "1",
        }
    }

    /// Starts `program` on this core, with util-linux's `taskset`.
    fn command(self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", self.number()]).arg(program);
        command
    }

    /// Moves this process to it.
    pub fn take(self) -> Result<(), Error> {
        let pid = std::process::id().to_string();
        let mut command = Command::new("taskset");
        command.args(["--all-tasks", "--cpu-list", "--pid", self.number(), &pid]);
        match command.stdout(Stdio::null()).status()?.success() {
            true => Ok(()),
            false => Err("there is no core for the load: this needs two".into()),
        }
    }
}

/// A running server, stopped when dropped.
pub struct ServerProcess {
    process: Child,
    address: String,
}

impl ServerProcess {
    pub fn start(work: Work, limited: Limited, rounds: Rounds) -> Result<Self, Error> {
        let program = env::current_exe()?;
        let mut process = Core::Server
            .command(&program)
            .args(["serve", work.name(), limited.name(), &rounds.0.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self {
            process,
            address: String::new(),
        };
        BufReader::new(stdout).read_line(&mut server.address)?;
        server.address.truncate(server.address.trim_end().len());
        Ok(server)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Forgets how much memory the process had before.
    pub fn forget_most_memory(&self) -> Result<(), Error> {
        Ok(fs::write(self.file("clear_refs"), "5")?)
    }

    /// The most memory that the process had since then, as Linux tells it.
    pub fn most_memory_mib(&self) -> Result<f64, Error> {
        let status = fs::read_to_string(self.file("status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.ok_or("the process has no VmHWM")?.parse::<f64>()? / 1024.0)
    }

    /// The time that the process has had the processor.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        let times = fs::read_to_string(self.file("schedstat"))?;
        let nanoseconds = times.split_whitespace().next();
        let nanoseconds = nanoseconds.ok_or("the process has no schedstat")?;
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the process is killed; says its address on the first line of the output.
pub fn serve(work: Work, limited: Limited, rounds: Rounds) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await?;
        println!("{}", listener.target());
        std::io::stdout().flush()?;
        let service = Service {
            work,
            rounds,
            database: Semaphore::new(QUERIES as usize),
        };
        Server::builder()
            .limits(limited.limits())
            .add_service(RouteGuideServer::new(service))
            .serve(listener)
            .await?;
        Ok(())
    })
}

struct Service {
    work: Work,
    rounds: Rounds,
    database: Semaphore,
}

impl RouteGuide for Service {
    async fn get_feature(&self, _: Request<Point>) -> Result<Response<Feature>, Status> {
        match self.work {
            Work::Cpu => {
                self.rounds.take();
            }
            Work::Database => {
                let permit = self.database.acquire().await;
                let _permit = permit.map_err(|_| Status::internal("the database is closed"))?;
                tokio::time::sleep(QUERY_TIME).await;
            }
        }
        Ok(Response::new(Feature::default()))
    }

    async fn list_features(
        &self,
        _: Request<Rectangle>,
    ) -> Result<Response<impl MessageStream<Feature>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn record_route(
        &self,
        _: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn route_chat(
        &self,
        _: Request<Streaming<RouteNote>>,
    ) -> Result<Response<impl MessageStream<RouteNote>>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}
