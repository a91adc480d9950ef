#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::{RouteId, RuleSpec, Seldom, Table};
use proptest::prelude::*;

fn route(kind: RouteKind, name: &str, created: i64, rules: Vec<Matches>) -> RouteSpec {
    let id = Arc::new(RouteId {
        kind,
        namespace: "shop".into(),
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
    let rules = rules.into_iter().enumerate().map(|(index, matches)| RuleSpec {
        matches,
        rule: Arc::new(rule(index)),
    });
    RouteSpec {
        rules: rules.collect(),
        hostnames: Vec::new(),
        id,
        created,
    }
}

fn tls(name: &str, created: i64, hostnames: &[&str]) -> RouteSpec {
    let names = hostnames.iter().map(|name| SniPattern::of(name)).collect();
    route(RouteKind::Tls, name, created, vec![Matches::Tls(names)])
}

fn found<'t>(table: &'t Table, sni: &str) -> &'t str {
    let sni = Some(sni).filter(|name| !name.is_empty());
    let rule = table.streams().unwrap().find(sni);
    rule.map_or("none", |rule| &rule.route.name)
}

#[test]
fn exact_then_the_longest_wildcard_then_any() {
    let table = Table::build(vec![
        tls("any", 0, &[]),
        tls("short", 0, &["*.example.com"]),
        tls("long", 0, &["*.db.Example.com"]),
        tls("exact", 9, &["a.db.example.com", "example.org"]),
    ]);
    for (sni, want) in [
        ("a.db.example.com", "exact"),
        ("b.db.example.com", "long"),
        ("x.y.db.example.com", "long"),
        ("db.example.com", "short"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("example.org", "exact"),
        ("", "any"),
    ] {
        assert_eq!(found(&table, sni), want, "{sni}");
    }
    assert!(table.streams().unwrap().is_tls());
    let closed = Table::build(vec![tls("one", 0, &["example.org"])]);
    assert_eq!(found(&closed, "example.com"), "none");
    assert_eq!(found(&closed, ""), "none");
}

#[test]
fn of_equal_routes_the_oldest_then_the_first_by_name() {
    let table = Table::build(vec![
        tls("young", 2, &["a.example", "b.example"]),
        tls("old-b", 1, &["a.example"]),
        tls("old-a", 1, &["a.example"]),
    ]);
    assert_eq!(found(&table, "a.example"), "old-a");
    assert_eq!(found(&table, "b.example"), "young");
    let tcp = |name, created| route(RouteKind::Tcp, name, created, vec![Matches::Tcp, Matches::Tcp]);
    let table = Table::build(vec![tcp("young", 2), tcp("old", 1)]);
    assert_eq!(found(&table, ""), "old");
    let rule = table.streams().unwrap().find(None).unwrap();
    assert_eq!(rule.index, 0, "the first rule is all there is");
    assert!(!table.streams().unwrap().is_tls());
}

#[test]
fn on_one_port_the_strongest_kind_is_alone() {
    let http = || route(RouteKind::Http, "http", 0, vec![Matches::Http(Vec::new())]);
    let tcp = || route(RouteKind::Tcp, "tcp", 0, vec![Matches::Tcp]);
    assert!(Table::build(vec![tcp(), http()]).streams().is_none());
    let table = Table::build(vec![tcp(), tls("tls", 5, &["a.example"])]);
    assert_eq!(found(&table, "a.example"), "tls");
    assert_eq!(found(&table, "b.example"), "none");
    assert!(RouteKind::Grpc < RouteKind::Http && RouteKind::Tcp < RouteKind::Implicit);
}

/// The specification read word by word: try every name of every route, keep what goes first.
fn naive(routes: &[RouteSpec], sni: &str) -> Option<Arc<str>> {
    let mut all = Vec::new();
    for route in routes {
        let Matches::Tls(names) = &route.rules[0].matches else {
            unreachable!()
        };
        for name in names {
            let rank = match name {
                SniPattern::Exact(name) if **name == *sni => (0, 0),
                SniPattern::Wildcard(suffix) if sni.ends_with(&format!(".{suffix}")) => (1, usize::MAX - suffix.len()),
                _ => continue,
            };
            all.push((rank, route.created, Arc::clone(&route.id.name)));
        }
        if names.is_empty() {
            all.push(((2, 0), route.created, Arc::clone(&route.id.name)));
        }
    }
    all.into_iter().min().map(|(_, _, name)| name)
}

fn name() -> impl Strategy<Value = String> {
    "[ab]{1,2}(\\.[ab]{1,2}){0,3}"
}

proptest! {
    #[test]
    fn find_equals_a_plain_reading(
        routes in prop::collection::vec((0_i64..3, prop::collection::vec((any::<bool>(), name()), 0..4)), 0..6),
        sni in name(),
    ) {
        let routes: Vec<RouteSpec> = routes
            .into_iter()
            .enumerate()
            .map(|(number, (created, names))| {
                let names: Vec<String> = names.into_iter()
                    .map(|(wild, name)| if wild { format!("*.{name}") } else { name }).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                tls(&format!("r{number}"), created, &names)
            })
            .collect();
        let wanted = naive(&routes, &sni);
        let table = Table::build(routes);
        let found = table.streams().and_then(|streams| streams.find(Some(&sni))).map(|rule| Arc::clone(&rule.route.name));
        prop_assert_eq!(found, wanted);
    }
}
