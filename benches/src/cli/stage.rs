//! The words of `stage`.

use super::Programs;
use crate::subject::{How, Template};
use clap::Args;

/// `waypoint-bench stage`. Runs until it is told to end.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The stage")]
pub(crate) struct StageArgs {
    /// Which proxy stands on it.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value = "waypoint",
        conflicts_with = "subject"
    )]
    pub(crate) proxy: How,
    /// Another command instead: `name=command`, as of `compare --subject`.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Template::parse)]
    pub(crate) subject: Option<Template>,
    /// Whose mesh it is: the name of a scenario of `compare`.
    #[arg(long, value_name = "NAME", default_value = "http1-1k")]
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) programs: Programs,
}
