//! Everything that runs: the waypoint as a process, its neighbours in this one.

use super::ca::Ca;
use super::client::LocalPort;
use super::collector::Collector;
use super::destination::{Destination, PODS};
use super::error::{DemoError, doing};
use super::ids;
use super::manifests::ConfigFolder;
use super::waypoint_process::WaypointProcess;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// The mesh. Dropping it ends everything at once; [`DemoMesh::stop`] lets the waypoint drain.
pub(super) struct DemoMesh {
    pub(super) waypoint: WaypointProcess,
    pub(super) port: LocalPort,
    pub(super) collector: Collector,
    pub(super) config: ConfigFolder,
    _pods: Vec<Destination>,
    /// Last, so that it is removed when nobody uses it any more.
    _folder: TempDir,
}

impl DemoMesh {
    /// Starts it in the order its parts need each other. `listen`: the local port.
    pub(super) async fn start(listen: SocketAddr) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("waypoint-demo-").tempdir();
        let folder = folder.map_err(doing("create a temporary folder"))?;
        let ca = Ca::new()?;
        let config = ConfigFolder::write(folder.path().join("config"))?;
        let mut pods = Vec::new();
        for pod in PODS {
            let certs = ca.issue(&ids::spiffe(ids::SERVICE)?)?.source()?;
            pods.push(Destination::start(pod, certs, ids::spiffe(ids::WAYPOINT)?).await?);
        }
        let collector = Collector::start()?;
        let certs = folder.path().join("certs");
        ca.issue(&ids::spiffe(ids::WAYPOINT)?)?.write(&certs)?;
        let waypoint = WaypointProcess::start(folder.path(), config.path(), &certs, collector.address).await?;
        let client = ca.issue(&ids::spiffe(ids::CLIENT)?)?.source()?;
        let port = LocalPort::open(listen, waypoint.hbone, client).await?;
        Ok(Self {
            waypoint,
            port,
            collector,
            config,
            _pods: pods,
            _folder: folder,
        })
    }

    /// Ends the waypoint in order, then the rest. Gives how long the waypoint took to leave.
    pub(super) async fn stop(self) -> Result<Duration, DemoError> {
        self.waypoint.stop().await
    }
}
