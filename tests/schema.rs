//! The JSON Schema that the program prints: it takes every report and nothing that is none.

#[path = "support/program.rs"]
mod program;
mod support;

use jsonschema::Validator;
use program::prtrace;
use prtrace::{machine, report, scan};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use support::{chunks, hostile, json_report, samples, scenario, spans};

fn schema() -> Value {
    let output = prtrace().arg("schema").output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The schema of a line of JSON Lines takes each line of the samples' report and no other's.
#[test]
fn there_is_one_for_the_lines_too() {
    let run = |arguments: &[&str]| {
        let mut command = prtrace();
        command.args(arguments).output().unwrap().stdout
    };
    let schema: Value = serde_json::from_slice(&run(&["schema", "--lines"])).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let lines = String::from_utf8(run(&["samples", "--format", "jsonl"])).unwrap();
    assert!(lines.lines().count() > 20);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&line)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0]);
    }
    let report = json_report(Path::new("samples"));
    for other in [&report, &report["totals"], &json!({}), &json!([])] {
        assert!(!validator.is_valid(other));
    }
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// A report with a value in every place that can have one.
fn mixed_report() -> Value {
    let folder = tempfile::tempdir().unwrap();
    scenario::write_to(&hostile(), folder.path()).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    // One signature with two meanings, one of them a failed registration.
    for name in ["device-rejected", "device-rejected-after-failed-join"] {
        let text = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        scenario::write_to(&text, &folder.path().join(name)).unwrap();
    }
    // The newer answer of the registration service.
    let newer = "computer PC-9\n08:00:00 204 ExitCode=0x801c03f3 HttpStatus=400 ServerResponse=\"\
        {\\\"code\\\":\\\"invalid_request\\\",\\\"subcode\\\":\\\"error_missing_device\\\",\
        \\\"operation\\\":\\\"DeviceJoin\\\",\\\"message\\\":\\\"m\\\"}\"\n";
    scenario::write_to(newer, &folder.path().join("newer")).unwrap();
    // A copy, so that events are there twice.
    let other = fs::read(folder.path().join("Other.evtx")).unwrap();
    write("Copy.evtx", &other);
    // A log that was open when it was copied, whose second record is overwritten.
    let mut damaged = other.clone();
    let first_chunk = chunks(&damaged).next().unwrap();
    let record = spans(&damaged, first_chunk)[1].clone();
    damaged[record].fill(0xff);
    damaged[120] |= 1;
    write("Damaged.evtx", &damaged);
    // A log that ends inside its chunk and holds no event of anyone.
    write("Short.evtx", &scenario_log("computer PC-8\n")[..4096 + 700]);
    write("archive.zip", b"PK\x03\x04");
    write("notes.txt", b"no log");
    // Every event, as the timeline has them: so no list of the report stays empty.
    let scan = machine::scan(&[folder.path().to_path_buf()], scan::Options::default()).unwrap();
    let analyses = report::analyze(&scan);
    let mut bytes = Vec::new();
    let report = report::Report::with_all_events(&scan, &analyses);
    report::json::write(&report, &mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn scenario_log(text: &str) -> Vec<u8> {
    let logs = scenario::logs(&format!("{text}08:00:00 1016\n")).unwrap();
    logs.into_values().next().unwrap()
}

#[test]
fn it_is_a_schema_of_the_2020_draft() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    jsonschema::draft202012::meta::validate(&schema).unwrap();
}

#[test]
fn it_takes_the_reports_on_the_samples() {
    let validator = validator();
    for name in samples() {
        let report = json_report(&Path::new("samples").join(&name));
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{name}");
    }
    assert!(validator.is_valid(&json_report(Path::new("samples"))));
}

#[test]
fn it_takes_a_report_that_has_everything() {
    let schema = schema();
    let report = mixed_report();
    let errors: Vec<String> = jsonschema::draft202012::new(&schema)
        .unwrap()
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0]);

    // "Everything" holds: no place of the schema is empty throughout the report.
    let mut places = BTreeSet::new();
    collect_places(&schema, &schema, "", &mut places);
    assert!(places.contains("/machines/*/windows/*/first_failure/code"));
    let filled = filled(&report);
    let empty: Vec<_> = places
        .iter()
        .filter(|place| !filled.contains_key(place.as_str()))
        .collect();
    // What looks like a failure and is none stands in no run; the other events belong to nothing.
    // Evidence has lines where texts are read, which are not yet, and findings are not built.
    assert_eq!(
        empty,
        [
            "/machines/*/device/evidence/*/line",
            "/machines/*/device/evidence/*/says",
            "/machines/*/other_events/*/via",
            "/machines/*/registrations/*/events/*/housekeeping",
            "/machines/*/windows/*/related/*/housekeeping",
            "/totals/findings",
            "/totals/status_texts"
        ]
    );
}

