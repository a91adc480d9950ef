//! Certificates by a CA that speaks `istio.v1.auth.IstioCertificateService`: istiod, istio-csr.
//!
//! The key is made here for each certificate and stays in memory.

use super::rotation::{Authority, Rotation};
use super::{CertSource, Identity};
use crate::control_plane::{ControlPlane, ControlPlaneConfig};
use crate::error::CertError;
use request::SpiffeId;
use std::sync::Arc;
use tokio::sync::watch;

mod answer;
mod signing_request;

use signing_request::Request;

/// The one method.
const METHOD: &str = "istio.v1.auth.IstioCertificateService/CreateCertificate";

/// Whom to ask, and for what.
#[derive(Clone, Debug)]
pub struct IstiodConfig {
    /// The CA.
    pub ca: ControlPlaneConfig,
    /// Who we are.
    pub id: SpiffeId,
}

/// Our identity by such a CA.
#[derive(Debug)]
pub struct Istiod(Rotation<Ca>);

impl Istiod {
    /// Asks until there is a certificate that can be used, however long that takes: what is missing is in the log.
    ///
    /// # Errors
    /// The address or the cluster's name cannot be used at all.
    pub async fn connect(config: IstiodConfig) -> Result<Arc<Self>, CertError> {
        let ca = Ca {
            plane: ControlPlane::new(config.ca)?,
            id: config.id,
        };
        Ok(Arc::new(Self(Rotation::start(ca).await)))
    }

    /// Asks for the next certificate in time, for as long as it is polled. `taken` hears of every new one.
    pub async fn watch(self: Arc<Self>, taken: impl FnMut(&Identity) + Send) {
        self.0.watch(taken).await;
    }
}

impl CertSource for Istiod {
    fn current(&self) -> Arc<Identity> {
        self.0.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }
}

/// The CA, as far as we know it.
#[derive(Debug)]
struct Ca {
    plane: ControlPlane,
    id: SpiffeId,
}

impl Authority for Ca {
    async fn sign(&self) -> Result<Identity, CertError> {
        let access = self.plane.access().await?;
        let request = Request::new(&self.id).map_err(|why| self.plane.fault(why))?;
        let answer = self.plane.ask(&access, METHOD, &request.message).await;
        let answer = answer.map_err(|fault| self.plane.fault(fault))?;
        answer::identity(&answer, request.key, &self.id)
            .map_err(|why| self.plane.fault(format!("the CA's answer: {why}")))
    }
}
