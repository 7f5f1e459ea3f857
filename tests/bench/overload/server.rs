//! The server, a process of its own with one thread.

use std::{
    env,
    io::{BufRead, BufReader, Write},
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

/// A running server, stopped when dropped.
pub struct ServerProcess {
    process: Child,
    address: String,
}

impl ServerProcess {
    pub fn start(work: Work, limited: Limited) -> Result<Self, Error> {
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", work.name(), limited.name()])
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

    /// The memory that the process has, as Linux tells it.
    pub fn resident_mib(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.ok_or("the process has no VmRSS")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the process is killed; says its address on the first line of the output.
pub fn serve(work: Work, limited: Limited) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = Listener::bind("127.0.0.1:0").await?;
        println!("{}", listener.target());
        std::io::stdout().flush()?;
        let service = Service {
            work,
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
    database: Semaphore,
}

impl RouteGuide for Service {
    async fn get_feature(&self, _: Request<Point>) -> Result<Response<Feature>, Status> {
        match self.work {
            Work::Cpu => {
                let start = Instant::now();
                while start.elapsed() < CPU_TIME {
                    std::hint::spin_loop();
                }
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