/// Every place of the schema that can have a value, `*` for the elements of an array.
fn collect_places(schema: &Value, part: &Value, at: &str, places: &mut BTreeSet<String>) {
    if let Some(reference) = part["$ref"].as_str() {
        let target = schema
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap();
        return collect_places(schema, target, at, places);
    }
    // The elements of lists that stay empty so far.
    if part["not"].is_object() {
        places.remove(at);
        return;
    }
    if let Some(choices) = part["anyOf"].as_array() {
        for choice in choices.iter().filter(|choice| choice["type"] != "null") {
            collect_places(schema, choice, at, places);
        }
    }
    if part["items"].is_object() {
        let at = format!("{at}/*");
        places.insert(at.clone());
        collect_places(schema, &part["items"], &at, places);
    }
    for (key, property) in part["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        places.insert(at.clone());
        collect_places(schema, property, &at, places);
    }
}

/// The places of the report that have a value, each with the pointer to one such value.
fn filled(report: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, at: &str, pointer: &str, found: &mut BTreeMap<String, String>) {
        if value.is_null() {
            return;
        }
        found.insert(at.to_owned(), pointer.to_owned());
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            walk(
                element,
                &format!("{at}/*"),
                &format!("{pointer}/{index}"),
                found,
            );
        }
        // The values of an event have names of their own.
        let object = value.as_object().filter(|_| !at.ends_with("/data"));
        for (key, element) in object.into_iter().flatten() {
            walk(
                element,
                &format!("{at}/{key}"),
                &format!("{pointer}/{key}"),
                found,
            );
        }
    }
    let mut found = BTreeMap::new();
    walk(report, "", "", &mut found);
    found
}

#[test]
fn it_takes_no_value_of_another_type_no_missing_key_and_no_unknown_one() {
    let validator = validator();
    let report = mixed_report();
    assert!(validator.is_valid(&report));
    let mut accepted = Vec::new();
    for (place, pointer) in filled(&report) {
        let mut retyped = report.clone();
        let value = retyped.pointer_mut(&pointer).unwrap();
        *value = match value {
            Value::String(_) => json!(17),
            Value::Number(number) => json!(number.to_string()),
            Value::Bool(flag) => json!(flag.to_string()),
            Value::Array(_) => json!({}),
            _ => json!([]),
        };
        if validator.is_valid(&retyped) {
            accepted.push(format!("{place} of another type"));
        }

        let mut with_more = report.clone();
        if let Some(object) = with_more.pointer_mut(&pointer).unwrap().as_object_mut()
            && !place.ends_with("/data")
        {
            object.insert("more".to_owned(), json!("x"));
            if validator.is_valid(&with_more) {
                accepted.push(format!("{place} with an unknown key"));
            }
        }

        let Some((parent, key)) = pointer.rsplit_once('/') else {
            continue;
        };
        let mut with_less = report.clone();
        if let Some(object) = with_less.pointer_mut(parent).unwrap().as_object_mut() {
            object.shift_remove(key);
            if validator.is_valid(&with_less) {
                accepted.push(format!("{place} missing"));
            }
        }
    }
    assert_eq!(accepted, [""; 0]);
}

