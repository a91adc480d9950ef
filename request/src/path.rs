//! The one normalised path that is routed, judged, logged and sent upstream.

/// Istio's `pathNormalization.normalization` (MeshConfig).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is changed.
    None,
    /// RFC 3986 dot segments and Istio's BASE rules. The default.
    #[default]
    Base,
    /// BASE, then runs of slashes become one.
    MergeSlashes,
    /// `%2F`, `%5C` and `\` become `/`, then MERGE_SLASHES.
    DecodeAndMergeSlashes,
}

/// A normalised path, without the query. Starts with `/`, or is `*` (OPTIONS).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(Box<str>);

/// Why a path is refused (400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad path: {0}")]
pub struct BadPath(pub &'static str);

impl Path {
    /// Normalises `raw` (no query, no fragment).
    pub fn normalise(_raw: &str, _mode: Mode) -> Result<Self, BadPath> {
        todo!()
    }
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
