//! The tour: what the mesh does, step by step, each step measured or looked up and none of it taken for granted.

mod canary;
mod refusals;
mod scene;
mod trace;
mod tree;
mod try_it;

use super::checks::Checks;
use super::cost::Cost;
use super::demo_mesh::DemoMesh;
use super::error::DemoError;
use super::print::{say, step};
use std::time::Duration;

pub(super) use try_it::try_it;

/// Shows everything. `seconds`: the traffic of each step of the canary.
pub(super) async fn tour(mesh: &DemoMesh, seconds: Duration, checks: &mut Checks) -> Result<(), DemoError> {
    scene::show(mesh);
    let mut cost = Cost::of(mesh.waypoint.pid);
    canary::show(mesh, seconds, &mut cost, checks).await?;
    refusals::show(mesh, checks).await?;
    trace::show(mesh, checks).await?;
    step(5, "What it cost");
    say(format!("   {}", cost.told()));
    Ok(())
}