#[test]
fn it_takes_no_word_number_or_spelling_that_the_format_does_not_have() {
    let validator = validator();
    let report = mixed_report();
    // The first window of PC-7 has an answer of every kind.
    let machines = report["machines"].as_array().unwrap();
    let number = machines
        .iter()
        .position(|machine| machine["name"] == "PC-7.contoso.com");
    let machine = format!("/machines/{}", number.unwrap());
    let window = format!("{machine}/windows/0");
    let run = format!("{machine}/registrations/0");
    let problems = format!("{machine}/problems");
    assert_eq!(report.pointer(&problems), Some(&json!([])));
    let with_problems = machines
        .iter()
        .position(|machine| machine["problems"] != json!([]));
    let problem = format!("/machines/{}/problems/0", with_problems.unwrap());

    let wrong: &[(&str, &str, Value)] = &[
        ("", "/schema_version", json!(3)),
        ("", "/schema_version", json!(0)),
        ("", "/schema_version", json!("1")),
        ("", "/totals/machines", json!(-1)),
        ("", "/totals/machines", json!(1.5)),
        ("", "/groups", json!(["x"])),
        ("", "/groups/0/class", json!("Network")),
        ("", "/groups/0/failing", json!(-1)),
        ("", "/groups/0/first_seen", json!("2026-03-02")),
        ("", "/groups/0/example/record_id", json!("5")),
        ("", "/groups/0/machines", json!(1)),
        ("", "/inputs", json!([{}])),
        (&machine, "/diagnosis", json!("healthy")),
        (&machine, "/diagnosis/state", json!("fine")),
        (&machine, "/users", json!([null])),
        (&machine, "/first_event", json!("2026-03-02T10:00:00.000Z")),
        (&machine, "/first_event", json!("2026-03-02T10:00:00Z")),
        (
            &machine,
            "/first_event",
            json!("2026-03-02 10:00:00.0000000Z"),
        ),
        (
            &machine,
            "/first_event",
            json!("2026-03-02T10:00:00.0000000+01:00"),
        ),
        (&machine, "/first_event", json!("")),
        (&machine, "/logs/0/dirty", json!(0)),
        (&machine, "/logs/0/events", json!("4")),
        (&window, "/operation", json!("renew")),
        (&window, "/operation", json!("Acquire")),
        (&window, "/prt", json!("adfs")),
        (&window, "/outcome", json!("recovered")),
        (&window, "/outcome", Value::Null),
        (&window, "/pairing", json!("luck")),
        (&window, "/start/boundary", json!("lost")),
        (&window, "/process_id", json!("696")),
        (
            &window,
            "/correlation_id",
            json!("{11111111-2222-3333-4444-555555555555}"),
        ),
        (
            &window,
            "/correlation_id",
            json!("ABCDEFAB-2222-3333-4444-555555555555"),
        ),
        (&window, "/correlation_id", json!("")),
        (&window, "/status/code", json!("0xC000006D")),
        (&window, "/status/code", json!("0x6d")),
        (&window, "/status/code", json!("c000006d")),
        (&window, "/status/code", json!(3_221_225_581_u32)),
        (&window, "/network/code", json!("0x80072EE2")),
        (&window, "/network/number", json!(70_000)),
        (&window, "/network/number", json!("12002")),
        (&window, "/http/status", json!("400")),
        (&window, "/server/also", json!(null)),
        (&window, "/server/also", json!([50126])),
        (&window, "/decisive/kind", json!("registration")),
        (&window, "/events/0/level", json!("info")),
        (&window, "/events/0/level", json!(4)),
        (&window, "/events/0/via", json!("luck")),
        (&window, "/events/0/data", json!({ "Status": 5 })),
        (&window, "/events/0/data", json!({ "Status": null })),
        (
            &window,
            "/first_failure/time",
            json!("2026-03-02T10:00:00.123Z"),
        ),
        (&window, "/first_failure/is_stop", json!(null)),
        (
            &window,
            "/registrations",
            json!([{ "id": "r1", "reason": "luck" }]),
        ),
        (&run, "/kind", json!("manual")),
        (&run, "/outcome", json!("incomplete")),
        (&run, "/phase", json!("Join")),
        (&run, "/exit_code/code", json!("0x801C03F2")),
        (&run, "/attempts/0/phase", json!("later")),
        (&run, "/server/http_status", json!("400")),
        (&problem, "/kind", json!("strange")),
        (&problem, "/kind", json!("DamagedChunk")),
        (&problem, "/offset", json!(-1)),
        (&problem, "/lost_bytes", json!(null)),
    ];
    let mut accepted = Vec::new();
    for (base, place, value) in wrong {
        let mut changed = report.clone();
        let target = changed.pointer_mut(&format!("{base}{place}"));
        let target = target.unwrap_or_else(|| panic!("nothing at {base}{place}"));
        assert_ne!(target, value);
        *target = value.clone();
        if validator.is_valid(&changed) {
            accepted.push(format!("{base}{place}: {value}"));
        }
    }
    assert_eq!(accepted, [""; 0]);
    for other in [json!({}), json!([]), json!(null), json!([report])] {
        assert!(!validator.is_valid(&other));
    }
}
