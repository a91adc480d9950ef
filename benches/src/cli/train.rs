//! The words of `train`.

use super::Programs;
use clap::Args;

/// `waypoint-bench train`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainArgs {
    /// Scenarios, repeatable: those of `compare` that are of requests.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "http1-1k,http2-1k,grpc-64b,rate-1000,routes-1000,jwt-rs256,policy-50,tracing-100,body-64k-down,\
body-64k-up,handshake,tcp-1k,churn"
    )]
    pub(crate) scenario: Vec<String>,
    /// Seconds of each.
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    #[command(flatten)]
    pub(crate) programs: Programs,
}
