//! The scenarios, as data.

use super::{Disturbance, Kind, Mesh, Scenario, Signing, Speaks, Traffic};
use crate::figure::{Figure, Goal};
use crate::subject::How;

/// Ours, and what it is measured by.
const TWO: &[How] = &[How::Waypoint, How::Envoy];
/// With the floor.
const THREE: &[How] = &[How::Waypoint, How::Envoy, How::Splice];

const SATURATED: Traffic = Traffic::SATURATED;
const PLAIN: Mesh = Mesh {
    routes: 0,
    policy_rules: 0,
    token: None,
    is_traced: false,
    speaks: Speaks::Http1,
    has_canary: false,
    is_churned: false,
};

/// All of them, in the order in which they are told.
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        traffic(
            "http1-1k",
            "HTTP/1.1, 1 KiB answers, saturated",
            PLAIN,
            SATURATED,
            CPU_28,
        )
        .with_floor(),
        traffic("grpc-64b", "gRPC, 64 B each way, saturated", GRPC, SMALL_GRPC, CPU_40).with_floor(),
        traffic(
            "rate-1000",
            "1,000 requests a second, open loop",
            PLAIN,
            at(1_000),
            CPU_50,
        )
        .with_floor(),
        traffic(
            "rate-4000",
            "4,000 requests a second, open loop",
            PLAIN,
            at(4_000),
            P99_50,
        ),
        traffic(
            "routes-1000",
            "1,000 HTTPRoutes, the last one hit",
            ROUTES,
            SATURATED,
            CPU_18,
        ),
        traffic(
            "jwt-rs256",
            "JWT RS256: the same token again and again",
            RS256,
            SATURATED,
            CPU_18,
        ),
        traffic(
            "jwt-es256",
            "JWT ES256: the same token again and again",
            ES256,
            SATURATED,
            CPU_13,
        ),
        traffic(
            "policy-50",
            "50 policy rules: one ALLOW policy, the last rule matches",
            POLICY,
            SATURATED,
            CPU_28,
        ),
        traffic("tracing-100", "100 % traced: OTLP over gRPC", TRACED, SATURATED, CPU_30),
        traffic("body-64k-down", "64 KiB answers", PLAIN, bodies(0, BIG), CPU_65).with_floor(),
        traffic("body-64k-up", "64 KiB requests", PLAIN, bodies(BIG, 0), CPU_65).with_floor(),
        traffic(
            "handshake",
            "a new mTLS connection for each request",
            PLAIN,
            FRESH,
            CPU_60,
        )
        .with_floor(),
        Scenario {
            kind: Kind::Memory,
            ..traffic(
                "memory",
                "resident memory: idle, of a connection, of a stream",
                PLAIN,
                SATURATED,
                MEMORY,
            )
        }
        .with_floor(),
        Scenario {
            kind: Kind::MemoryOfRoutes,
            ..traffic(
                "memory-routes",
                "resident memory: 1,000 HTTPRoutes",
                ROUTES,
                SATURATED,
                ROUTES_2,
            )
        },
        traffic(
            "tcp-1k",
            "TCP: 1 KiB there and back, saturated",
            BYTES,
            bodies(1024, 1024),
            CPU_TOLD,
        )
        .with_floor(),
        Scenario {
            kind: Kind::Scaling(WIDE),
            ..traffic(
                "scaling",
                "twice the workers: HTTP/1.1, 1 KiB answers, saturated, 8 connections",
                PLAIN,
                WIDE,
                GAIN,
            )
        },
        traffic(
            "http2-1k",
            "HTTP/2, 1 KiB answers, saturated",
            HTTP2,
            MULTIPLEXED,
            CPU_TOLD,
        )
        .with_floor(),
        disturbed(
            "churn",
            "1,000 routes, one rewritten every 50 ms, 1,000 requests a second",
            Disturbance::Churn,
        ),
        disturbed(
            "canary",
            "a canary shift of 0 to 100 % in steps, 1,000 requests a second",
            Disturbance::Canary,
        ),
    ]
}

