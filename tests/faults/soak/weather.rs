//! The faults, one after the other, at random.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::proxy::{Link, Proxy};
use crate::server::Server;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Distance,
    SlowLink,
    BlackHole,
    Refusal,
    Cut,
    CutInMidStream,
    Reset,
    /// The connections are half-open, until keepalive finds out.
    Severance,
    HandOver,
    Death,
}

const FAULTS: [Fault; 10] = [
    Fault::Distance,
    Fault::SlowLink,
    Fault::BlackHole,
    Fault::Refusal,
    Fault::Cut,
    Fault::CutInMidStream,
    Fault::Reset,
    Fault::Severance,
    Fault::HandOver,
    Fault::Death,
];

pub struct Weather {
    server: Server,
    proxy: Proxy,
    /// Where the server is.
    address: watch::Sender<SocketAddr>,
    rng: Rng,
    faults: BTreeMap<Fault, usize>,
}

impl Weather {
    pub fn new(server: Server, proxy: Proxy, rng: Rng) -> Self {
        Self {
            address: watch::Sender::new(server.address),
            server,
            proxy,
            rng,
            faults: BTreeMap::new(),
        }
    }

    /// Where the server is, at any time.
    pub fn address(&self) -> watch::Receiver<SocketAddr> {
        self.address.subscribe()
    }

    /// Some fair weather, then a fault until it is over.
    pub async fn change(&mut self) {
        sleep(self.moment(500..3000)).await;
        let fault = FAULTS[self.rng.usize(..FAULTS.len())];
        *self.faults.entry(fault).or_default() += 1;
        let lasts = self.moment(100..1500);
        match fault {
            Fault::Distance => {
                let latency = self.moment(5..150);
                self.link(
                    lasts,
                    Link {
                        latency,
                        ..Link::default()
                    },
                )
                .await;
            }
            Fault::SlowLink => {
                let bytes_per_second = Some(self.rng.u32(20_000..500_000));
                self.link(
                    lasts,
                    Link {
                        bytes_per_second,
                        ..Link::default()
                    },
                )
                .await;
            }
            Fault::BlackHole => {
                let is_black_hole = true;
                self.link(
                    lasts,
                    Link {
                        is_black_hole,
                        ..Link::default()
                    },
                )
                .await;
            }
            Fault::Refusal => {
                self.proxy.refuse().await;
                self.proxy.cut();
                sleep(lasts).await;
                self.proxy.accept();
            }
            Fault::Cut => self.proxy.cut(),
            Fault::CutInMidStream => self.proxy.cut_after(self.rng.usize(1..100_000)),
            Fault::Reset => self.proxy.reset(),
            Fault::Severance => self.proxy.sever(),
            Fault::HandOver => {
                let old = self.replace_server().await;
                old.stop().await;
            }
            Fault::Death => drop(self.replace_server().await),
        }
    }

    /// Fair weather for good; prints which faults there were.
    pub fn end(self) -> (Server, Proxy) {
        println!("{:?}", self.faults);
        (self.server, self.proxy)
    }

    async fn link(&self, lasts: Duration, link: Link) {
        self.proxy.link(link);
        sleep(lasts).await;
        self.proxy.link(Link::default());
    }

    /// Starts another server; gives the one there was.
    async fn replace_server(&mut self) -> Server {
        let next = Server::start(crate::server()).await;
        self.proxy.lead_to(next.address);
        self.address.send_replace(next.address);
        std::mem::replace(&mut self.server, next)
    }

    fn moment(&mut self, milliseconds: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(milliseconds))
    }
}
