//! The words of `instructions`.

use clap::Args;
use std::path::PathBuf;

/// `waypoint-bench instructions`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InstructionsArgs {
    /// Scenarios, repeatable.
    #[arg(long, value_name = "NAME", default_value = "http1-1k", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,
    /// Requests that are counted.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) requests: u64,
    /// The waypoint's binary; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) waypoint: Option<PathBuf>,
}
