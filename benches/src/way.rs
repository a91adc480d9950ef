//! The way to somebody's own waypoint, by the command line.

use crate::cli::WayArgs;
use crate::fault::{During, Fault};
use crate::identity;
use crate::neighbour::Source;
use hbone::Destination;
use request::SpiffeId;
use std::net::{SocketAddr, ToSocketAddrs};

/// Tunnels to the waypoint, or connections in clear where none is named.
pub(crate) fn source(args: &WayArgs) -> Result<Source, Fault> {
    let (Some(waypoint), Some(identity)) = (&args.waypoint, &args.waypoint_identity) else {
        return Ok(Source::Plain(args.service.as_str().into()));
    };
    let certs = identity::load(&args.identity)?;
    let certs = certs.during("--waypoint needs --certs or --ca-address: who we are to it")?;
    let identity = SpiffeId::parse(identity).map_err(|error| format!("{identity}: {error}"));
    let proxy = Destination {
        address: resolve(waypoint)?,
        identity: identity.during("--waypoint-identity")?,
    };
    // Tunnels ask for the Service's address, not for its name.
    Ok(Source::tunnels(certs, proxy, &resolve(&args.service)?.to_string()))
}

/// More streams than a tunnel connection takes.
pub(crate) fn check_streams(args: &WayArgs, connections: u64, streams: u64) -> Result<(), Fault> {
    let each = streams.div_ceil(connections.max(1));
    if args.waypoint.is_none() || each <= 100 {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{each} streams a connection: at most 100, use --connections {} or more",
        streams.div_ceil(100)
    )))
}

/// `by WAYPOINT, 4 x 50 streams`, for people.
pub(crate) fn told(args: &WayArgs, connections: u64, streams: u64) -> String {
    match &args.waypoint {
        None => format!("in clear, {streams} connections"),
        Some(waypoint) => format!(
            "by {waypoint}, {connections} x {} streams",
            streams.div_ceil(connections.max(1))
        ),
    }
}

fn resolve(name: &str) -> Result<SocketAddr, Fault> {
    let mut found = name
        .to_socket_addrs()
        .during(format_args!("{name}: expected HOST:PORT"))?;
    found.next().during(format_args!("{name} has no address"))
}