/// One of them.
pub(crate) fn find(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

const BIG: usize = 64 * 1024;
const GRPC: Mesh = Mesh {
    speaks: Speaks::Grpc,
    ..PLAIN
};
const HTTP2: Mesh = Mesh {
    speaks: Speaks::Http2,
    ..PLAIN
};
const BYTES: Mesh = Mesh {
    speaks: Speaks::Tcp,
    ..PLAIN
};
const ROUTES: Mesh = Mesh { routes: 1_000, ..PLAIN };
const RS256: Mesh = Mesh {
    token: Some(Signing::Rs256),
    ..PLAIN
};
const ES256: Mesh = Mesh {
    token: Some(Signing::Es256),
    ..PLAIN
};
const POLICY: Mesh = Mesh {
    policy_rules: 50,
    ..PLAIN
};
const TRACED: Mesh = Mesh {
    is_traced: true,
    ..PLAIN
};

/// An application's connection is one stream of the tunnel; HTTP/2 has several requests on one.
const MULTIPLEXED: Traffic = Traffic {
    streams: 4,
    in_flight: 8,
    ..SATURATED
};
const SMALL_GRPC: Traffic = Traffic {
    request_bytes: 64,
    response_bytes: 64,
    ..MULTIPLEXED
};
const FRESH: Traffic = Traffic {
    streams: 8,
    is_fresh: true,
    ..SATURATED
};
/// A connection is one worker's: enough of them for all.
const WIDE: Traffic = Traffic {
    connections: 8,
    streams: 64,
    ..SATURATED
};

const CPU_TOLD: &[Goal] = &[Goal::told(Figure::CpuUs)];
const CPU_13: &[Goal] = &[Goal::share(Figure::CpuUs, 0.13)];
const CPU_18: &[Goal] = &[Goal::share(Figure::CpuUs, 0.18)];
const CPU_28: &[Goal] = &[Goal::share(Figure::CpuUs, 0.28)];
const CPU_30: &[Goal] = &[Goal::share(Figure::CpuUs, 0.3)];
const CPU_40: &[Goal] = &[Goal::share(Figure::CpuUs, 0.4)];
const CPU_50: &[Goal] = &[Goal::share(Figure::CpuUs, 0.5)];
const CPU_60: &[Goal] = &[Goal::share(Figure::CpuUs, 0.6)];
const CPU_65: &[Goal] = &[Goal::share(Figure::CpuUs, 0.65)];
const P99_50: &[Goal] = &[Goal::share(Figure::P99Us, 0.5)];
const MEMORY: &[Goal] = &[
    Goal::at_most(Figure::IdleMib, 14.0),
    Goal::at_most(Figure::ConnectionKib, 20.0),
    Goal::at_most(Figure::StreamKib, 12.0),
];
const ROUTES_2: &[Goal] = &[Goal::at_most(Figure::RoutesMib, 2.0)];
/// Envoy's workers share next to nothing: 0.9 of what they gain is what 1.8 is of 2.
const GAIN: &[Goal] = &[
    Goal::at_least(Figure::Gain, 1.8),
    Goal::share_at_least(Figure::GainByCpu, 0.9),
];
const UNDISTURBED: &[Goal] = &[Goal::told(Figure::P99Us), Goal::told(Figure::LongestUs)];

const fn at(rate: u64) -> Traffic {
    Traffic {
        rate: Some(rate),
        ..SATURATED
    }
}

const fn bodies(request_bytes: usize, response_bytes: usize) -> Traffic {
    Traffic {
        request_bytes,
        response_bytes,
        ..SATURATED
    }
}

const fn traffic(
    name: &'static str,
    about: &'static str,
    mesh: Mesh,
    traffic: Traffic,
    goals: &'static [Goal],
) -> Scenario {
    Scenario {
        name,
        about,
        mesh,
        kind: Kind::Traffic(traffic),
        subjects: TWO,
        goals,
    }
}

const fn disturbed(name: &'static str, about: &'static str, disturbance: Disturbance) -> Scenario {
    let mesh = match disturbance {
        Disturbance::Churn => Mesh {
            is_churned: true,
            ..ROUTES
        },
        Disturbance::Canary => Mesh {
            has_canary: true,
            ..PLAIN
        },
    };
    Scenario {
        kind: Kind::Disturbed(at(1_000), disturbance),
        ..traffic(name, about, mesh, SATURATED, UNDISTURBED)
    }
}

impl Scenario {
    fn with_floor(self) -> Self {
        Self {
            subjects: THREE,
            ..self
        }
    }
}
