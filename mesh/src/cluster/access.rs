//! Who we are to the API server, and how it is reached: a pod's own account, or a kubeconfig.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection on which nothing was read for so long is dead: a watch says something at least every [`super::stream::WATCH`].
const SILENCE: Duration = Duration::from_secs(150);
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Why there is no way to the API server.
#[derive(Debug)]
pub struct ClusterError(String);

impl std::fmt::Display for ClusterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClusterError {}

/// Clients, made anew when their credentials are refused: a projected token is replaced long before it expires, and kube
/// would look at the file again only a minute later.
pub(super) struct Access {
    kubeconfigs: Vec<PathBuf>,
    current: Mutex<Option<(u64, Client)>>,
}

impl Access {
    /// By these kubeconfigs, merged as kubectl does; none: by the pod's service account.
    pub(super) fn new(kubeconfigs: Vec<PathBuf>) -> Self {
        Self {
            kubeconfigs,
            current: Mutex::new(None),
        }
    }

    /// How the API server is reached, as it is now.
    pub(super) async fn config(&self) -> Result<Config, ClusterError> {
        let mut config = if self.kubeconfigs.is_empty() {
            Config::incluster().map_err(|error| {
                let hint = "not in a cluster? Then --kubeconfig FILE says where it is";
                ClusterError(format!("{error} ({hint})"))
            })?
        } else {
            let mut merged = Kubeconfig::default();
            for path in &self.kubeconfigs {
                let read = Kubeconfig::read_from(path).and_then(|next| merged.clone().merge(next));
                merged = read.map_err(|error| ClusterError(format!("kubeconfig {}: {error}", path.display())))?;
            }
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(merged, &options).await;
            config.map_err(|error| ClusterError(format!("kubeconfig: {error}")))?
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        // Every watch has its own back-off, and counts what fails.
        config.default_retry = false;
        Ok(config)
    }

    /// A client, and its number for [`Access::refused`].
    pub(super) async fn client(&self) -> Result<(u64, Client), ClusterError> {
        if let Some(current) = &*self.current() {
            return Ok(current.clone());
        }
        let client = Client::try_from(self.config().await?);
        let client = client.map_err(|error| ClusterError(error.to_string()))?;
        let mut current = self.current();
        let made = current.get_or_insert((1, client));
        Ok(made.clone())
    }

    /// The credentials of this client were refused: they are read again.
    pub(super) async fn refused(&self, number: u64) {
        let Ok(config) = self.config().await else { return };
        let Ok(client) = Client::try_from(config) else { return };
        let mut current = self.current();
        if let Some((known, kept)) = &mut *current
            && *known == number
        {
            (*known, *kept) = (number.wrapping_add(1), client);
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<(u64, Client)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared by all watches.
pub(super) type SharedAccess = Arc<Access>;
