//! Manifests to a snapshot: all of them at first, then one changed route.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mesh::{Compiler, Resources, Scope};
use micro_benches::{RuleKind, World};
use std::hint::black_box;

const ROUTES: usize = 10_000;

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for (what, services) in [("one Service", 1), ("1,000 Services", 1_000)] {
        let world = World {
            services,
            routes: ROUTES,
            rules: 1,
            rule: RuleKind::Rich,
        };
        let objects = world.objects();
        group.bench_function(format!("{ROUTES} routes on {what}, from JSON"), |b| {
            b.iter_batched(
                || objects.clone(),
                |objects| {
                    let resources = Resources::from_json(objects);
                    black_box(Compiler::new(Scope::default()).compile(&resources))
                },
                BatchSize::PerIteration,
            );
        });
        let (mut compiler, mut resources, _) = world.compile();
        let mut turn = 0_usize;
        group.bench_function(format!("{ROUTES} routes on {what}, one changed"), |b| {
            b.iter(|| {
                turn += 1;
                resources.apply(world.route(turn % ROUTES, if turn.is_multiple_of(2) { "v2" } else { "v3" }));
                black_box(compiler.compile(&resources))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
