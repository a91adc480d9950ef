//! What goes wrong, as long as a test wants it.

use std::collections::BTreeSet;
use std::time::Duration;

/// The faults. None at first.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every request is answered with this status.
    pub status: Option<u16>,
    /// Every answer takes so long.
    pub slow: Option<Duration>,
    /// Kinds (plural) that may not be read: 403.
    pub denied: BTreeSet<String>,
    /// Continue tokens are expired: 410 for every page but the first.
    pub expired_pages: bool,
    /// So many writes of these kinds (`kind`), one after the other, are refused with 409.
    pub conflicts: Vec<String>,
    /// Requests for a watch are answered with status 410, not with an ERROR event.
    pub gone_by_status: bool,
}
