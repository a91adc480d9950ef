//! How a comparison is made, in words.

use crate::cli::CompareArgs;

/// What one must know to doubt its figures.
pub(super) fn of(args: &CompareArgs) -> String {
    format!(
        "Each figure is the median over {} rounds of {} s (least..most); ratios are taken within a round, in which each proxy \
         has its turn. CPU and memory are the proxy process's, by /proc; every proxy has {} worker. Client, destination and \
         collector run on one thread each on the same machine (in `scaling` on as many as it has room for): where `core busy` is far from 100 %, they were the bottleneck \
         and the proxy had time to sleep. Latencies of open loops count from the time at which a request was due. The waypoint \
         serves Istio's metrics and decides by Istio's rules in every scenario; Envoy has the three listeners of Istio's \
         waypoint, but none of Istio's own filters (statistics, peer metadata), so its figures are a lower bound. `splice` \
         reads nothing of what is inside the tunnels: it is the floor.",
        args.rounds, args.seconds, args.programs.workers,
    )
}
