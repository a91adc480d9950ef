//! Where our identity comes from: files, or a SPIFFE agent.

use crate::cli::RunArgs;
use hbone::{CertError, CertSource, FileCerts, Identity, WorkloadApi};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where the certificates are when nothing says so: Istio's folder.
const FOLDER: &str = "/var/run/secrets/workload-spiffe-credentials";
/// Where Istio expects an agent's socket; `WORKLOAD_IDENTITY_SOCKET_FILE` is its name there.
const SOCKETS: &str = "/var/run/secrets/workload-spiffe-uds";
/// A start waits for an agent this long; then it is an error.
const FIRST: Duration = Duration::from_secs(60);

/// The source, and what keeps it fresh.
#[derive(Clone, Debug)]
pub(crate) enum OwnCerts {
    Files(Arc<FileCerts>),
    Agent(Arc<WorkloadApi>),
}

impl OwnCerts {
    /// Loads what the command line asks for: an agent by flag, a folder by flag, an agent by SPIFFE's variable, by
    /// Istio's, and else Istio's folder.
    pub(crate) fn load(args: &RunArgs) -> Result<Self, CertError> {
        if let Some(address) = agent(args) {
            return Self::ask(&address);
        }
        let folder = args.certs.as_deref().unwrap_or(Path::new(FOLDER));
        FileCerts::load(folder).map(Self::Files)
    }

    /// The process's runtimes come later: the first answer has one of its own.
    fn ask(address: &str) -> Result<Self, CertError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CertError {
            file: address.to_owned(),
            reason: error.to_string(),
        })?;
        runtime.block_on(WorkloadApi::connect(address, FIRST)).map(Self::Agent)
    }

    pub(crate) fn source(&self) -> Arc<dyn CertSource> {
        match self {
            Self::Files(files) => Arc::clone(files) as _,
            Self::Agent(agent) => Arc::clone(agent) as _,
        }
    }

    /// Follows the source for as long as it is polled.
    pub(crate) async fn watch(&self, taken: impl FnMut(&Identity) + Send) {
        match self {
            Self::Files(files) => Arc::clone(files).watch(taken).await,
            Self::Agent(agent) => Arc::clone(agent).watch(taken).await,
        }
    }
}

fn agent(args: &RunArgs) -> Option<String> {
    if args.workload_api.is_some() || args.certs.is_some() {
        return args.workload_api.clone();
    }
    let named = |name: &PathBuf| Path::new(SOCKETS).join(name).to_string_lossy().into_owned();
    args.spiffe_socket.clone().or(args.istio_socket.as_ref().map(named))
}

#[cfg(test)]
mod tests;
