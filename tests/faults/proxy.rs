//! A proxy on this machine that does to connections what networks and middleboxes do, when the test says so.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// The largest piece that is forwarded at once.
const PIECE: usize = 16 << 10;

/// Forwards connections to a server; gone when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    /// Holds the port while nobody listens on it.
    _port: TcpSocket,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    link: watch::Sender<Link>,
    /// The connections there have been.
    lines: Mutex<Vec<Arc<Line>>>,
    counts: watch::Sender<Counts>,
}

/// How bytes travel, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// How long each takes.
    pub latency: Duration,
    /// How many pass in a second; `None` for any number.
    pub bytes_per_second: Option<u32>,
    /// Nothing arrives, not even that a connection was closed; what was sent meanwhile arrives once this is over.
    pub is_black_hole: bool,
}

/// How many connections there have been, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub accepted: usize,
    pub open: usize,
}

/// One connection.
struct Line {
    fate: watch::Sender<Fate>,
    /// How many bytes the client still gets.
    left: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Forwarded,
    Cut,
    Reset,
    Severed,
}

impl Proxy {
    /// A proxy for the server at `upstream`.
    pub async fn to(upstream: SocketAddr) -> Self {
        let port = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let mut proxy = Self {
            address: port.local_addr().unwrap(),
            shared: Arc::new(Shared {
                upstream: Mutex::new(upstream),
                link: watch::Sender::default(),
                lines: Mutex::default(),
                counts: watch::Sender::default(),
            }),
            accepting: None,
            _port: port,
        };
        proxy.accept();
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn target(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where connections that are made from now on lead.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = upstream;
    }

    /// How bytes travel from now on.
    pub fn link(&self, link: Link) {
        self.shared.link.send_replace(link);
    }

    /// Lets nothing through, in connections there are and in those to come.
    pub fn black_hole(&self) {
        self.link(Link {
            is_black_hole: true,
            ..Link::default()
        });
    }

    /// Refuses connections from now on; those there are go on.
    pub async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
    }

    /// Accepts connections from now on.
    pub fn accept(&mut self) {
        let listener = socket(self.address).listen(1024).unwrap();
        let accepting = Arc::clone(&self.shared).accept(listener);
        self.accepting = Some(tokio::spawn(accepting));
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.end_all(Fate::Cut);
    }

    /// Closes all connections once the client of each has got `bytes` more.
    pub fn cut_after(&self, bytes: usize) {
        for line in &*self.shared.lines.lock().unwrap() {
            line.left.store(bytes, Ordering::Relaxed);
        }
    }

    /// Resets all connections: both ends are told that they failed (RST).
    pub fn reset(&self) {
        self.end_all(Fate::Reset);
    }

    /// Closes the server's end of all connections, without a word to the client: they are half-open.
    pub fn sever(&self) {
        self.end_all(Fate::Severed);
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until `true_of` the connections.
    pub async fn until(&self, true_of: impl FnMut(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        let found = tokio::time::timeout(crate::PATIENCE, counts.wait_for(true_of)).await;
        let now = self.counts();
        found
            .unwrap_or_else(|_| panic!("connections: {now:?}"))
            .unwrap();
    }

    fn end_all(&self, fate: Fate) {
        for line in self.shared.lines.lock().unwrap().drain(..) {
            line.fate.send_replace(fate);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.cut();
    }
}

/// A socket on a port that others may be bound to, too, of which only those that listen get connections.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let line = Arc::new(Line {
                fate: watch::Sender::new(Fate::Forwarded),
                left: AtomicUsize::new(usize::MAX),
            });
            self.lines.lock().unwrap().push(Arc::clone(&line));
            self.counts.send_modify(|counts| {
                counts.accepted += 1;
                counts.open += 1;
            });
            let shared = Arc::clone(&self);
            tokio::spawn(async move {
                let _ = shared.carry(client, &line).await;
                let mut lines = shared.lines.lock().unwrap();
                lines.retain(|other| !Arc::ptr_eq(other, &line));
                drop(lines);
                shared.counts.send_modify(|counts| counts.open -= 1);
            });
        }
    }

    async fn carry(&self, mut client: TcpStream, line: &Line) -> io::Result<()> {
        let upstream = *self.upstream.lock().unwrap();
        let mut server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let mut told = line.fate.subscribe();
        let fate = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let (up, down) = (
                pump(from_client, to_server, self.link.subscribe(), None),
                pump(from_server, to_client, self.link.subscribe(), Some(line)),
            );
            let forwarded = async { tokio::try_join!(up, down) };
            tokio::select! {
                ended = forwarded => match ended {
                    Ok(_) => Fate::Cut,
                    Err(_) => Fate::Reset,
                },
                fate = told.wait_for(|fate| *fate != Fate::Forwarded) => *fate.unwrap(),
            }
        };
        match fate {
            Fate::Forwarded | Fate::Cut => {}
            Fate::Reset => {
                client.set_zero_linger()?;
                server.set_zero_linger()?;
            }
            Fate::Severed => {
                drop(server);
                let mut lost = vec![0; PIECE];
                while client.read(&mut lost).await? > 0 {}
            }
        }
        Ok(())
    }
}

/// Carries bytes one way, to the end; `line` is that of the way to the client.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    link: watch::Receiver<Link>,
    line: Option<&Line>,
) -> io::Result<()> {
    let (travelling, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let mut link_there = link.clone();
    let read = async move {
        let mut link = link;
        let mut buffer = vec![0; PIECE];
        loop {
            passable(&mut link).await;
            let len = from.read(&mut buffer).await?;
            let due = Instant::now() + link.borrow().latency;
            let piece = buffer[..len].to_vec();
            if len == 0 || travelling.send((due, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = arriving.recv().await {
            // Timers count whole milliseconds.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            write(&mut to, &piece, &mut link_there, line).await?;
        }
        passable(&mut link_there).await;
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_: ((), ())| ())
}

async fn write(
    to: &mut WriteHalf<'_>,
    piece: &[u8],
    link: &mut watch::Receiver<Link>,
    line: Option<&Line>,
) -> io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        let rate = passable(link).await.bytes_per_second;
        // In steps of ten milliseconds.
        let step = rate.map_or(rest.len(), |rate| {
            (rate as usize / 100).clamp(1, rest.len())
        });
        let left = line.map_or(usize::MAX, |line| line.left.load(Ordering::Relaxed));
        let (now, later) = rest.split_at(step.min(left));
        to.write_all(now).await?;
        rest = later;
        if let Some(line) = line.filter(|_| left < usize::MAX) {
            line.left.store(left - now.len(), Ordering::Relaxed);
            if left == now.len() {
                line.fate.send_replace(Fate::Cut);
                pending::<()>().await;
            }
        }
        if let Some(rate) = rate {
            sleep(Duration::from_secs(1) * now.len() as u32 / rate).await;
        }
    }
    Ok(())
}

/// Waits while the link is a black hole.
async fn passable(link: &mut watch::Receiver<Link>) -> Link {
    let now = link.wait_for(|link| !link.is_black_hole).await;
    // Without the proxy its connections go, too.
    now.map_or_else(|_| Link::default(), |link| *link)
}
