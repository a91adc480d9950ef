#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::{
    GrpcMatch, HeaderMatch, HttpMatch, IstioMatch, Matches, PathMatch, QueryMatch, RouteId, RouteKind, RuleSpec,
    Seldom, SniPattern, TextMatch,
};
use http::{HeaderName, Method};
use proptest::prelude::*;
use request::{Connection, Head, Mode, SpiffeId};
use std::net::IpAddr;

/// Asks with a request; NONE, so that paths reach the table as written.
fn with<T>(method: &str, target: &str, headers: &[(&str, &str)], ask: impl FnOnce(&Request<'_>) -> T) -> T {
    with_host("reviews", method, target, headers, ask)
}

fn with_host<T>(
    host: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    ask: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let mut builder = http::Request::builder().method(method).uri(target).header("host", host);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (parts, ()) = builder.body(()).unwrap().into_parts();
    let head = Head::parse(&parts, Mode::None).unwrap();
    let ip = IpAddr::from([10, 0, 0, 1]);
    let connection = Connection {
        identity: SpiffeId::of("cluster.local", "a", "web").ok(),
        source_ip: ip,
        destination_ip: None,
        destination_port: 80,
        sni: None,
    };
    ask(&Request {
        method: &parts.method,
        head: &head,
        headers: &parts.headers,
        connection: &connection,
        remote_ip: ip,
    })
}

fn route(kind: RouteKind, name: &str, created: i64, rules: Vec<Matches>) -> RouteSpec {
    let (namespace, name) = name.split_once('/').unwrap();
    let id = Arc::new(RouteId {
        kind,
        namespace: namespace.into(),
        name: name.into(),
    });
    let rule = |index| Rule {
        route: Arc::clone(&id),
        index,
        name: None,
        filters: Seldom::default(),
        backends: Box::default(),
        timeouts: Seldom::default(),
        retry: None,
        sessions: None,
    };
    let rules = rules
        .into_iter()
        .enumerate()
        .map(|(i, matches)| RuleSpec {
            matches,
            rule: Arc::new(rule(i)),
        })
        .collect();
    RouteSpec {
        id,
        created,
        hostnames: Vec::new(),
        rules,
    }
}

fn http_route(name: &str, rules: Vec<Vec<HttpMatch>>) -> RouteSpec {
    route(RouteKind::Http, name, 0, rules.into_iter().map(Matches::Http).collect())
}

fn prefix(text: &str) -> HttpMatch {
    HttpMatch {
        path: PathMatch::Prefix(text.into()),
        ..HttpMatch::default()
    }
}

fn exact(text: &str) -> HttpMatch {
    HttpMatch {
        path: PathMatch::Exact(text.into()),
        ..HttpMatch::default()
    }
}

fn header(mut wanted: HttpMatch, name: &'static str, value: &str) -> HttpMatch {
    let name = HeaderName::from_static(name);
    wanted.headers.push(HeaderMatch {
        name,
        value: TextMatch::Exact(value.into()),
    });
    wanted
}

fn query(mut wanted: HttpMatch, name: &str, value: &str) -> HttpMatch {
    wanted.query.push(QueryMatch {
        name: name.to_owned(),
        value: TextMatch::Exact(value.into()),
    });
    wanted
}

fn method(mut wanted: HttpMatch, method: Method) -> HttpMatch {
    wanted.method = Some(method);
    wanted
}

/// `ns/name:rule prefix` or `none`.
fn found(table: &Table, request: &Request<'_>) -> String {
    match table.find(request) {
        None => "none".to_owned(),
        Some(Match { rule, prefix, .. }) => {
            let RouteId { namespace, name, .. } = &*rule.route;
            format!("{namespace}/{name}:{} {}", rule.index, prefix.unwrap_or("-"))
        }
    }
}

fn get(table: &Table, target: &str) -> String {
    with("GET", target, &[], |request| found(table, request))
}

#[test]
fn prefixes_match_by_element() {
    let table = Table::build(vec![http_route(
        "a/r",
        vec![vec![prefix("/")], vec![prefix("/v2/")], vec![prefix("/v2/x")]],
    )]);
    assert_eq!(get(&table, "/"), "a/r:0 /");
    assert_eq!(get(&table, "/v2"), "a/r:1 /v2");
    assert_eq!(get(&table, "/v2/"), "a/r:1 /v2");
    assert_eq!(get(&table, "/v2//"), "a/r:1 /v2");
    assert_eq!(get(&table, "/v2?x"), "a/r:1 /v2");
    assert_eq!(get(&table, "/v2example"), "a/r:0 /");
    assert_eq!(get(&table, "/V2"), "a/r:0 /");
    assert_eq!(get(&table, "/foo/v2"), "a/r:0 /");
    assert_eq!(get(&table, "/v2/x/y"), "a/r:2 /v2/x");
    assert_eq!(get(&table, "/v2/xy"), "a/r:1 /v2");
    assert_eq!(with("OPTIONS", "*", &[], |request| found(&table, request)), "none");
}

#[test]
fn an_empty_table_finds_nothing() {
    assert_eq!(get(&Table::default(), "/"), "none");
    assert_eq!(get(&Table::build(vec![http_route("a/r", vec![])]), "/"), "none");
}

#[test]
fn precedence_is_per_match_over_all_rules() {
    // Each match is beaten by the next one; all of them match the request.
    let regex = HttpMatch {
        path: PathMatch::regex("/a/.*").unwrap(),
        ..HttpMatch::default()
    };
    let ladder = [
        regex,
        prefix("/"),
        query(header(method(prefix("/"), Method::GET), "x", "1"), "q", "1"),
        prefix("/a"),
        query(prefix("/a"), "q", "1"),
        header(prefix("/a"), "x", "1"),
        query(header(prefix("/a"), "x", "1"), "q", "1"),
        header(header(prefix("/a"), "x", "1"), "y", "1"),
        method(prefix("/a"), Method::GET),
        exact("/a/b"),
    ];
    for lower in 0..ladder.len() {
        for higher in lower + 1..ladder.len() {
            let (low, high) = (ladder[lower].clone(), ladder[higher].clone());
            // The stronger one comes last, in a younger route of a later name.
            let routes = vec![
                http_route("a/old", vec![vec![low.clone()]]),
                route(
                    RouteKind::Http,
                    "b/new",
                    9,
                    vec![Matches::Http(vec![exact("/never")]), Matches::Http(vec![low, high])],
                ),
            ];
            let table = Table::build(routes);
            let answer = with("GET", "/a/b?q=1", &[("x", "1"), ("y", "1")], |request| {
                found(&table, request)
            });
            assert!(answer.starts_with("b/new:1"), "{higher} against {lower}: {answer}");
        }
    }
}

#[test]
fn the_more_specific_hostname_goes_before_everything_else() {
    let of_hosts = |name, hostnames: &[&str], path: HttpMatch| RouteSpec {
        hostnames: hostnames.iter().map(|name| SniPattern::of(name)).collect(),
        ..http_route(name, vec![vec![path]])
    };
    let table = Table::build(vec![
        of_hosts("a/any", &[], exact("/a/b")),
        of_hosts("a/wide", &["*.shop"], exact("/a/b")),
        of_hosts("a/near", &["other", "*.b.shop"], prefix("/a")),
        of_hosts("a/exact", &["a.b.shop", "*.b.shop"], prefix("/")),
    ]);
    let at = |host: &str, path: &str| with_host(host, "GET", path, &[], |request| found(&table, request));
    for (host, path, wanted) in [
        ("a.b.shop", "/a/b", "a/exact:0 /"),
        ("A.B.shop:80", "/a/b", "a/exact:0 /"),
        ("x.b.shop", "/a/b", "a/near:0 /a"),
        ("x.y.b.shop", "/c", "a/exact:0 /"),
        ("other", "/a/b", "a/near:0 /a"),
        ("b.shop", "/a/b", "a/wide:0"),
        // What the host's own routes do not match is left to those of fewer hosts.
        ("b.shop", "/a", "none"),
        ("shop", "/a/b", "a/any:0"),
        ("xb.shop.org", "/a/b", "a/any:0"),
        ("elsewhere", "/c", "none"),
    ] {
        assert!(at(host, path).starts_with(wanted), "{host}{path}: {}", at(host, path));
    }
    let told = with_host("b.shop", "GET", "/a/b", &[], |request| {
        table.explain(request).to_string()
    });
    assert!(told.contains("host: wanted a.b.shop, found b.shop"), "{told}");
    assert!(told.contains("a more specific hostname"), "{told}");
}

#[test]
fn ties_go_to_the_older_route_then_to_the_name_then_to_the_order() {
    let one = || vec![vec![prefix("/")], vec![prefix("/")]];
    let named = |name, created| RouteSpec {
        created,
        ..http_route(name, one())
    };
    assert_eq!(
        get(&Table::build(vec![named("a/a", 2), named("b/b", 1)]), "/"),
        "b/b:0 /"
    );
    assert_eq!(
        get(&Table::build(vec![named("b/a", 1), named("a/b", 1)]), "/"),
        "a/b:0 /"
    );
    // "a-b/x" < "a/x": the names are compared as one text.
    assert_eq!(
        get(&Table::build(vec![named("a/x", 1), named("a-b/x", 1)]), "/"),
        "a-b/x:0 /"
    );
    assert_eq!(
        get(&Table::build(vec![named("a/x", i64::MAX), named("b/x", 1)]), "/"),
        "b/x:0 /"
    );
}

#[test]
fn of_equal_names_the_first_counts() {
    let twice = header(header(prefix("/"), "x", "1"), "x", "2");
    // Counts as one header: the route with two different ones goes first, whatever their names' order.
    let two = header(header(prefix("/"), "x", "1"), "y", "1");
    let parameters = query(query(prefix("/"), "q", "1"), "q", "2");
    let table = Table::build(vec![
        http_route("a/twice", vec![vec![twice]]),
        http_route("b/two", vec![vec![two]]),
        http_route("c/parameters", vec![vec![parameters]]),
    ]);
    assert_eq!(with("GET", "/", &[("x", "1")], |r| found(&table, r)), "a/twice:0 /");
    assert_eq!(with("GET", "/", &[("x", "2")], |r| found(&table, r)), "none");
    assert_eq!(
        with("GET", "/", &[("x", "1"), ("y", "1")], |r| found(&table, r)),
        "b/two:0 /"
    );
    assert_eq!(with("GET", "/?q=1&q=2", &[], |r| found(&table, r)), "c/parameters:0 /");
    assert_eq!(with("GET", "/?q=2&q=1", &[], |r| found(&table, r)), "none");
}

#[test]
fn repeated_headers_and_cookie_crumbs_are_joined() {
    let canary = TextMatch::regex("^(.*?;)?\\s*(user=jason)(;.*)?$").unwrap();
    let cookie = HttpMatch {
        headers: vec![HeaderMatch {
            name: http::header::COOKIE,
            value: canary,
        }],
        ..HttpMatch::default()
    };
    let table = Table::build(vec![http_route(
        "a/r",
        vec![vec![cookie], vec![header(prefix("/"), "x", "1,2")]],
    )]);
    assert_eq!(
        with("GET", "/", &[("cookie", "a=b"), ("cookie", "user=jason")], |r| found(
            &table, r
        )),
        "a/r:0 /"
    );
    assert_eq!(
        with("GET", "/", &[("cookie", "user=jasonx")], |r| found(&table, r)),
        "none"
    );
    assert_eq!(
        with("GET", "/", &[("x", "1"), ("X", "2")], |r| found(&table, r)),
        "a/r:1 /"
    );
}

#[test]
fn grpc_routes_replace_http_routes_and_those_the_implicit_one() {
    let implicit = || route(RouteKind::Implicit, "a/svc", i64::MIN, vec![Matches::Http(vec![])]);
    let grpc = || {
        let service = Some(TextMatch::Exact("s.S".into()));
        route(
            RouteKind::Grpc,
            "z/grpc",
            9,
            vec![Matches::Grpc(vec![GrpcMatch {
                service,
                ..GrpcMatch::default()
            }])],
        )
    };
    let http = || http_route("b/http", vec![vec![prefix("/s.S")]]);
    assert_eq!(get(&Table::build(vec![implicit()]), "/s.S/M"), "a/svc:0 /");
    assert_eq!(get(&Table::build(vec![implicit(), http()]), "/"), "none");
    let table = Table::build(vec![implicit(), http(), grpc()]);
    assert_eq!(get(&table, "/s.S/M"), "z/grpc:0 -");
    assert_eq!(get(&table, "/s.S"), "none");
    assert_eq!(get(&table, "/s.SX/M"), "none");
}

#[test]
fn a_table_knows_what_it_is_made_of() {
    let routes: Vec<_> = ["a/x", "a/y"]
        .into_iter()
        .map(|name| CompiledRoute::new(http_route(name, vec![vec![prefix("/")]])))
        .collect();
    let table = Table::of(routes.clone());
    assert!(table.is_of(&routes));
    assert!(!table.is_of(&routes[..1]));
    assert!(!table.is_of(&[Arc::clone(&routes[1]), Arc::clone(&routes[0])]));
    let again = CompiledRoute::new(http_route("a/y", vec![vec![prefix("/")]]));
    assert!(!table.is_of(&[Arc::clone(&routes[0]), again]));
}

#[test]
fn explanations() {
    let secret = HttpMatch {
        headers: vec![HeaderMatch {
            name: http::header::AUTHORIZATION,
            value: TextMatch::Exact("x".into()),
        }],
        ..prefix("/a")
    };
    let pattern = HttpMatch {
        path: PathMatch::regex("/[ab]+").unwrap(),
        ..HttpMatch::default()
    };
    let rules = vec![
        vec![exact("/b")],
        vec![method(prefix("/a"), Method::POST)],
        vec![
            header(query(prefix("/a"), "q", "1"), "x", "1"),
            query(prefix("/a"), "q", "2"),
        ],
        vec![secret],
        vec![prefix("/a"), prefix("/a")],
        vec![pattern],
        vec![prefix("/b/c")],
    ];
    let implicit = route(RouteKind::Implicit, "a/svc", 0, vec![Matches::Http(vec![])]);
    let table = Table::build(vec![http_route("ns/r", rules), implicit]);
    let headers = [("authorization", "Bearer hush")];
    let text = with("GET", "/a?q=3", &headers, |request| table.explain(request).to_string());
    assert_eq!(
        text,
        "\
HTTPRoute ns/r rule 0 match 0: path: wanted \"/b\", found \"/a\"
HTTPRoute ns/r rule 6 match 0: path: wanted prefix \"/b/c\", found \"/a\"
HTTPRoute ns/r rule 1 match 0: method: wanted POST, found GET
HTTPRoute ns/r rule 2 match 0: header x: wanted \"1\", found none
HTTPRoute ns/r rule 3 match 0: header authorization: wanted \"x\", found another value (not shown)
HTTPRoute ns/r rule 2 match 1: query parameter q: wanted \"2\", found \"3\"
HTTPRoute ns/r rule 4 match 0: chosen
HTTPRoute ns/r rule 4 match 1: it matches too, but the chosen one has an earlier place among the matches of its rule
HTTPRoute ns/r rule 5 match 0: it matches too, but the chosen one has a prefix, which goes before a regular expression
implicit route a/svc: a route of a stronger kind is attached to this port
"
    );
}

fn virtual_service(name: &str, rules: Vec<Vec<HttpMatch>>) -> RouteSpec {
    let rules = rules.into_iter().map(Matches::Http).collect();
    route(RouteKind::VirtualService, name, 0, rules)
}

fn start(text: &str) -> HttpMatch {
    HttpMatch {
        path: PathMatch::Start(text.into()),
        ..HttpMatch::default()
    }
}

#[test]
fn a_virtual_service_goes_in_order_and_by_character() {
    let rules = vec![
        vec![header(start("/"), "x", "1")],
        vec![start("/v2"), exact("/never")],
        vec![exact("/v2"), exact("/b")],
        vec![start("/v2/x"), start("/b")],
        vec![start("/")],
        vec![exact("/c")],
    ];
    let table = Table::build(vec![virtual_service("a/vs", rules)]);
    assert_eq!(get(&table, "/v2"), "a/vs:1 /v2");
    assert_eq!(get(&table, "/v2example"), "a/vs:1 /v2");
    assert_eq!(get(&table, "/v2/x"), "a/vs:1 /v2");
    assert_eq!(get(&table, "/b"), "a/vs:2 -");
    assert_eq!(get(&table, "/b/"), "a/vs:3 /b");
    assert_eq!(get(&table, "/c"), "a/vs:4 /");
    assert_eq!(with("GET", "/v2", &[("x", "1")], |r| found(&table, r)), "a/vs:0 /");
}

#[test]
fn explanations_of_a_virtual_service() {
    let istio = |istio| HttpMatch {
        istio: Some(Box::new(istio)),
        ..start("/")
    };
    let rules = vec![
        vec![istio(IstioMatch {
            authority: Some(TextMatch::Exact("reviews:80".into())),
            ..IstioMatch::default()
        })],
        vec![istio(IstioMatch {
            without: vec![HeaderMatch {
                name: HeaderName::from_static("x"),
                value: TextMatch::Any,
            }],
            ..IstioMatch::default()
        })],
        vec![istio(IstioMatch {
            source_namespace: Some("b".into()),
            method: Some(TextMatch::Start("G".into())),
            ..IstioMatch::default()
        })],
        vec![start("/b"), start("/"), exact("/a")],
    ];
    let table = Table::build(vec![virtual_service("ns/vs", rules)]);
    let text = with("GET", "/a", &[("x", "1")], |request| table.explain(request).to_string());
    assert_eq!(
        text,
        "\
VirtualService ns/vs rule 0 match 0: authority: wanted \"reviews:80\", found \"reviews\"
VirtualService ns/vs rule 1 match 0: header x: wanted none that is any value
VirtualService ns/vs rule 2 match 0: source namespace: wanted b, found a
VirtualService ns/vs rule 3 match 0: path: wanted a start of \"/b\", found \"/a\"
VirtualService ns/vs rule 3 match 1: chosen
VirtualService ns/vs rule 3 match 2: it matches too, but the chosen one has an earlier place among the matches of its rule
"
    );
}

// ------------------------------------------------------------------------------------------------ laws

fn text_match() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        3 => prop::sample::select(vec!["", "1", "2", "1,2"]).prop_map(|text| TextMatch::Exact(text.into())),
        1 => prop::sample::select(vec!["[12]", ".*", "1", "1,?2?"]).prop_map(|text| TextMatch::regex(text).unwrap()),
    ]
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    let text = || {
        prop::sample::select(vec![
            "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/a//b", "/a/b/", "/abc",
        ])
    };
    prop_oneof![
        1 => text().prop_map(|text| PathMatch::Exact(text.into())),
        2 => text().prop_map(|text| PathMatch::Prefix(text.into())),
        1 => prop::sample::select(vec!["/a.*", "/[ab]", ".*", "/a/b"]).prop_map(|text| PathMatch::regex(text).unwrap()),
    ]
}

