//! How fast each stage is, in bytes or events a second.
//!
//! `cargo bench --bench stages` measures, `cargo bench --bench stages -- --test` only runs each
//! once. Times depend on the machine: compare runs on one.

// The macros make undocumented functions.
#![allow(missing_docs)]

mod crafted;

use crafted::Content;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prtrace::conclude;
use prtrace::event::Event;
use prtrace::evtx::chunk::{self, Slot, Span};
use prtrace::evtx::record;
use prtrace::evtx::select;
use prtrace::{machine, report, scan};
use std::hint::black_box;
use std::io;
use std::path::Path;

/// The records of a slot that may be ours, as the scan asks for them.
fn selected(slot: &[u8]) -> Vec<Span> {
    match chunk::read(slot) {
        Slot::Chunk(chunk) => select::wanted(slot, &chunk.records, select::Names::ours()),
        other => panic!("{other:?} is no chunk"),
    }
}

fn select(criterion: &mut Criterion) {
    let cases = [
        ("select-miss", Content::Foreign),
        ("select-hit", Content::Ours),
    ];
    for (name, content) in cases {
        let slot = crafted::chunk(content);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(slot.len() as u64));
        group.bench_function("chunk", |b| b.iter(|| selected(black_box(&slot))));
        group.finish();
    }
}

fn decode(criterion: &mut Criterion) {
    let slot = crafted::chunk(Content::Ours);
    let records = selected(&slot);
    let mut names = record::Names::default();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(slot.len() as u64));
    group.bench_function("chunk", |b| {
        let decode = |mut slot: Vec<u8>| record::decode(&mut slot, &records, &mut names);
        b.iter_batched(|| slot.clone(), decode, BatchSize::SmallInput);
    });
    group.finish();
}

fn scanned(path: &Path) -> machine::Scan {
    machine::scan(&[path.to_owned()], scan::Options::default()).unwrap()
}

/// The scan of a log of so many events of ours.
fn scan_of(events: usize) -> machine::Scan {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.evtx");
    crafted::write(&log, Content::Ours, 0, events).unwrap();
    scanned(&log)
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows");
    for count in [10_000, 100_000] {
        let scan = scan_of(count);
        let events: &[Event] = &scan.machines[0].events;
        assert_eq!(events.len(), count);
        group.sample_size(10);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| conclude::analyze(black_box(events)));
        });
    }
    group.finish();
}

fn report(criterion: &mut Criterion) {
    let scan = scan_of(10_000);
    let analyses = report::analyze(&scan);
    let json = |out: &mut dyn io::Write| {
        report::json::write(&report::Report::new(&scan, &analyses), out).unwrap();
    };
    let mut bytes = Vec::new();
    json(&mut bytes);
    let mut group = criterion.benchmark_group("report");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("json", |b| b.iter(|| json(&mut io::sink())));
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    const SIZE: u64 = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    let size = crafted::write_folder(folder.path(), SIZE).unwrap();
    let mut group = criterion.benchmark_group("whole");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(size));
    group.bench_function("folder", |b| b.iter(|| scanned(folder.path())));
    group.finish();
}

criterion_group!(stages, select, decode, windows, report, whole);
criterion_main!(stages);
