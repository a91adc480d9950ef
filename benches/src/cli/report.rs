//! The words of `report`.

use super::PagesArgs;
use clap::Args;
use std::path::PathBuf;

/// `waypoint-bench report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// What `compare --json` or `load --json` wrote.
    pub(crate) results: PathBuf,
    #[command(flatten)]
    pub(crate) pages: PagesArgs,
    /// Write the chart of shares here, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}