fn headers() -> impl Strategy<Value = Vec<HeaderMatch>> {
    let one = (prop::sample::select(vec!["x", "y", "host"]), text_match()).prop_map(|(name, value)| HeaderMatch {
        name: HeaderName::from_static(name),
        value,
    });
    prop::collection::vec(one, 0..3)
}

fn http_match() -> impl Strategy<Value = HttpMatch> {
    let query = (prop::sample::select(vec!["x", "y"]), text_match()).prop_map(|(name, value)| QueryMatch {
        name: name.to_owned(),
        value,
    });
    let method = prop::option::weighted(0.3, prop::sample::select(vec![Method::GET, Method::POST]));
    (path_match(), method, headers(), prop::collection::vec(query, 0..3)).prop_map(|(path, method, headers, query)| {
        HttpMatch {
            path,
            method,
            headers,
            query,
            istio: None,
        }
    })
}

/// What a VirtualService may ask for.
fn istio_http_match() -> impl Strategy<Value = HttpMatch> {
    let text =
        || prop::sample::select(vec!["/", "/a", "/a/", "/A", "/a/b", "/ab", "/b", "/aB"]).prop_map(str::to_owned);
    let path = prop_oneof![
        1 => text().prop_map(|text| PathMatch::Exact(text.into())),
        4 => text().prop_map(|text| PathMatch::Start(text.into())),
        1 => text().prop_map(|text| PathMatch::ExactIgnoreCase(text.into())),
        1 => text().prop_map(|text| PathMatch::StartIgnoreCase(text.into())),
        1 => Just(PathMatch::regex("/a.*").unwrap()),
    ];
    let value = || {
        prop_oneof![
            Just(TextMatch::Any),
            text_match(),
            prop::sample::select(vec!["", "1"]).prop_map(|text| TextMatch::Start(text.into())),
        ]
    };
    let without = (prop::sample::select(vec!["x", "y"]), value()).prop_map(|(name, value)| HeaderMatch {
        name: HeaderName::from_static(name),
        value,
    });
    let method = prop::sample::select(vec!["G", "P", "PU"]).prop_map(|text| TextMatch::Start(text.into()));
    let authority = prop::sample::select(vec!["rev.*", "x"]).prop_map(|text| TextMatch::regex(text).unwrap());
    let namespace = prop::sample::select(vec!["a", "b"]).prop_map(Box::from);
    let istio = (
        prop::option::weighted(0.3, method),
        prop::option::weighted(0.2, authority),
        prop::option::weighted(0.2, namespace),
        prop::collection::vec(without.clone(), 0..2),
    );
    let istio = istio.prop_map(|(method, authority, source_namespace, without)| IstioMatch {
        method,
        authority,
        without,
        source_namespace,
    });
    (path, prop::collection::vec(without, 0..2), prop::option::of(istio)).prop_map(|(path, headers, istio)| HttpMatch {
        path,
        headers,
        istio: istio.map(Box::new),
        ..HttpMatch::default()
    })
}

