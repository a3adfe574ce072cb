//! The crafted logs mean the same to a second, independent reader: python-evtx.
//!
//! `PRTRACE_PYTHON` names a Python that has it; `.ci/run` installs one. Without it there is nothing
//! to test, unless `PRTRACE_REQUIRE` says that there must be.

mod support;

use quick_xml::events::Event as Xml;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::evtx::{Record, Shape, Value, parse_guid, write_log};
use support::{file_names, samples, scenario};

/// The records of the logs as the other reader prints them, a line each.
fn other_reader(python: &OsStr, logs: &[PathBuf]) -> Vec<String> {
    let output = Command::new(python)
        .arg("tests/support/independent_reader.py")
        .args(logs)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// The same from the reader that prtrace uses.
fn our_reader(logs: &[PathBuf]) -> Vec<String> {
    let mut lines = Vec::new();
    for log in logs {
        let name = log.file_name().unwrap().to_str().unwrap();
        let settings = evtx::ParserSettings::new()
            .validate_checksums(true)
            .indent(false);
        let parser = evtx::EvtxParser::from_path(log).unwrap();
        for record in parser.with_configuration(settings).records() {
            lines.push(line(name, &record.unwrap().data));
        }
    }
    lines
}

/// A record's XML as the script prints a record.
fn line(file: &str, xml: &str) -> String {
    let mut reader = quick_xml::Reader::from_str(xml);
    // `Element` and `Element.Attribute` of the System part.
    let mut system: BTreeMap<String, String> = BTreeMap::new();
    let mut data: Vec<String> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut field = String::new();
    let mut text = String::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Xml::Eof => break,
            Xml::Start(element) | Xml::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap();
                    let value = quick_xml::escape::unescape(&attribute.value).unwrap();
                    if name == "Data" {
                        field = value.to_string();
                    }
                    let key = format!("{name}.{}", attribute.key.as_ref());
                    system.insert(key, value.into_owned());
                }
                text.clear();
                if matches!(event, Xml::Start(_)) {
                    path.push(name);
                } else if name == "Data" {
                    data.push(format!("{field}="));
                }
            }
            Xml::Text(part) => text.push_str(part),
            Xml::GeneralRef(entity) => match entity.resolve_char_ref().unwrap() {
                Some(character) => text.push(character),
                None => {
                    text.push_str(quick_xml::escape::resolve_predefined_entity(entity).unwrap());
                }
            },
            Xml::End(_) => {
                let name = path.pop().unwrap();
                if name == "Data" {
                    data.push(format!("{field}={text}"));
                } else if path.last().is_some_and(|parent| parent == "System") {
                    system.insert(name, text.clone());
                }
                text.clear();
            }
            _ => {}
        }
    }
    let value = |key: &str| system.get(key).cloned().unwrap_or_default();
    let time = value("TimeCreated.SystemTime");
    let time = time.trim_end_matches('Z');
    let (whole, ticks) = time.split_once('.').unwrap_or((time, ""));
    let mut columns = vec![
        file.to_owned(),
        value("EventRecordID"),
        format!("{whole}.{ticks:0<7}Z"),
        value("EventID"),
        value("Provider.Name"),
        value("Channel"),
        value("Computer"),
        value("Execution.ProcessID"),
        value("Execution.ThreadID"),
        value("Correlation.ActivityID"),
        value("Security.UserID"),
    ];
    columns.extend(data);
    let one_line = |column: &String| {
        let column = column.replace('\\', r"\\").replace('\r', r"\r");
        column.replace('\n', r"\n").replace('\t', r"\t")
    };
    columns.iter().map(one_line).collect::<Vec<_>>().join("\t")
}

fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let names = file_names(folder).into_iter();
    names.map(|name| folder.join(name)).collect()
}

/// Both readers see these records, and as many as there are.
fn compare(python: &OsStr, logs: &[PathBuf], count: usize) {
    let ours = our_reader(logs);
    let theirs = other_reader(python, logs);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!((ours.len(), theirs.len()), (count, count));
}

fn count(scenario: &str) -> usize {
    let records = support::scenario::records(scenario).unwrap();
    records.values().map(Vec::len).sum()
}

