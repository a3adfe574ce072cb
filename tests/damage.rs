//! Damaged logs: what can be read is read, and what is lost is told with its place.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prtrace::base::problem::ProblemKind::{self, *};
use prtrace::{machine, scan};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use support::evtx::{Record, Shape, write_log, write_log_with_gap};
use support::{chunks, scenario, spans};

const HEADER: usize = 4096;
const CHUNK: usize = 65536;

/// What came out of a log: its events by record ID with all they hold, its problems by place, and
/// the number of its records.
struct Found {
    events: BTreeMap<u64, String>,
    problems: Vec<(ProblemKind, u64, u64)>,
    records: u64,
    duplicates: u64,
}

impl Found {
    fn ids(&self) -> Vec<u64> {
        self.events.keys().copied().collect()
    }
}

fn read(bytes: &[u8]) -> Found {
    try_read(bytes).unwrap()
}

fn try_read(bytes: &[u8]) -> Result<Found, scan::Error> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.evtx");
    fs::write(&log, bytes).unwrap();
    let scan = machine::scan(&[log], scan::Options::default().threads(1))?;
    let machines = scan.machines.iter();
    let events = machines
        .clone()
        .flat_map(|machine| &machine.events)
        .map(|event| (event.record_id, format!("{event:?}")))
        .collect();
    let mut problems: Vec<_> = machines
        .flat_map(|machine| &machine.problems)
        .chain(&scan.problems)
        .inspect(|problem| {
            assert!(problem.path.ends_with("log.evtx"));
            assert!(!problem.detail.is_empty());
        })
        // Not a place, but records here and there.
        .filter(|problem| problem.kind != ProblemKind::NameLost)
        .map(|problem| {
            let offset = problem.offset.expect("a place");
            (problem.kind, offset, problem.lost_bytes)
        })
        .collect();
    problems.sort_by_key(|(kind, offset, _)| (*offset, *kind));
    Ok(Found {
        events,
        problems,
        records: scan.records_read,
        duplicates: scan.duplicates,
    })
}

/// Records of about 5 KB, of which every fifth is another provider's: a dozen to a chunk.
fn records(count: usize, shape: Shape) -> Vec<Record> {
    let mut text = "computer PC-1.contoso.com\n".to_owned();
    for number in 0..count {
        let filler = format!("{number:04} ").repeat(500);
        text.push_str(&format!(
            "08:{:02}:{:02} 1081 Error=invalid_grant ErrorDescription=\"{filler}\" CorrelationID=11111111-2222-3333-4444-55555555{number:04}\n",
            number / 60,
            number % 60,
        ));
    }
    let mut logs = scenario::records(&text).unwrap();
    let mut records = logs.remove("Aad_Oper.evtx").unwrap();
    for (number, record) in records.iter_mut().enumerate() {
        record.shape = shape;
        if number % 5 == 4 {
            record.provider_name = "Somebody else".to_owned();
            record.provider_guid = [7; 16];
        }
    }
    records
}

/// Four chunks.
fn log() -> Vec<u8> {
    let log = write_log(&records(44, Shape::Template)).unwrap();
    assert_eq!(log.len(), HEADER + 4 * CHUNK);
    log
}

/// Where the records of all chunks stand, with their IDs.
fn places(log: &[u8]) -> Vec<(u64, Range<usize>)> {
    let spans = chunks(log).flat_map(|chunk| spans(log, chunk));
    let id =
        |span: &Range<usize>| u64::from_le_bytes(log[span.start + 8..][..8].try_into().unwrap());
    spans.map(|span| (id(&span), span)).collect()
}

fn chunk_of(at: usize) -> usize {
    (at - HEADER) / CHUNK
}

fn chunk_start(number: usize) -> usize {
    HEADER + number * CHUNK
}

fn ids_without(lost: impl Fn(u64, &Range<usize>) -> bool) -> Vec<u64> {
    places(&log())
        .iter()
        .filter(|(id, place)| !is_foreign(*id) && !lost(*id, place))
        .map(|(id, _)| *id)
        .collect()
}

/// Record IDs count from 1.
fn is_foreign(id: u64) -> bool {
    id.is_multiple_of(5)
}

fn problem(kind: ProblemKind, offset: usize, lost: usize) -> (ProblemKind, u64, u64) {
    (kind, offset as u64, lost as u64)
}