fn grpc_match() -> impl Strategy<Value = GrpcMatch> {
    let part = || {
        prop::option::of(prop_oneof![
            prop::sample::select(vec!["a", "ab", "b", "a/b", ""]).prop_map(|text| TextMatch::Exact(text.into())),
            prop::sample::select(vec!["a.*", "[ab]", "b?"]).prop_map(|text| TextMatch::regex(text).unwrap()),
        ])
    };
    (part(), part(), headers()).prop_map(|(service, method, headers)| GrpcMatch {
        service,
        method,
        headers,
    })
}

fn routes() -> impl Strategy<Value = Vec<RouteSpec>> {
    let http = prop::collection::vec(prop::collection::vec(http_match(), 0..4).prop_map(Matches::Http), 0..4);
    let grpc = prop::collection::vec(prop::collection::vec(grpc_match(), 0..4).prop_map(Matches::Grpc), 0..4);
    let istio = prop::collection::vec(
        prop::collection::vec(istio_http_match(), 1..4).prop_map(Matches::Http),
        0..4,
    );
    let http = http.prop_map(|rules| (RouteKind::Http, rules));
    let grpc = grpc.prop_map(|rules| (RouteKind::Grpc, rules));
    let istio = istio.prop_map(|rules| (RouteKind::VirtualService, rules)).boxed();
    let gateway_api = prop_oneof![5 => http, 1 => grpc].boxed();
    let any_kind = prop_oneof![gateway_api.clone(), istio.clone()].boxed();
    // Some kinds outrank others: most cases have one.
    prop_oneof![
        4 => routes_with(gateway_api),
        4 => routes_with(istio),
        1 => routes_with(any_kind),
    ]
}

