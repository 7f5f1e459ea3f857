//! The processes of a run: started, told what to do, ended when dropped.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error,
    contender::{Contender, Library},
    load::{Load, Round},
    usage::Usage,
    worker::{ClientAnswer, ClientCommand},
};

/// Where a client and its server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The server on core 0, the client on core 1.
    Apart,
    /// Both on core 0.
    Together,
    /// The server on core 0, the client where there is room.
    OneCore,
    /// Both where there is room: all threads share both cores.
    BothCores,
}

impl Placement {
    fn server(self) -> &'static str {
        match self {
            Self::Apart | Self::Together | Self::OneCore => "0",
            Self::BothCores => "0,1",
        }
    }

    fn client(self) -> &'static str {
        match self {
            Self::Apart => "1",
            Self::Together => "0",
            Self::OneCore | Self::BothCores => "0,1",
        }
    }
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    what: String,
}

impl Process {
    fn start(cores: &str, arguments: &[String]) -> Result<Self, Error> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--cores").arg(cores).args(arguments);
        Self::spawn(command, arguments.join(" "))
    }

    fn spawn(mut command: Command, what: String) -> Result<Self, Error> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            input: child.stdin.take().ok_or("no input")?,
            output: BufReader::new(child.stdout.take().ok_or("no output")?),
            child,
            what,
        })
    }

    fn ask<A: DeserializeOwned>(&mut self, command: &impl Serialize) -> Result<A, Error> {
        let command = serde_json::to_string(command)?;
        writeln!(self.input, "{command}")?;
        self.answer()
    }

    fn answer<A: DeserializeOwned>(&mut self) -> Result<A, Error> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("`{}` ended", self.what).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server without a client.
pub struct Server {
    process: Process,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(server: Contender, placed: Placement) -> Result<Self, Error> {
        let mut process = match server.library {
            Library::Cpp => {
                let mut command = Command::new(cpp_server().ok_or("no server of C++ was built")?);
                command.arg(placed.server());
                Process::spawn(command, server.to_string())?
            }
            _ => Process::start(placed.server(), &["serve".into(), server.to_string()])?,
        };
        let address = process.answer()?;
        Ok(Self { process, address })
    }

    pub fn usage(&mut self) -> Result<Usage, Error> {
        self.process.ask(&())
    }
}

/// The program of `cpp/server.cc`, where `run` could build it.
pub fn cpp_server() -> Option<PathBuf> {
    let program = env::current_exe()
        .ok()?
        .with_file_name("wireloom-speed-cpp");
    program.exists().then_some(program)
}

/// A client and a server of its own.
pub struct Pair {
    client: Process,
    server: Process,
}

/// What a command cost both sides, and what the memory of both came to.
pub struct Cost {
    pub client_cpu: Duration,
    pub server_cpu: Duration,
    pub client_growth: i64,
    pub server_growth: i64,
    pub round: Option<Round>,
}

impl Pair {
    pub fn start(client: Contender, server: Contender, placed: Placement) -> Result<Self, Error> {
        let Server { process, address } = Server::start(server, placed)?;
        let client = ["call".into(), client.to_string(), address.to_string()];
        Ok(Self {
            client: Process::start(placed.client(), &client)?,
            server: process,
        })
    }

    pub fn run(&mut self, load: Load, duration: Duration) -> Result<Cost, Error> {
        self.tell(&ClientCommand::Run { load, duration })
    }

    pub fn tell(&mut self, command: &ClientCommand) -> Result<Cost, Error> {
        let before: Usage = self.server.ask(&())?;
        let answer: ClientAnswer = self.client.ask(command)?;
        let after: Usage = self.server.ask(&())?;
        Ok(Cost {
            client_cpu: answer.after.cpu.saturating_sub(answer.before.cpu),
            server_cpu: after.cpu.saturating_sub(before.cpu),
            client_growth: growth(answer.before, answer.after)?,
            server_growth: growth(before, after)?,
            round: answer.round,
        })
    }
}

fn growth(before: Usage, after: Usage) -> Result<i64, Error> {
    Ok(i64::try_from(after.rss_bytes)? - i64::try_from(before.rss_bytes)?)
}
