//! Who is measured.

use std::{fmt, str::FromStr};

use tokio::runtime::{Builder, Runtime};

use crate::Error;

/// A gRPC implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// All that is on by default is on: deadline, retry policy, spans (that nobody subscribes to).
    Wireloom,
    Tonic,
    Connect,
    Volo,
    /// The callback API of C++ gRPC, as a server alone: a program of its own (`cpp/server.cc`).
    Cpp,
    /// Straight on the `h2` crate, with nothing around it: the load generator of servers, and a floor.
    H2,
}

/// The runtime that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// As `#[tokio::main]` gives it: one worker per core that the process may use.
    MultiThread,
    CurrentThread,
    /// Wireloom alone, as a server: runtimes of its own, one per core that the process may use.
    PerCore,
}

/// An implementation on a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    pub library: Library,
    pub flavor: Flavor,
}

impl Library {
    const ALL: [Self; 6] = [
        Self::Wireloom,
        Self::Tonic,
        Self::Connect,
        Self::Volo,
        Self::Cpp,
        Self::H2,
    ];
    /// Those that somebody would write a service with.
    pub const COMPETING: [Self; 4] = [Self::Wireloom, Self::Tonic, Self::Connect, Self::Volo];

    pub fn name(self) -> &'static str {
        match self {
            Self::Wireloom => "wireloom",
            Self::Tonic => "tonic",
            Self::Connect => "connect-rust",
            Self::Volo => "volo-grpc",
            Self::Cpp => "c++",
            Self::H2 => "h2",
        }
    }

    pub const fn on(self, flavor: Flavor) -> Contender {
        Contender {
            library: self,
            flavor,
        }
    }
}

impl Flavor {
    /// Those that everybody runs on.
    pub const ALL: [Self; 2] = [Self::MultiThread, Self::CurrentThread];

    fn name(self) -> &'static str {
        match self {
            Self::MultiThread => "multi",
            Self::CurrentThread => "current",
            Self::PerCore => "per-core",
        }
    }

    pub fn runtime(self) -> std::io::Result<Runtime> {
        match self {
            Self::MultiThread => Builder::new_multi_thread(),
            Self::CurrentThread | Self::PerCore => Builder::new_current_thread(),
        }
        .enable_all()
        .build()
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.library.name(), self.flavor.name())
    }
}

impl FromStr for Library {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Self::ALL.into_iter().find(|it| it.name() == text);
        named.ok_or_else(|| format!("{text:?} is no implementation, such as tonic").into())
    }
}

impl FromStr for Contender {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (library, flavor) = text.split_once('/').unwrap_or((text, ""));
        let mut flavors = Flavor::ALL.into_iter().chain([Flavor::PerCore]);
        let named = flavors.find(|it| it.name() == flavor);
        let flavor =
            named.ok_or_else(|| format!("{text:?} names no runtime, as tonic/current does"))?;
        Ok(library.parse::<Library>()?.on(flavor))
    }
}
