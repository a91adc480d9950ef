#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::kind::KINDS;
use super::super::trim::trim;
use super::*;
use serde_json::{Value, json};

fn part(kind: &'static str, namespace: Option<&str>) -> Part {
    Part {
        kind,
        namespace: namespace.map(Arc::from),
        name: None,
    }
}

fn seen(kind: &str, namespace: &str, name: &str, version: u32, spec: Value) -> (&'static Kind, Seen) {
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
    let meta = json!({ "name": name, "namespace": namespace, "uid": "u", "resourceVersion": version.to_string() });
    let object = json!({ "metadata": meta, "spec": spec });
    (kind, trim(kind, "v1", serde_json::from_value(object).unwrap()).unwrap())
}

struct World(Store);

impl World {
    fn new() -> Self {
        Self(Store::new(Arc::from("own")))
    }

    fn apply(&mut self, part: &Part, name: &str, version: u32, spec: Value) -> bool {
        let (kind, seen) = seen(part.kind, "demo", name, version, spec);
        self.0.apply(part, kind, seen)
    }

    fn names(&self) -> Vec<String> {
        self.0
            .all()
            .map(|(kind, (_, name), _)| format!("{kind} {name}"))
            .collect()
    }
}

#[test]
fn a_list_removes_what_it_does_not_tell_but_only_of_its_part() {
    let mut world = World::new();
    let (services, pods) = (part("Service", None), part("Pod", Some("demo")));
    world.apply(&services, "a", 1, json!({}));
    world.apply(&services, "b", 2, json!({}));
    world.apply(&pods, "p", 3, json!({}));
    world.0.begin(&services);
    assert!(!world.apply(&services, "a", 1, json!({})), "as it was");
    assert!(world.apply(&services, "c", 4, json!({})));
    assert_eq!(
        world.names(),
        ["Pod p", "Service a", "Service b", "Service c"],
        "the last good state, until the end"
    );
    assert!(world.0.end(&services));
    assert_eq!(world.names(), ["Pod p", "Service a", "Service c"]);
    assert!(!world.0.end(&services), "nothing was begun");
    assert!(!world.0.forget(&part("Pod", Some("other"))));
    assert!(world.0.forget(&pods));
    assert_eq!((world.names().len(), world.0.count()), (2, 2));
}

#[test]
fn only_another_content_is_a_change() {
    let mut world = World::new();
    let services = part("Service", None);
    assert!(world.apply(&services, "a", 1, json!({ "clusterIP": "10.0.0.1" })));
    let object = |world: &World| world.0.of("Service").next().unwrap().1.object.clone().unwrap();
    let first = object(&world);
    assert!(!world.apply(&services, "a", 2, json!({ "clusterIP": "10.0.0.1" })));
    assert!(Arc::ptr_eq(&first, &object(&world)));
    assert!(world.apply(&services, "a", 3, json!({ "clusterIP": "10.0.0.2" })));
    assert!(!Arc::ptr_eq(&first, &object(&world)));
    let key = (Arc::from("demo"), Arc::from("a"));
    assert!(world.0.remove(&services, &key));
    assert!(!world.0.remove(&services, &key));
    assert_eq!(world.0.count(), 0);
}

#[test]
fn what_is_no_object_keeps_the_state_before() {
    let mut world = World::new();
    let routes = part("HTTPRoute", None);
    world.apply(&routes, "r", 1, json!({ "rules": [] }));
    assert!(world.apply(&routes, "r", 2, json!("none")));
    let held = |world: &World| {
        let (_, held) = world.0.of("HTTPRoute").next().unwrap();
        (held.object.is_some(), held.bad.is_some())
    };
    assert_eq!(held(&world), (true, true));
    assert!(world.apply(&routes, "r", 3, json!({ "rules": [] })));
    assert_eq!(held(&world), (true, false));
    world.apply(&routes, "s", 4, json!(7));
    assert_eq!(world.0.count(), 2, "counted all the same");
}

#[test]
fn regular_expressions_share_one_room() {
    let mut world = World::new();
    let routes = part("HTTPRoute", None);
    let rules =
        |text: &str| json!({ "rules": [{ "matches": [{ "path": { "type": "RegularExpression", "value": text } }] }] });
    world.apply(&routes, "r", 1, rules("/a+"));
    let taken = world.0.regex_bytes;
    assert!(taken > 0);
    world.apply(&routes, "r", 2, rules("/b+"));
    assert_eq!(world.0.regex_bytes, taken, "the one before is given back");
    world.0.forget(&routes);
    assert_eq!(world.0.regex_bytes, 0);
}
