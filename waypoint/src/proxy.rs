//! The proxy loop: from a tunnel that came in to the last byte of its last answer.
//!
//! Start reading at [`tunnel::on_connect`]; one request is [`exchange`], top to bottom; every refusal is in [`reason`].

mod affinity;
mod changes;
mod client;
mod client_hello;
mod clock;
mod collectors;
mod connect;
mod consult;
mod early;
mod exchange;
mod explain;
mod ext_authz;
mod extended_connect;
mod fault;
mod filters;
mod forward;
mod gate;
mod grpc;
mod h2_bytes;
mod h2_half;
mod headers;
mod http1_session;
mod http2_session;
mod mirror;
mod node;
mod origination;
mod outbound;
mod pump;
mod quiet;
mod reason;
mod record;
mod rehearsal;
mod rejudge;
mod respond;
mod session;
mod shares;
mod sniff;
mod tcp;
mod transport;
mod tunnel;
mod upgrade;
mod upstream;
mod witness;

pub(crate) use changes::Changes;
pub(crate) use clock::Clock;
pub(crate) use collectors::Collectors;
pub(crate) use connect::Connector;
pub(crate) use explain::{World, explain};
pub(crate) use node::{Node, OwnIdentity};
pub(crate) use reason::Reason;
pub(crate) use record::route_name;
pub(crate) use session::Sealer;
pub(crate) use shares::Shares;
pub(crate) use tunnel::on_connect;
