//! `Table::find`: as long as the path, however many routes there are.

use criterion::{Criterion, criterion_group, criterion_main};
use micro_benches::{Asked, NAMESPACE, RuleKind, World, first_port};
use std::hint::black_box;

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    for routes in [10, 100, 1_000, 10_000] {
        let world = World {
            services: 1,
            routes,
            rules: 1,
            rule: RuleKind::Rich,
        };
        let (_, _, snapshot) = world.compile();
        let table = first_port(&snapshot).routes(NAMESPACE);
        let last = routes - 1;
        for (what, target) in [
            ("exact", format!("/exact/{last}/0")),
            ("prefix", format!("/api/{last}/0/and/more/of/it")),
            ("none", format!("/api/{last}/1")),
        ] {
            let asked = Asked::get(&target, &[("x-version", "v1"), ("user-agent", "bench")]);
            group.bench_function(format!("{what}/{routes}"), |b| {
                let request = asked.request();
                b.iter(|| black_box(table.find(black_box(&request))).is_some());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, find);
criterion_main!(benches);
