//! The selection and the decoding, held against a full parse of the same chunks: a record of a
//! wanted provider is never left out, and decoding the selected ones alone gives what the full
//! parse gives for them.

#[path = "support/full/mod.rs"]
mod full;
#[path = "support/logs.rs"]
mod logs;
mod support;

use full::oracle::{self, Checked, Counts, Element, Wanted};
use full::{binxml, hidden};
use prtrace::event::Event;
use prtrace::evtx::chunk::{CHUNK_SIZE, FILE_HEADER_SIZE};
use prtrace::evtx::record;
use prtrace::evtx::select;
use prtrace::{machine, scan};
use rayon::prelude::*;
use std::fs;
use std::path::Path;
use support::evtx::{Record, Shape, Value, parse_guid, write_log};

/// Providers that the tool does not select; their records are many in any set of logs.
const OTHERS: [&[&str]; 4] = [
    &["Microsoft-Windows-Security-Auditing"],
    &["PowerShell", "Microsoft-Windows-PowerShell"],
    &["Service Control Manager"],
    &["Microsoft-Windows-Sysmon"],
];

fn choices() -> Vec<Wanted<'static>> {
    let others = OTHERS.map(|names| Wanted { names, guids: &[] });
    std::iter::once(oracle::OURS).chain(others).collect()
}

fn chunks(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slots = log.get(FILE_HEADER_SIZE as usize..).unwrap_or(&[]);
    slots.chunks(CHUNK_SIZE)
}

/// An event as the full parse's XML has it.
#[derive(Debug, PartialEq)]
struct Expected {
    /// System, in the order of its parts.
    system: Vec<(&'static str, String)>,
    data: Vec<(String, String)>,
}

fn expected(event: &Element) -> Expected {
    let system = event.child("System").unwrap();
    let text = |name: &str| system.child(name).map_or("", |child| child.text.as_str());
    let attribute = |element: &str, name: &str| {
        let element = system.child(element);
        element
            .and_then(|element| element.attribute(name))
            .unwrap_or("")
    };
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or(0).to_string();
    let keywords = u64::from_str_radix(text("Keywords").trim_start_matches("0x"), 16).unwrap_or(0);
    let guid = attribute("Correlation", "ActivityID").to_lowercase();
    let provider = match oracle::provider(event).unwrap() {
        oracle::Named::Name(name) => name,
        oracle::Named::Guid(guid) => match guid.starts_with("4de9") {
            true => hidden::OURS.to_owned(),
            false => "Microsoft-Windows-User Device Registration".to_owned(),
        },
    };
    let mut data: Vec<(String, String)> = Vec::new();
    let payload = event
        .children
        .iter()
        .filter(|child| child.name == "EventData" || child.name == "UserData");
    for field in payload.flat_map(|payload| &payload.children) {
        let name = field.attribute("Name").unwrap_or(&field.name).to_owned();
        let same = data.iter().filter(|(known, _)| {
            known
                .strip_prefix(&name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        });
        let name = match same.count() {
            0 => name,
            count => format!("{name}#{}", count + 1),
        };
        data.push((name, field.text.clone()));
    }
    Expected {
        system: vec![
            ("provider", provider),
            ("id", number(text("EventID"))),
            ("version", number(text("Version"))),
            ("level", number(text("Level")).replace('0', "4")),
            ("task", number(text("Task"))),
            ("opcode", number(text("Opcode"))),
            ("keywords", format!("{keywords:#x}")),
            ("time", attribute("TimeCreated", "SystemTime").to_owned()),
            ("record", number(text("EventRecordID"))),
            ("process", number(attribute("Execution", "ProcessID"))),
            ("thread", number(attribute("Execution", "ThreadID"))),
            ("activity", guid.trim_matches(['{', '}']).to_owned()),
            ("channel", text("Channel").to_owned()),
            ("computer", text("Computer").to_owned()),
            ("user", attribute("Security", "UserID").to_owned()),
        ],
        data,
    }
}

fn level(event: &Event) -> u8 {
    use prtrace::event::Level;
    match event.level {
        Level::Critical => 1,
        Level::Error => 2,
        Level::Warning => 3,
        Level::Information => 4,
        Level::Verbose => 5,
    }
}

fn actual(event: &Event) -> Expected {
    let time = event.time().format("%Y-%m-%dT%H:%M:%S");
    let ticks = event.time().timestamp_subsec_nanos() / 100;
    Expected {
        system: vec![
            ("provider", event.provider.name().to_owned()),
            ("id", event.event_id.to_string()),
            ("version", event.version.to_string()),
            ("level", level(event).to_string()),
            ("task", event.task.to_string()),
            ("opcode", event.opcode.to_string()),
            ("keywords", format!("{:#x}", event.keywords)),
            ("time", format!("{time}.{ticks:07}Z")),
            ("record", event.record_id.to_string()),
            ("process", event.process_id().unwrap_or(0).to_string()),
            ("thread", event.thread_id().unwrap_or(0).to_string()),
            (
                "activity",
                event
                    .activity_id()
                    .map_or(String::new(), |id| id.to_string()),
            ),
            ("channel", event.channel.to_string()),
            ("computer", event.computer.to_string()),
            ("user", event.user_sid.as_deref().unwrap_or("").to_owned()),
        ],
        data: event
            .data()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    }
}

/// Whether a value is this one but for what was masked in it.
fn same_but_masked(expected: &str, actual: &str) -> bool {
    let mut parts = actual.split("[masked]");
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = expected.strip_prefix(first) else {
        return false;
    };
    let mut last = first;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = part;
    }
    match actual.contains("[masked]") {
        true => last.is_empty() || expected.ends_with(last),
        false => rest.is_empty(),
    }
}

fn assert_same(expected: &Expected, event: &Event, place: &str) {
    let actual = actual(event);
    assert_eq!(expected.system, actual.system, "{place}");
    let names = |data: &[(String, String)]| data.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(&expected.data), names(&actual.data), "{place}");
    for ((name, expected), (_, actual)) in expected.data.iter().zip(&actual.data) {
        let same = same_but_masked(expected, actual);
        assert!(same, "{place}: {name}: {actual:?} for {expected:?}");
    }
}

