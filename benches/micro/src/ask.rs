//! One request, owned, to be asked about again and again.

use http::{HeaderMap, Method};
use request::{Connection, Head, Mode, Request, SpiffeId};
use std::net::{IpAddr, Ipv4Addr};

/// A request with the connection it came by.
#[derive(Debug)]
pub struct Asked {
    method: Method,
    head: Head,
    headers: HeaderMap,
    connection: Connection,
}

impl Asked {
    /// `GET target` with these headers.
    ///
    /// # Panics
    /// When it is no request.
    #[allow(clippy::panic)] // a bench that asks for nonsense is a mistake in the bench
    pub fn get(target: &str, headers: &[(&str, &str)]) -> Self {
        let mut builder = http::Request::get(target).header("host", "svc-0.demo");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let parts = match builder.body(()) {
            Ok(request) => request.into_parts().0,
            Err(error) => panic!("{target}: {error}"),
        };
        let head = match Head::parse(&parts, Mode::Base) {
            Ok(head) => head,
            Err(bad) => panic!("{target}: {bad:?}"),
        };
        Self {
            method: parts.method,
            head,
            headers: parts.headers,
            connection: Connection {
                identity: None,
                source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                destination_ip: None,
                destination_port: 80,
                sni: None,
            },
        }
    }

    /// The same from somebody: a SPIFFE id.
    ///
    /// # Panics
    /// When it is none.
    #[allow(clippy::panic)]
    pub fn from(mut self, identity: &str) -> Self {
        match SpiffeId::parse(identity) {
            Ok(identity) => self.connection.identity = Some(identity),
            Err(bad) => panic!("{identity}: {bad}"),
        }
        self
    }

    /// As the routing table takes it.
    pub fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            head: &self.head,
            headers: &self.headers,
            connection: &self.connection,
            remote_ip: self.connection.source_ip,
        }
    }
}
