//! The manifests of `config-examples/canary`, built in, and the folder they are written to for the waypoint to watch.

use super::error::{DemoError, doing};
use std::fs;
use std::path::{Path, PathBuf};

const MESH: (&str, &str) = (
    "00-mesh.yaml",
    include_str!("../../../config-examples/canary/00-mesh.yaml"),
);
const ROUTE: (&str, &str) = (
    ROUTE_FILE,
    include_str!("../../../config-examples/canary/10-route.yaml"),
);
const DENY: (&str, &str) = (
    "20-deny.yaml",
    include_str!("../../../config-examples/canary/20-deny.yaml"),
);
const JWT: (&str, &str) = (
    "30-jwt.yaml",
    include_str!("../../../config-examples/canary/30-jwt.yaml"),
);

/// The file that the demo changes.
pub(super) const ROUTE_FILE: &str = "10-route.yaml";

/// A token that the issuer in `30-jwt.yaml` signed.
pub(super) const TOKEN: &str = include_str!("../../../config-examples/jwt/demo.jwt");

/// Share of v2 in per cent as `10-route.yaml` has it.
pub(super) const FIRST_SHARE: u32 = 10;

/// A folder of manifests.
pub(super) struct ConfigFolder {
    path: PathBuf,
}

impl ConfigFolder {
    /// Makes the folder and writes the manifests into it.
    pub(super) fn write(path: PathBuf) -> Result<Self, DemoError> {
        fs::create_dir(&path).map_err(doing(format!("create {}", path.display())))?;
        let folder = Self { path };
        for (name, text) in [MESH, ROUTE, DENY, JWT] {
            folder.put(name, text)?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The route's file.
    pub(super) fn route(&self) -> PathBuf {
        self.path.join(ROUTE.0)
    }

    /// Gives v2 `share` per cent and v1 the rest.
    pub(super) fn shift(&self, share: u32) -> Result<(), DemoError> {
        self.put(ROUTE.0, &route(share)?)
    }

    /// Replaces a file by rename, so that a reader sees the old text or the new one and nothing between.
    fn put(&self, name: &str, text: &str) -> Result<(), DemoError> {
        let (new, path) = (self.path.join(format!(".{name}.new")), self.path.join(name));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(doing(format!("write {}", path.display())))
    }
}

/// The route with other weights.
fn route(share: u32) -> Result<String, DemoError> {
    let (v1, v2) = (
        format!("weight: {}", 100 - FIRST_SHARE),
        format!("weight: {FIRST_SHARE}"),
    );
    let text = ROUTE.1;
    if text.matches(&v1).count() != 1 || text.lines().filter(|line| line.trim() == v2).count() != 1 {
        return Err(DemoError::Manifests(format!(
            "expected one {v1:?} and one {v2:?} in {}",
            ROUTE.0
        )));
    }
    let (share, rest) = (share.min(100), 100_u32.saturating_sub(share));
    let lines = text.lines().map(|line| match line.trim() {
        weight if weight == v1 => line.replace(&v1, &format!("weight: {rest}")),
        weight if weight == v2 => line.replace(&v2, &format!("weight: {share}")),
        _ => line.to_owned(),
    });
    Ok(lines.map(|line| line + "\n").collect())
}

#[cfg(test)]
mod tests;