/// Checks a log for every choice of providers. The counts of each, and of the events.
fn check_log(log: &[u8], place: &str) -> (Vec<Counts>, usize) {
    let mut counts = vec![Counts::default(); choices().len()];
    let mut events = 0;
    for (number, slot) in chunks(log).enumerate() {
        let place = format!("{place}, chunk {number}");
        let Some(checked) = Checked::new(slot) else {
            continue;
        };
        for (wanted, counts) in choices().iter().zip(&mut counts) {
            let found = checked.check(wanted);
            *counts += found.unwrap_or_else(|problem| panic!("{place}: {problem}"));
        }
        let decoded = checked.decode();
        let decoded = decoded.unwrap_or_else(|problem| panic!("{place}: {problem}"));
        let mut full: Vec<(u64, Expected)> = Vec::new();
        for record in &checked.records {
            let found = checked.full.get(&record.start);
            let tree = found
                .filter(|full| oracle::OURS.is(full))
                .and_then(|full| full.tree.as_ref());
            full.extend(tree.map(|tree| (record.number, expected(tree))));
        }
        let numbers: Vec<u64> = full.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, decoded.numbers, "{place}");
        assert_eq!(numbers.len(), decoded.events.len(), "{place}");
        for ((_, expected), event) in full.iter().zip(&decoded.events) {
            assert_same(expected, event, &place);
        }
        events += numbers.len();
        assert_eq!(checked.agree(), Ok(numbers.len()), "{place}");
        for name in OTHERS.into_iter().flatten() {
            if let Some(slot) = disguised(slot, name)
                && let Some(checked) = Checked::new(&slot)
                && let Err(problem) = checked.agree()
            {
                panic!("{place} as of {name}: {problem}");
            }
        }
    }
    (counts, events)
}

/// A chunk with the records of another provider under the name of ours, so that both ways of
/// decoding are tried on values of every kind. Nothing if there are none, or the name is too short.
fn disguised(slot: &[u8], name: &str) -> Option<Vec<u8>> {
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let (name, mut ours) = (utf16(name), utf16(hidden::OURS));
    let places: Vec<usize> = memchr::memmem::find_iter(slot, &name).collect();
    if places.is_empty() || ours.len() > name.len() {
        return None;
    }
    // A text ends at its first NUL.
    ours.resize(name.len(), 0);
    let mut slot = slot.to_vec();
    for place in places {
        slot[place..place + ours.len()].copy_from_slice(&ours);
    }
    Some(slot)
}

fn check_folder(folder: &Path) -> (Vec<Counts>, usize) {
    let all = logs::files_in(folder)
        .par_iter()
        .map(|file| check_log(&fs::read(file).unwrap(), &file.display().to_string()))
        .collect::<Vec<_>>();
    let mut sum = vec![Counts::default(); choices().len()];
    let mut events = 0;
    for (counts, found) in all {
        for (sum, counts) in sum.iter_mut().zip(counts) {
            *sum += counts;
        }
        events += found;
    }
    for (wanted, counts) in choices().iter().zip(&sum) {
        eprintln!("{:?}: {counts:?}", wanted.names);
    }
    (sum, events)
}

