//! `connectionPool`.

use super::{count, duration};
use crate::decode::{Fields, quoted};
use routing::{Keepalive, Limits};

/// A connection pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConnectionPool {
    /// How much at once, how long.
    pub(crate) limits: Limits,
    /// Which version of HTTP the endpoints are spoken to in.
    pub(crate) upstream: Upstream,
}

/// `h2UpgradePolicy` and `useClientProtocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// As the port declares.
    #[default]
    Declared,
    /// HTTP/2.
    Http2,
    /// The client's.
    Client,
}

/// Reads `connectionPool` of these fields.
pub(super) fn read(fields: &Fields<'_>) -> Option<ConnectionPool> {
    fields.record("connectionPool", |fields| {
        let mut pool = ConnectionPool::default();
        fields.record("tcp", |fields| tcp(fields, &mut pool.limits));
        fields.record("http", |fields| http(fields, &mut pool));
        pool
    })
}

fn tcp(fields: &Fields<'_>, limits: &mut Limits) {
    limits.connections = limit(fields, "maxConnections");
    limits.connect_timeout = duration(fields, "connectTimeout").filter(|time| !time.is_zero());
    if fields.get("idleTimeout").is_some() {
        let message = "`tcp.idleTimeout` is not supported: a TCP connection lasts until one of its sides ends it, or \
                       `maxConnectionDuration` does";
        fields.error("idleTimeout", message);
    }
    limits.connection_age = duration(fields, "maxConnectionDuration").filter(|time| !time.is_zero());
    limits.keepalive = fields.record("tcpKeepalive", |fields| Keepalive {
        probes: limit(fields, "probes"),
        time: duration(fields, "time").filter(|time| !time.is_zero()),
        interval: duration(fields, "interval").filter(|time| !time.is_zero()),
    });
}

fn http(fields: &Fields<'_>, pool: &mut ConnectionPool) {
    let limits = &mut pool.limits;
    limits.pending = limit(fields, "http1MaxPendingRequests");
    limits.requests = limit(fields, "http2MaxRequests");
    limits.retries = limit(fields, "maxRetries");
    limits.requests_per_connection = limit(fields, "maxRequestsPerConnection");
    limits.streams_per_connection = limit(fields, "maxConcurrentStreams");
    limits.http_idle = duration(fields, "idleTimeout").filter(|time| !time.is_zero());
    let is_upgrade = match fields.text("h2UpgradePolicy") {
        None | Some("DEFAULT" | "DO_NOT_UPGRADE") => false,
        Some("UPGRADE") => true,
        Some(other) => {
            let known = "DEFAULT, DO_NOT_UPGRADE or UPGRADE";
            fields.error("h2UpgradePolicy", format!("expected {known}, found {}", quoted(other)));
            false
        }
    };
    pool.upstream = match fields.boolean("useClientProtocol") {
        Some(true) => Upstream::Client,
        _ if is_upgrade => Upstream::Http2,
        _ => Upstream::Declared,
    };
}

/// A limit; 0 is none, in Istio's API.
fn limit(fields: &Fields<'_>, name: &'static str) -> Option<u32> {
    count(fields, name).filter(|number| *number > 0)
}
