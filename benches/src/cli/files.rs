//! Where a report is written.

use clap::Args;
use std::path::PathBuf;

/// All forms of it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The report")]
pub(crate) struct FilesArgs {
    /// Write all figures here; `waypoint-bench report` makes the rest of it again.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
}

/// Those for people.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The report")]
pub(crate) struct PagesArgs {
    /// Write the tables here, with machine, command and date.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a page with tables and plots here.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}
