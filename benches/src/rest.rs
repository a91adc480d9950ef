//! A figure that has come to rest: memory, which a proxy takes and gives back a little after it was asked for something.

use crate::fault::Fault;
use std::time::{Duration, Instant};

/// What has not changed for this long is at rest.
const REST: Duration = Duration::from_millis(300);
/// It is given so long to come to rest.
const LIMIT: Duration = Duration::from_secs(5);

/// What it is when it changes no more, or when it was waited for too long.
pub(crate) fn settled<T: PartialEq>(look: impl Fn() -> Result<T, Fault>) -> Result<T, Fault> {
    let began = Instant::now();
    let (mut last, mut since) = (look()?, Instant::now());
    while since.elapsed() < REST && began.elapsed() < LIMIT {
        std::thread::sleep(REST / 10);
        let now = look()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
