//! What one request is.

use crate::load::Protocol;
use clap::Args;
use std::path::PathBuf;

/// Protocol, head and body.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The request")]
pub(crate) struct AskArgs {
    /// What is spoken inside.
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "http1")]
    pub(crate) protocol: Protocol,
    /// GET without a body, POST with one, unless said otherwise.
    #[arg(long)]
    pub(crate) method: Option<http::Method>,
    /// Path and query; of grpc, `/package.Service/Method`.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Host or :authority, instead of the Service's.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// One more header, repeatable: `name: value`.
    #[arg(long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// A file with a token, sent as `authorization: Bearer ..`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Bytes of each request's body; of tcp, of each message.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) body_bytes: u64,
    /// The status of a good answer, and the only one: 403, to load a policy that refuses. Else 2xx and 3xx.
    #[arg(long, value_name = "STATUS")]
    pub(crate) expect: Option<http::StatusCode>,
    /// Bytes that each answer's body must have; else whatever comes is good.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) answer_bytes: Option<u64>,
}
