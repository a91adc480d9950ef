//! How long it was measured, and what to type to get the like.

use crate::cli::CompareArgs;
use serde::{Deserialize, Serialize};

/// How long it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: u64,
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    /// What to type to get the like. Paths of this machine are left out.
    pub(crate) command: String,
}

impl Settings {
    pub(super) fn of(args: &CompareArgs) -> Self {
        let mut command = format!(
            "waypoint-bench compare --scenario {} --rounds {} --seconds {} --warm-up {}",
            args.scenario.join(","),
            args.rounds,
            args.seconds,
            args.warm_up
        );
        for (flag, value) in [
            ("connections", args.connections),
            ("streams", args.streams),
            ("rate", args.rate),
            ("routes", args.routes),
            ("policy-rules", args.policy_rules),
            ("request-bytes", args.request_bytes),
            ("response-bytes", args.response_bytes),
            ("workers", Some(args.programs.workers).filter(|workers| *workers > 1)),
        ] {
            if let Some(value) = value {
                command.push_str(&format!(" --{flag} {value}"));
            }
        }
        Self {
            rounds: args.rounds,
            seconds: args.seconds,
            warm_up: args.warm_up,
            command,
        }
    }
}
