//! A name server on loopback: A records that tests set, and failures on demand. Plain UDP, written by hand.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running one. It stops when dropped.
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    serve: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    records: HashMap<String, Vec<Ipv4Addr>>,
    fails: bool,
    asked: HashMap<String, u64>,
}

/// Answers are good for this long.
const TTL_SECONDS: u32 = 1;
const TYPE_A: u16 = 1;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

impl DnsServer {
    /// Listens on any free port of 127.0.0.1, knowing nothing.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let known = shared.clone();
        let serve = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
                let answer = known.lock().unwrap().answer(&buffer[..n]);
                if let Some(answer) = answer {
                    socket.send_to(&answer, from).await.ok();
                }
            }
        });
        Self { address, shared, serve }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, this name is there.
    pub fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        let mut shared = self.shared.lock().unwrap();
        shared.records.insert(name.to_owned(), addresses.to_vec());
    }

    /// From now on, every query is answered with SERVFAIL, or not any more.
    pub fn fail(&self, fails: bool) {
        self.shared.lock().unwrap().fails = fails;
    }

    /// Queries for a name so far, of any type.
    pub fn asked(&self, name: &str) -> u64 {
        self.shared.lock().unwrap().asked.get(name).copied().unwrap_or_default()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serve.abort();
    }
}

impl Shared {
    /// RFC 1035 section 4: the header, the question as it came, and the records.
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name(query)?;
        let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
        *self.asked.entry(name.clone()).or_default() += 1;
        let known = self.records.get(&name).filter(|_| !self.fails);
        let code = match known {
            _ if self.fails => SERVFAIL,
            None => NXDOMAIN,
            Some(_) => 0,
        };
        let addresses = known.filter(|_| kind == TYPE_A).cloned().unwrap_or_default();
        let mut out = query.get(..2)?.to_vec();
        out.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
        out.extend(query.get(12..end + 4)?);
        for ip in addresses {
            // The name of the question, A, IN.
            out.extend([0xc0, 12, 0, 1, 0, 1]);
            out.extend(TTL_SECONDS.to_be_bytes());
            out.extend([0, 4]);
            out.extend(ip.octets());
        }
        Some(out)
    }
}

/// The name of the question, lower case, and where it ends.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = std::str::from_utf8(query.get(at..at + length)?).ok()?;
        labels.push(label.to_ascii_lowercase());
        at += length;
    }
}