#[test]
fn real_logs() {
    let Some(logs) = logs::unpacked_logs() else {
        return;
    };
    let (counts, events) = check_folder(&logs.join("real"));
    for (wanted, counts) in choices().iter().zip(&counts) {
        assert_eq!(counts.foreign, 0, "{:?}", wanted.names);
        assert_eq!(counts.reported, 0, "{:?}", wanted.names);
        assert_eq!(counts.changed, 0, "{:?}", wanted.names);
        assert_eq!(counts.records, counts.decoded);
        assert!(counts.ours > 0, "no record of {:?} at all", wanted.names);
    }
    assert_eq!(events, counts[0].ours);
}

#[test]
fn damaged_logs() {
    let Some(logs) = logs::unpacked_logs() else {
        return;
    };
    let (counts, _) = check_folder(&logs.join("damaged"));
    assert!(counts[0].records > 0);
    for counts in counts {
        assert_eq!((counts.reported, counts.changed), (0, 0));
    }
}

fn record(provider: (&str, &str), number: u64, shape: Shape) -> Record {
    Record {
        time_filetime: 132_000_000_000_000_000 + number,
        record_id: number,
        provider_name: provider.0.to_owned(),
        provider_guid: parse_guid(provider.1).unwrap(),
        event_id: 1098,
        version: 0,
        level: (number % 6) as u8,
        task: 101,
        opcode: 0,
        keywords: 0x4000_0000_0000_0000,
        channel: "Microsoft-Windows-AAD/Operational".to_owned(),
        computer: "PC-1.contoso.com".to_owned(),
        process_id: (!number.is_multiple_of(3)).then_some(4242),
        thread_id: (!number.is_multiple_of(3)).then_some(1),
        activity_id: number.is_multiple_of(2).then_some([number as u8 | 1; 16]),
        user_sid: number
            .is_multiple_of(2)
            .then(|| "S-1-5-21-1-2-3-1001".to_owned()),
        data: vec![
            ("Error".to_owned(), Value::HexInt32(0xcaa2_0003)),
            (
                "Text".to_owned(),
                Value::Unicode(format!("a <b> & \"c\" {number}")),
            ),
            ("Text".to_owned(), Value::Ansi("d\u{e9}".to_owned())),
            ("Empty".to_owned(), Value::Null),
            ("Pointer".to_owned(), Value::Pointer(16)),
            ("Yes".to_owned(), Value::Boolean(true)),
        ],
        shape,
    }
}

/// Without a chunk's header the evtx crate reads nothing: what is decoded all the same was decoded
/// from its values.
#[test]
fn records_of_the_usual_shape_need_no_xml() {
    let shapes = [Shape::Template, Shape::LiteralProvider]
        .into_iter()
        .cycle();
    let records: Vec<Record> = (1..=12)
        .zip(shapes)
        .map(|(number, shape)| {
            let mut record = record(AAD, number, shape);
            record
                .data
                .retain(|(_, value)| !matches!(value, Value::Ansi(_)));
            record
        })
        .collect();
    let log = write_log(&records).unwrap();
    let slot = chunks(&log).next().unwrap();
    let spans = Checked::new(slot).unwrap().records;
    let mut slot = slot.to_vec();
    slot[..8].fill(0);
    let mut names = record::Names::default();
    let decoded = record::decode(&mut slot, &spans, &mut names);
    let counts = (decoded.events.len(), decoded.failed.len());
    assert_eq!(counts, (records.len(), 0));
    let data = decoded.events[1].data();
    assert_eq!(data.get("Text"), Some("a <b> & \"c\" 2"));
    assert_eq!(data.get("Pointer"), Some("0x10"));
    let decoded = record::decode_through_xml(&mut slot, &spans, &mut names);
    let counts = (decoded.events.len(), decoded.failed.len());
    assert_eq!(counts, (0, records.len()));
}

/// Two of four records have a value that only the evtx crate reads: behind their System part they
/// are read anew.
#[test]
fn activities_stay_with_their_records() {
    let (one, other, zero) = (Some([0xa1; 16]), Some([0xb2; 16]), Some([0; 16]));
    let activities = [one, one, other, None, other, zero, one, other, one];
    let records: Vec<Record> = (0..90)
        .map(|number| {
            let mut record = record(AAD, number + 1, Shape::Template);
            record.activity_id = activities[number as usize % activities.len()];
            let straight = number % 4 < 2;
            record
                .data
                .retain(|(_, value)| !straight || !matches!(value, Value::Ansi(_)));
            record
        })
        .collect();
    let log = write_log(&records).unwrap();
    let mut found = Vec::new();
    for checked in chunks(&log).filter_map(Checked::new) {
        let events = checked.decode().unwrap().events;
        assert_eq!(checked.agree(), Ok(events.len()));
        let ids = events.iter().map(Event::activity_id);
        found.extend(ids.map(|id| id.map(|id| id.to_bytes_le())));
    }
    let written = records.iter().map(|record| record.activity_id);
    // The zero GUID is none.
    let expected: Vec<_> = written.map(|id| id.filter(|id| *id != [0; 16])).collect();
    assert_eq!(found, expected);
}

