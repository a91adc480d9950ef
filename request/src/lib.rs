//! What a request *is*, decided once.
//!
//! Every later step (routing, policy, telemetry, the upstream request) works on the types of this crate,
//! so that all of them see the same path, the same authority and the same peer. Hostile bytes become a
//! refusing type here and nowhere else.
//!
//! It is not: a parser of HTTP messages (the proxy loop reads those), nor a place for policy.
//! It knows no sockets, no runtime, no YAML.
//!
//! Start reading at [`Request`], then [`Head::parse`], which is the only way to make one.

mod authority;
mod connection;
mod head;
mod path;
mod request;
mod service_name;
mod shown;
mod spiffe;
mod workload;

pub use authority::{Authority, BadAuthority};
pub use connection::Connection;
pub use head::{BadRequest, Head};
pub use path::{BadPath, Mode, Path};
pub use request::Request;
pub use service_name::ServiceName;
pub use shown::{is_secret, shown, shown_header};
pub use spiffe::{BadSpiffeId, SpiffeId};
pub use workload::Workload;
