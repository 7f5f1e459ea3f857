//! The processes that do the work. Each reads a command per line from its input, and answers with a line of JSON.

use std::{
    any::Any,
    collections::HashMap,
    io::{BufRead as _, Write as _, stdin, stdout},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Error,
    client::{self, Client},
    contender::{Contender, Library},
    load::{Load, Round},
    message::Message,
    server,
    usage::Usage,
};

/// What a client's process is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum ClientCommand {
    Run {
        load: Load,
        duration: Duration,
    },
    /// Makes so many connections more, one call on each.
    Connect {
        count: usize,
    },
    /// Opens so many streams more, spread over all connections.
    Open {
        count: usize,
    },
}

/// What a client's process answers with.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientAnswer {
    pub before: Usage,
    pub after: Usage,
    /// Of `Run` alone.
    pub round: Option<Round>,
}

/// Any line asks a server's process for its [`Usage`].
pub fn run_server(contender: Contender) -> Result<(), Error> {
    let runtime = contender.flavor.runtime()?;
    let listener = {
        let _entered = runtime.enter();
        server::listen()?
    };
    say(&listener.local_addr()?)?;
    std::thread::spawn(|| {
        let ended = answer_all(|_: ()| Usage::now());
        std::process::exit(i32::from(ended.is_err()));
    });
    runtime.block_on(server::serve(contender, listener))
}

pub fn run_client(contender: Contender, address: SocketAddr) -> Result<(), Error> {
    match contender.library {
        Library::Wireloom => run::<client::wireloom::Wireloom>(contender, address),
        Library::Tonic => run::<client::tonic::Tonic>(contender, address),
        Library::Connect => run::<client::connect::Connect>(contender, address),
        Library::Volo => run::<client::volo::Volo>(contender, address),
        Library::H2 => run::<client::h2::H2>(contender, address),
        Library::Cpp => Err("C++ is measured as a server alone".into()),
    }
}

fn run<C: Client>(contender: Contender, address: SocketAddr) -> Result<(), Error> {
    let runtime = contender.flavor.runtime()?;
    let (mut clients, mut open) = (Vec::new(), Vec::<Box<dyn Any + Send>>::new());
    let mut pools = HashMap::<usize, Vec<C>>::new();
    answer_all(|command| {
        runtime.block_on(async {
            if let ClientCommand::Run { load, .. } = &command {
                let connections = load.connections;
                if load.pooled && !pools.contains_key(&connections) {
                    pools.insert(connections, C::pool(address, connections).await?);
                }
                while !load.pooled && clients.len() < connections {
                    clients.push(C::connect(address).await?);
                }
            }
            let before = Usage::now()?;
            let mut done = None;
            match command {
                ClientCommand::Run { load, duration } => {
                    let clients = match load.pooled {
                        true => &pools[&load.connections],
                        false => &clients[..load.connections],
                    };
                    done = Some(load.run(clients, duration).await?);
                }
                ClientCommand::Connect { count } => {
                    let request = C::request(Message::Hello, 0)?;
                    for _ in 0..count {
                        let client = C::connect(address).await?;
                        client.unary(request.clone()).await?;
                        clients.push(client);
                    }
                }
                ClientCommand::Open { count } => {
                    let request = C::request(Message::Hello, 0)?;
                    for client in clients.iter().cycle().take(count) {
                        open.push(Box::new(client.open(request.clone()).await?));
                    }
                }
            }
            Ok(ClientAnswer {
                before,
                after: Usage::now()?,
                round: done,
            })
        })
    })
}

/// Answers every command, until there is no more input.
fn answer_all<C: DeserializeOwned, A: Serialize>(
    mut answer: impl FnMut(C) -> Result<A, Error>,
) -> Result<(), Error> {
    for line in stdin().lock().lines() {
        say(&answer(serde_json::from_str(&line?)?)?)?;
    }
    Ok(())
}

fn say(answer: &impl Serialize) -> Result<(), Error> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