/// Makes the checksums of file and chunks agree with what they are of.
fn fix_checksums(log: &mut [u8]) {
    let crc = crc32fast::hash(&log[..120]);
    log[124..128].copy_from_slice(&crc.to_le_bytes());
    for chunk in chunks(log) {
        let chunk = &mut log[chunk..][..CHUNK];
        let free = u32::from_le_bytes(chunk[48..52].try_into().unwrap()) as usize;
        let crc = crc32fast::hash(&chunk[512..free]);
        chunk[52..56].copy_from_slice(&crc.to_le_bytes());
        let header = [&chunk[..120], &chunk[128..512]].concat();
        let crc = crc32fast::hash(&header);
        chunk[124..128].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn a_whole_log_has_no_problem() {
    let found = read(&log());
    assert_eq!(found.problems, []);
    assert_eq!(found.records, 44);
    assert_eq!(
        found.ids(),
        (1..=44).filter(|n| n % 5 != 0).collect::<Vec<_>>()
    );
}

#[test]
fn a_chunk_without_its_magic_is_lost_alone() {
    let mut log = log();
    log[chunk_start(1)..][..8].copy_from_slice(b"ElfChnX\0");
    let found = read(&log);
    assert_eq!(
        found.ids(),
        ids_without(|_, place| chunk_of(place.start) == 1)
    );
    assert_eq!(
        found.problems,
        [problem(DamagedChunk, chunk_start(1), CHUNK)]
    );
}

#[test]
fn a_wrong_checksum_alone_costs_no_record() {
    // The one over the records, the one over the header, and a header field that nobody needs.
    for at in [52, 124, 24] {
        let mut log = log();
        log[chunk_start(1) + at] ^= 0xff;
        let found = read(&log);
        assert_eq!(found.ids(), ids_without(|_, _| false));
        assert_eq!(found.events, read(&self::log()).events);
        assert_eq!(found.records, 44);
        assert_eq!(
            found.problems,
            [problem(ChecksumMismatch, chunk_start(1), 0)]
        );
    }
}

#[test]
fn a_stale_header_hides_no_chunk() {
    let mut log = log();
    // One chunk in use, next record 2: as in a copy of a log that is still written.
    log[16..24].copy_from_slice(&0_u64.to_le_bytes());
    log[24..32].copy_from_slice(&2_u64.to_le_bytes());
    log[42..44].copy_from_slice(&1_u16.to_le_bytes());
    log[120] |= 1;
    fix_checksums(&mut log);
    let found = read(&log);
    assert_eq!(found.events, read(&self::log()).events);
    assert_eq!(found.problems, []);
}

#[test]
fn a_stale_chunk_header_hides_no_record() {
    let mut log = log();
    // The records were written, the header was not: it calls the third record free space.
    let third = spans(&log, chunk_start(2))[2].start - chunk_start(2);
    log[chunk_start(2) + 48..][..4].copy_from_slice(&(third as u32).to_le_bytes());
    let found = read(&log);
    assert_eq!(found.events, read(&self::log()).events);
    assert_eq!(
        found.problems,
        [problem(ChecksumMismatch, chunk_start(2), 0)]
    );
}

#[test]
fn records_behind_a_sound_mark_are_of_the_last_round() {
    let mut log = log();
    let third = spans(&log, chunk_start(3))[2].start;
    let mark = (third - chunk_start(3)) as u32;
    log[chunk_start(3) + 48..][..4].copy_from_slice(&mark.to_le_bytes());
    fix_checksums(&mut log);
    let found = read(&log);
    let old = |_: u64, place: &Range<usize>| place.start >= third;
    assert_eq!(found.ids(), ids_without(old));
    assert_eq!(found.problems, []);
}

#[test]
fn a_garbage_record_costs_only_itself() {
    let place = spans(&log(), chunk_start(1))[5].clone();
    // All of it, its magic, its size, the copy of its size.
    let parts: [Range<usize>; 4] = [
        place.clone(),
        place.start..place.start + 4,
        place.start + 4..place.start + 8,
        place.end - 4..place.end,
    ];
    for part in parts {
        let mut log = log();
        log[part.clone()].fill(0xaa);
        let found = read(&log);
        assert_eq!(
            found.ids(),
            ids_without(|_, span| *span == place),
            "{part:?}"
        );
        assert_eq!(found.records, 43);
        assert_eq!(
            found.problems,
            [
                problem(ChecksumMismatch, chunk_start(1), 0),
                problem(DamagedRecords, place.start, place.len()),
            ]
        );
    }
}

#[test]
fn two_garbage_records_side_by_side_are_one_place() {
    let mut log = log();
    let spans = spans(&log, chunk_start(1));
    let place = spans[5].start..spans[6].end;
    log[place.clone()].fill(0);
    let found = read(&log);
    let lost = |_: u64, span: &Range<usize>| place.contains(&span.start);
    assert_eq!(found.ids(), ids_without(lost));
    assert_eq!(
        found.problems,
        [
            problem(ChecksumMismatch, chunk_start(1), 0),
            problem(DamagedRecords, place.start, place.len()),
        ]
    );
}

#[test]
fn a_record_that_cannot_be_decoded_is_told_by_its_place() {
    let mut log = log();
    let place = spans(&log, chunk_start(1))[5].clone();
    log[place.start + 24..place.end - 4].fill(0xff);
    fix_checksums(&mut log);
    let found = read(&log);
    assert_eq!(found.ids(), ids_without(|_, span| *span == place));
    assert_eq!(found.records, 44);
    assert_eq!(
        found.problems,
        [problem(UndecodableRecord, place.start, place.len())]
    );
}

#[test]
fn without_the_record_that_defines_the_template_the_others_are_told_one_by_one() {
    // With a literal provider nothing but that record says whose the others are.
    for shape in [Shape::Template, Shape::LiteralProvider] {
        let mut log = write_log(&records(4, shape)).unwrap();
        let spans = spans(&log, HEADER);
        log[spans[0].clone()].fill(0xaa);
        let found = read(&log);
        assert_eq!(found.ids(), [0; 0], "{shape:?}");
        assert_eq!(
            found.problems,
            [
                problem(ChecksumMismatch, HEADER, 0),
                problem(DamagedRecords, spans[0].start, spans[0].len()),
                problem(UndecodableRecord, spans[1].start, spans[1].len()),
                problem(UndecodableRecord, spans[2].start, spans[2].len()),
                problem(UndecodableRecord, spans[3].start, spans[3].len()),
            ],
            "{shape:?}"
        );
    }
}

#[test]
fn small_gaps_cost_no_record() {
    let whole = records(6, Shape::Template);
    let expected = read(&write_log(&whole).unwrap()).events;
    for size in [1, 4, 8, 24, 27, 28, 29, 64] {
        for filler in [0x00, 0xaa, b'*'] {
            let gap = vec![filler; size];
            // After the first record. The others refer to what stands in it and can be moved.
            let mut log = write_log(&whole).unwrap();
            let at = spans(&log, HEADER)[0].end;
            log.splice(at..at, gap.clone());
            log.truncate(HEADER + CHUNK);
            let free = u32::from_le_bytes(log[HEADER + 48..][..4].try_into().unwrap());
            let free = free + size as u32;
            log[HEADER + 48..][..4].copy_from_slice(&free.to_le_bytes());
            fix_checksums(&mut log);
            let found = read(&log);
            assert_eq!(
                found.events, expected,
                "{size} times {filler} after a record"
            );
            assert_eq!(found.problems, [problem(DamagedRecords, at, size)]);

            // Before the first record.
            let log = write_log_with_gap(&whole, &gap).unwrap();
            let found = read(&log);
            assert_eq!(found.events, expected, "{size} times {filler} at the start");
            assert_eq!(
                found.problems,
                [problem(DamagedRecords, HEADER + 512, size)]
            );
        }
    }
}

#[test]
fn a_log_cut_inside_a_record_keeps_the_records_before() {
    let log = log();
    let place = spans(&log, chunk_start(3))[1].clone();
    for cut in [place.start + 1, place.start + 24, place.end - 1] {
        let found = read(&log[..cut]);
        assert_eq!(found.ids(), ids_without(|_, span| span.end > cut));
        assert_eq!(
            found.problems,
            [
                problem(ChecksumMismatch, chunk_start(3), 0),
                problem(DamagedRecords, place.start, cut - place.start),
                problem(Truncated, cut, log.len() - cut),
            ]
        );
    }
}

#[test]
fn a_log_cut_inside_a_chunk_header_loses_that_chunk() {
    let log = log();
    for length in [1, 7, 8, 100, 511] {
        let found = read(&log[..chunk_start(3) + length]);
        assert_eq!(
            found.ids(),
            ids_without(|_, span| chunk_of(span.start) == 3)
        );
        let places: Vec<_> = found
            .problems
            .iter()
            .map(|(kind, at, _)| (*kind, *at))
            .collect();
        assert_eq!(places, [(DamagedChunk, chunk_start(3) as u64)]);
    }
}

#[test]
fn an_overwritten_file_header_costs_no_record() {
    let whole = read(&log());
    for (part, filler) in [
        (0..HEADER, 0),
        (0..8, 0xff),
        (0..HEADER, 0xff),
        (30..60, 0x55),
    ] {
        let mut log = log();
        log[part].fill(filler);
        let found = read(&log);
        assert_eq!(found.events, whole.events);
        assert_eq!(found.problems, [problem(DamagedHeader, 0, 0)]);
    }
}

#[test]
fn a_header_cut_short_is_damaged() {
    let log = log();
    for length in [8, 100, 127] {
        let found = read(&log[..length]);
        assert_eq!(found.records, 0);
        assert_eq!(found.problems, [problem(DamagedHeader, 0, 0)]);
    }
}

#[test]
fn unused_slots_are_no_problem() {
    let mut log = log();
    log.resize(HEADER + 9 * CHUNK, 0);
    let found = read(&log);
    assert_eq!(found.ids(), ids_without(|_, _| false));
    assert_eq!(found.problems, []);
}

#[test]
fn a_chunk_that_stands_twice_gives_its_events_once() {
    let mut log = log();
    let copy = log[chunk_start(1)..chunk_start(2)].to_vec();
    let ours = places(&log)
        .iter()
        .filter(|(id, place)| chunk_of(place.start) == 1 && !is_foreign(*id))
        .count();
    log.extend(copy);
    let found = read(&log);
    assert_eq!(found.events, read(&self::log()).events);
    assert_eq!(found.duplicates, ours as u64);
    assert_eq!(found.problems, []);
}

#[test]
fn destroyed_tables_of_strings_and_templates_cost_no_record() {
    let whole = read(&log());
    for (table, filler) in [(128..384, 0xff), (384..512, 0xff), (128..512, 0x41)] {
        let mut log = log();
        log[chunk_start(1)..][table].fill(filler);
        let found = read(&log);
        assert_eq!(found.events, whole.events);
        assert_eq!(
            found.problems,
            [problem(ChecksumMismatch, chunk_start(1), 0)]
        );
    }
}

#[test]
fn records_of_every_shape_are_read_beside_a_garbage_one() {
    let expected: Vec<Vec<String>> = [Shape::Template, Shape::LiteralProvider, Shape::Bare]
        .into_iter()
        .map(|shape| {
            let log = write_log(&records(9, shape)).unwrap();
            let found = read(&log);
            assert_eq!(found.ids(), [1, 2, 3, 4, 6, 7, 8, 9]);
            assert_eq!(found.problems, []);

            // The fourth record defines nothing that another one needs: the fifth does.
            let mut damaged = log.clone();
            let place = spans(&log, HEADER)[3].clone();
            damaged[place.clone()].fill(0xaa);
            let found_damaged = read(&damaged);
            assert_eq!(found_damaged.ids(), [1, 2, 3, 6, 7, 8, 9], "{shape:?}");
            assert_eq!(
                found_damaged.problems,
                [
                    problem(ChecksumMismatch, HEADER, 0),
                    problem(DamagedRecords, place.start, place.len()),
                ]
            );
            found.events.into_values().collect()
        })
        .collect();
    // What is read does not depend on the shape.
    assert_eq!(expected[0], expected[1]);
    assert_eq!(expected[0], expected[2]);
}

/// One way to damage a log. Places are shares of what there is, so that they can shrink.
#[derive(Clone, Debug)]
enum Damage {
    Flip {
        at: usize,
        bits: u8,
    },
    Fill {
        at: usize,
        length: usize,
        with: u8,
    },
    Overwrite {
        at: usize,
        bytes: Vec<u8>,
    },
    SwapSizes {
        one: usize,
        other: usize,
    },
    Copy {
        from: usize,
        to: usize,
        length: usize,
    },
    Truncate {
        length: usize,
    },
    AppendChunk {
        number: usize,
    },
}

impl Damage {
    fn apply(&self, log: &mut Vec<u8>, whole: &[u8]) {
        let length = log.len();
        let within = |at: usize, count: usize| {
            let start = at.min(length);
            start..(start + count).min(length)
        };
        match *self {
            Damage::Flip { at, bits } => {
                if let Some(byte) = log.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Damage::Fill { at, length, with } => log[within(at, length)].fill(with),
            Damage::Overwrite { at, ref bytes } => {
                let place = within(at, bytes.len());
                let count = place.len();
                log[place].copy_from_slice(&bytes[..count]);
            }
            Damage::SwapSizes { one, other } => {
                let places = places(whole);
                let one = places[one % places.len()].1.start + 4;
                let other = places[other % places.len()].1.start + 4;
                if one.max(other) + 4 <= length {
                    for byte in 0..4 {
                        log.swap(one + byte, other + byte);
                    }
                }
            }
            Damage::Copy { from, to, length } => {
                let bytes = log[within(from, length)].to_vec();
                let place = within(to, bytes.len());
                let count = place.len();
                log[place].copy_from_slice(&bytes[..count]);
            }
            Damage::Truncate { length } => log.truncate(length),
            Damage::AppendChunk { number } => {
                log.extend(&whole[chunk_start(number)..][..CHUNK]);
            }
        }
    }
}

/// A place in the log: anywhere, or where it hurts.
fn place() -> impl Strategy<Value = usize> {
    let places = places(&log());
    let in_header = (0_usize..4, 0_usize..512);
    let in_record = (0..places.len(), 0_usize..64);
    prop_oneof![
        HEADER..HEADER + 4 * CHUNK,
        0_usize..HEADER,
        in_header.prop_map(|(chunk, at)| chunk_start(chunk) + at),
        in_record.prop_map(move |(number, at)| places[number].1.start + at),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let length = || prop_oneof![1_usize..64, 1_usize..8192];
    prop_oneof![
        4 => (place(), 1_u8..).prop_map(|(at, bits)| Damage::Flip { at, bits }),
        2 => (place(), length(), any::<u8>())
            .prop_map(|(at, length, with)| Damage::Fill { at, length, with }),
        2 => (place(), length()).prop_map(|(at, length)| Damage::Fill { at, length, with: 0 }),
        3 => (place(), prop::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Damage::Overwrite { at, bytes }),
        1 => (0_usize..44, 0_usize..44)
            .prop_map(|(one, other)| Damage::SwapSizes { one, other }),
        2 => (place(), place(), length())
            .prop_map(|(from, to, length)| Damage::Copy { from, to, length }),
        1 => (HEADER + 1..HEADER + 4 * CHUNK)
            .prop_filter("ends inside a chunk", |length| !(length - HEADER).is_multiple_of(CHUNK))
            .prop_map(|length| Damage::Truncate { length }),
        1 => (0_usize..4).prop_map(|number| Damage::AppendChunk { number }),
    ]
}

/// What must hold of a damaged log beside the whole one.
fn check(whole_log: &[u8], whole: &Found, log: &[u8]) -> Result<(), String> {
    let same = |place: &Range<usize>| log.get(place.clone()) == Some(&whole_log[place.clone()]);
    let found = match try_read(log) {
        Ok(found) => found,
        // Only what does not even look like a log is refused.
        Err(error) => {
            let unlike = !same(&(0..8)) && !same(&(HEADER..HEADER + 8));
            return match unlike {
                true => Ok(()),
                false => Err(format!("refused: {error}")),
            };
        }
    };
    // The flags are not under the checksum.
    let header_changed = !same(&(0..120)) || !same(&(124..128));
    if header_changed && !found.problems.contains(&problem(DamagedHeader, 0, 0)) {
        return Err("the header is damaged and nobody says so".to_owned());
    }
    for chunk in chunks(whole_log) {
        let slot = chunk..chunk + CHUNK;
        let spans = spans(whole_log, chunk);
        let first = spans[0].clone();
        let can_be_read = |span: &Range<usize>| {
            let magic = same(&(chunk..chunk + 8));
            // All records of a chunk need what its first one defines.
            magic && same(&first) && same(span)
        };
        for (id, span) in places(whole_log)
            .into_iter()
            .filter(|(_, s)| slot.contains(&s.start))
        {
            if is_foreign(id) || found.events.get(&id) == whole.events.get(&id) {
                continue;
            }
            let what = format!("record {id} at {span:?}");
            if same(&slot) {
                return Err(format!("{what}: lost though its chunk is whole"));
            }
            if can_be_read(&span) {
                return Err(format!("{what}: lost though it can be read"));
            }
            // Behind the end of the file one problem stands for all.
            if span.start >= log.len() && !found.problems.is_empty() {
                continue;
            }
            // It is lost or not what it was: some problem is about its bytes or its chunk.
            let told = found.problems.iter().any(|(kind, offset, lost)| {
                let (start, end) = (*offset as usize, (*offset + *lost) as usize);
                match kind {
                    ChecksumMismatch | DamagedChunk => start == chunk,
                    _ => start < span.end && span.start < end,
                }
            });
            if !told {
                return Err(format!("{what}: lost and nobody says so"));
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_is_lost_in_silence() {
    let whole_log = log();
    let whole = read(&whole_log);
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    // The same cases every time: a failure is one of this change, and can be repeated.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = prop::collection::vec(damage(), 1..4);
    let result = runner.run(&strategy, |damages| {
        let mut log = whole_log.clone();
        for damage in &damages {
            damage.apply(&mut log, &whole_log);
        }
        check(&whole_log, &whole, &log).map_err(TestCaseError::fail)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
