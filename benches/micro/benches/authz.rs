//! What policies and tokens add to a request.

use criterion::{Criterion, criterion_group, criterion_main};
use micro_benches::{Asks, Judged, Tokens};
use std::hint::black_box;

fn policies(c: &mut Criterion) {
    let mut group = c.benchmark_group("policies");
    for (what, asks) in [
        ("caller_and_path", Asks::CallerAndPath),
        ("namespace_and_header", Asks::NamespaceAndHeader),
        ("address_and_header", Asks::AddressAndHeader),
    ] {
        let judged = Judged::new(asks);
        assert!(judged.allow() && judged.refuse());
        group.bench_function(format!("{what}/last_rule"), |b| b.iter(|| black_box(&judged).allow()));
        group.bench_function(format!("{what}/no_rule"), |b| b.iter(|| black_box(&judged).refuse()));
    }
    group.finish();
}

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("tokens");
    for (what, mut tokens) in [("es256", Tokens::es256()), ("rs256", Tokens::rs256())] {
        assert!(tokens.verify());
        group.bench_function(format!("{what}/cached"), |b| b.iter(|| black_box(&tokens).verify()));
        group.bench_function(format!("{what}/uncached"), |b| b.iter(|| tokens.verify_anew()));
    }
    group.finish();
}

criterion_group!(benches, policies, tokens);
criterion_main!(benches);