#[test]
fn the_samples() {
    let Some(python) = support::required("PRTRACE_PYTHON") else {
        return;
    };
    let mut logs = Vec::new();
    let mut records = 0;
    for name in samples() {
        logs.extend(logs_in(&Path::new("samples").join(&name).join("authlogs")));
        let scenario = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        records += count(&scenario);
    }
    compare(&python, &logs, records);
}

/// Every event of the table twice: with a value in each field, and with none.
#[test]
fn every_event_of_the_table_over_several_chunks() {
    let Some(python) = support::required("PRTRACE_PYTHON") else {
        return;
    };
    let mut text = "computer ALL.contoso.com\n".to_owned();
    let table = fs::read_to_string("src/facts/events.tsv").unwrap();
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (event_id, fields) = (columns[1], columns[8]);
        text.push_str(&format!("08:00:00.1 {event_id}"));
        for field in fields.split(' ') {
            let mut parts = field.split(':');
            let (Some(name), Some(kind)) = (parts.next(), parts.next()) else {
                continue;
            };
            let value = match kind {
                "UnicodeString" => r#""é \u{1F600}<&>\"'\r\n\tx""#,
                "AnsiString" => "ansi",
                "GUID" => "0A1B2C3D-0001-0002-0003-112233445566",
                "SID" => "S-1-5-21-1-2-4294967295-1001",
                "Boolean" => "true",
                "Binary" => "00ff10",
                "FILETIME" => "2026-03-02T09:00:00.1234567Z",
                "UInt64" | "Pointer" => "0xfedcba9876543210",
                "UInt16" => "65535",
                _ => "0x80072ee7",
            };
            text.push_str(&format!(" {name}={value}"));
        }
        text.push_str(&format!("\n08:00:00.2 {event_id}\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    scenario::write_to(&text, folder.path()).unwrap();
    let logs = logs_in(folder.path());
    let largest = logs
        .iter()
        .map(|log| fs::metadata(log).unwrap().len())
        .max();
    assert!(largest > Some(4096 + 3 * 65536), "several chunks");
    compare(&python, &logs, count(&text));
}

#[test]
fn every_type_of_value() {
    let Some(python) = support::required("PRTRACE_PYTHON") else {
        return;
    };
    let guid = parse_guid("0A1B2C3D-0001-0002-0003-112233445566").unwrap();
    let values = [
        Value::Null,
        Value::Unicode("u \u{1F600}".into()),
        Value::Unicode(String::new()),
        Value::Ansi("añ".into()),
        Value::UInt8(200),
        Value::UInt16(65_000),
        Value::Int32(-5),
        Value::UInt32(4_000_000_000),
        Value::Int64(-6),
        Value::UInt64(u64::MAX),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Binary(vec![1, 255]),
        Value::Guid(guid),
        Value::Pointer(0x7ffe_0000_1234),
        Value::FileTime(134_169_120_001_234_567),
        Value::Sid("S-1-12-1-4-3-2-1".into()),
        Value::HexInt32(0xC000_006D),
        Value::HexInt64(0x10),
    ];
    let names = (0..).map(|number| format!("Field{number}"));
    let record = Record {
        time_filetime: 134_169_120_001_234_567,
        record_id: 1,
        provider_name: "Microsoft-Windows-AAD".into(),
        provider_guid: parse_guid("4de9bc9c-b27a-43c9-8994-0915f1a5e24f").unwrap(),
        event_id: 1007,
        version: 0,
        level: 4,
        task: 101,
        opcode: 2,
        keywords: 0x8000_0000_0000_0004,
        channel: "Microsoft-Windows-AAD/Analytic".into(),
        computer: "PC-1.contoso.com".into(),
        process_id: Some(1),
        thread_id: Some(2),
        activity_id: Some(guid),
        user_sid: Some("S-1-5-18".into()),
        data: names.zip(values).collect(),
        shape: Shape::Template,
    };
    let mut literal = record.clone();
    literal.record_id = 2;
    literal.shape = Shape::LiteralProvider;
    let mut without_ids = record.clone();
    without_ids.record_id = 3;
    (without_ids.process_id, without_ids.thread_id) = (None, None);
    (without_ids.activity_id, without_ids.user_sid) = (None, None);
    let mut again = record.clone();
    again.record_id = 4;
    let folder = tempfile::tempdir().unwrap();
    let log = write_log(&[record, literal, without_ids, again]).unwrap();
    fs::write(folder.path().join("values.evtx"), log).unwrap();
    compare(&python, &logs_in(folder.path()), 4);
}