const AAD: (&str, &str) = (hidden::OURS, "{4de9bc9c-b27a-43c9-8994-0915f1a5e24f}");
const UDR: (&str, &str) = (
    "Microsoft-Windows-User Device Registration",
    "{23b8d46b-67dd-40a3-b636-d43e50552c6d}",
);
const KERNEL: (&str, &str) = (hidden::FOREIGN, "{a68ca8b7-004f-d7b6-a698-07e2de0f1f5d}");
const SHAPES: [Shape; 3] = [Shape::Template, Shape::LiteralProvider, Shape::Bare];

#[test]
fn crafted_logs() {
    let mut all = Vec::new();
    for first in [AAD, UDR, KERNEL] {
        for shape in SHAPES {
            // Several chunks of one shape, every third record of another provider. Where the
            // foreign one is the first, the template is defined in what is covered.
            let records = (0..400_u64).map(|number| {
                let others = [first, KERNEL, AAD, UDR];
                record(others[number as usize % 4], number + 1, shape)
            });
            all.push(records.collect::<Vec<_>>());
        }
        let records = (0..400_u64).map(|number| {
            let providers = [first, KERNEL, UDR, KERNEL, AAD];
            let shape = SHAPES[number as usize % 3];
            record(providers[number as usize % 5], number + 1, shape)
        });
        all.push(records.collect());
    }
    for records in all {
        let ours = |record: &&Record| record.provider_name != KERNEL.0;
        let (counts, events) = check_log(&write_log(&records).unwrap(), "crafted");
        assert!(chunks(&write_log(&records).unwrap()).count() > 1);
        assert_eq!(events, records.iter().filter(ours).count());
        assert_eq!((counts[0].reported, counts[0].changed), (0, 0));
        // Of bare records none can be told in place.
        let bare = records
            .iter()
            .filter(|r| !ours(r) && r.shape == Shape::Bare);
        assert_eq!(counts[0].foreign, bare.count());
    }
}

fn check_case(case: &hidden::Case) -> Result<(), String> {
    let checked = Checked::new(&case.chunk).ok_or("no chunk")?;
    let counts = checked.check(&oracle::OURS)?;
    let events = checked.decode()?.events;
    if counts.ours != case.ours {
        let xml: Vec<_> = checked.full.values().map(|full| &full.xml).collect();
        return Err(format!("a full parse finds {counts:?} {xml:#?}"));
    }
    let as_listed = counts.reported == case.reported && counts.changed == 0;
    if !case.selected.contains(&counts.selected) || !as_listed {
        return Err(format!("{counts:?}"));
    }
    if events.len() > case.ours {
        return Err(format!("{} events", events.len()));
    }
    Ok(())
}

fn check_cases(cases: &[hidden::Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.title, check_case(case).err()?)))
        .collect();
    let count = (wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{count:?}\n{}", wrong.join("\n\n"));
}

#[test]
fn records_that_hide() {
    check_cases(&hidden::cases());
}

#[test]
fn records_that_covering_could_lose() {
    check_cases(&hidden::covered());
}

/// A template's definition may run over the header of another record, which covering changes; no
/// writer does that. The record must still come out as one of ours or be listed.
#[test]
fn a_definition_over_a_covered_header_loses_no_record() {
    for chunk in [hidden::over_a_header(), hidden::name_in_a_header()] {
        let checked = Checked::new(&chunk).unwrap();
        let ours = checked.full.values().filter(|full| oracle::OURS.is(full));
        assert_eq!(ours.count(), 3);
        let spans = &checked.records;
        let wanted = select::wanted(&chunk, spans, select::Names::ours());
        assert_eq!(wanted.len(), 3);
        let mut slot = chunk.clone();
        let decoded = record::decode(&mut slot, &wanted, &mut record::Names::default());
        assert_eq!(decoded.events.len() + decoded.failed.len(), 3);
    }
}

/// What the scan makes of a log with this one chunk: the events, and the problems it lists.
fn scanned(chunk: &[u8]) -> (usize, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.evtx");
    fs::write(&path, binxml::log_of(chunk)).unwrap();
    // Worker threads have the stack that they have in use.
    let scan = machine::scan(&[path], scan::Options::default().threads(2)).unwrap();
    let events = scan.machines.iter().map(|machine| machine.events.len());
    let of_machines = scan.machines.iter().flat_map(|machine| &machine.problems);
    let problems = scan.problems.iter().chain(of_machines);
    (
        events.sum(),
        problems.map(|problem| problem.detail.clone()).collect(),
    )
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for (title, chunk, decoded) in hidden::deep() {
        let (events, problems) = scanned(&chunk);
        assert_eq!(events + problems.len(), 1, "{title}: {problems:?}");
        assert_eq!(events == 1, decoded, "{title}: {problems:?}");
    }
}