fn routes_with(rules: BoxedStrategy<(RouteKind, Vec<Matches>)>) -> impl Strategy<Value = Vec<RouteSpec>> {
    let hostname = prop::sample::select(vec!["reviews", "a.b.shop", "*.b.shop", "*.shop"]);
    let hostnames = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(hostname, 0..3)];
    prop::collection::vec((rules, 0..3_i64, 0..2_usize, hostnames), 0..5).prop_map(|all| {
        let name = |i: usize, ns: usize| format!("{}/{i}", ["n", "n-"][ns]);
        let named = all.into_iter().enumerate();
        named
            .map(|(i, ((kind, rules), created, ns, hostnames))| RouteSpec {
                hostnames: hostnames.into_iter().map(SniPattern::of).collect(),
                ..route(kind, &name(i, ns), created, rules)
            })
            .collect()
    })
}

type Asked = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
);

fn asked() -> impl Strategy<Value = Asked> {
    let paths = vec![
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/a//b", "/a/b/", "/b/a", "//", "/a/bc", "/A", "/ab/b", "//a",
    ];
    let queries = vec!["", "?", "?x=1", "?y=2", "?x=1&y=2", "?x=2&x=1", "?x", "?y=1,2&x=1"];
    let header = (
        prop::sample::select(vec!["x", "y"]),
        prop::sample::select(vec!["", "1", "2"]),
    );
    (
        prop::sample::select(vec!["reviews", "a.b.shop", "b.shop"]),
        prop::sample::select(vec!["GET", "POST", "PUT"]),
        prop::sample::select(paths),
        prop::sample::select(queries),
        prop::collection::vec(header, 0..4),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_index_equals_the_naive_reading(routes in routes(), asked in prop::collection::vec(asked(), 1..6)) {
        let table = Table::build(routes.clone());
        for (host, method, path, query, headers) in asked {
            with_host(host, method, &format!("{path}{query}"), &headers, |request| {
                let fast = table.find(request).map(|m| (Arc::as_ptr(m.rule), m.prefix.map(str::to_owned)));
                let slow = naive::find(&routes, request).map(|(rule, prefix)| (Arc::as_ptr(&rule), prefix));
                prop_assert_eq!(&fast, &slow);

                let explanation = table.explain(request);
                let won = explanation.winner().map(|won| won.what.clone());
                let rule = table.find(request).map(|m| format!("{} rule {} ", m.rule.route, m.rule.index));
                prop_assert_eq!(won.is_some(), rule.is_some());
                prop_assert!(won.zip(rule).is_none_or(|(won, rule)| won.starts_with(&rule)));
                prop_assert!(explanation.considered.iter().filter(|c| c.lost_because.is_none()).count() <= 1);
                Ok(())
            })?;
        }
    }

    #[test]
    fn a_changed_table_equals_a_new_one(
        before in routes(),
        kept in prop::collection::vec(any::<bool>(), 5),
        new in routes(),
        asked in prop::collection::vec(asked(), 1..6),
    ) {
        let before: Vec<_> = before.into_iter().map(CompiledRoute::new).collect();
        let new = new.into_iter().map(CompiledRoute::new);
        let after: Vec<_> = before.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(route, _)| Arc::clone(route)).chain(new).collect();
        let old = Table::of(before.clone());
        let changed = old.next(after.clone());
        for (table, fresh) in [(changed, Table::of(after)), (old, Table::of(before))] {
            for (host, method, path, query, headers) in &asked {
                with_host(host, method, &format!("{path}{query}"), headers, |request| {
                    prop_assert_eq!(table.explain(request), fresh.explain(request));
                    prop_assert_eq!(
                        table.find(request).map(|m| (Arc::as_ptr(m.rule), m.prefix.map(str::to_owned))),
                        fresh.find(request).map(|m| (Arc::as_ptr(m.rule), m.prefix.map(str::to_owned)))
                    );
                    Ok(())
                })?;
            }
        }
    }
}

#[test]
fn where_connections_are_routed_no_request_is_looked_at() {
    let table = Table::build(vec![route(RouteKind::Tcp, "shop/t", 0, vec![Matches::Tcp])]);
    let told = with("GET", "/", &[], |request| {
        (table.find(request).is_none(), table.explain(request).to_string())
    });
    assert!(
        told.0 && told.1.starts_with("TCPRoutes of this port: they route connections"),
        "{told:?}"
    );
}
