//! What a watch tells whoever counts it.

/// Told on the watch's own thread: must not block.
pub trait ClusterEvents: Send + Sync {
    /// The objects of a kind were read whole, or one of them changed: what is known of it is fresh.
    fn synced(&self, kind: &'static str);
    /// A list or watch of a kind failed: `forbidden`, `unauthorized`, `not_found`, `gone`, `timeout`, `throttled`, `server`,
    /// `connection`, `other`.
    fn failed(&self, kind: &'static str, why: &'static str);
    /// So many watches there are, and so many of them fail at present.
    fn watches(&self, all: usize, failing: usize);
    /// So many objects are held.
    fn objects(&self, count: usize);
}
