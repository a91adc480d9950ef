//! What the README promises of memory: a look-up allocates nothing, a plain rule holds less than 2 KiB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use micro_benches::{Asked, NAMESPACE, RuleKind, World, first_port};

const RULE_BYTES: i64 = 2 << 10;

#[test]
fn a_look_up_allocates_nothing() {
    let world = World {
        services: 1,
        routes: 1_000,
        rules: 1,
        rule: RuleKind::Rich,
    };
    let (_, _, snapshot) = world.compile();
    let table = first_port(&snapshot).routes(NAMESPACE);
    for (target, matches) in [("/exact/999/0", true), ("/api/999/0/x?y=z", true), ("/none", false)] {
        let asked = Asked::get(target, &[("x-version", "v1")]);
        let request = asked.request();
        let mut found = false;
        let allocated = measure(|| found = table.find(&request).is_some());
        assert_eq!(found, matches, "{target}");
        assert_eq!(allocated.count_total, 0, "{target}");
    }
}

/// In a route of sixteen, and with all that is kept of it: the parsed object, the compiled route, the index, what makes
/// the next compile quick.
#[test]
fn a_plain_rule_holds_less_than_2_kib() {
    let world = World {
        services: 10,
        routes: 1_000,
        rules: 16,
        rule: RuleKind::Plain,
    };
    let objects = world.objects();
    let mut kept = None;
    let allocated = measure(|| kept = Some(World::compile_objects(objects.clone())));
    let per_rule = allocated.bytes_current / i64::try_from(world.routes * world.rules).unwrap();
    assert!(per_rule < RULE_BYTES, "{per_rule} bytes a rule");
    println!("{per_rule} bytes a rule");
}
