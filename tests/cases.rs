//! The rules as tables: events in, facts out, derived by hand.
//!
//! Each file of `tests/cases` holds cases: a title line that starts with `==`, a scenario (see
//! `tests/support/scenario.rs`), a line `=>`, and lines `path = value`. A path is one into the JSON
//! of the first machine, or of the whole report where it starts with `/`; `*` collects over an
//! array, `len` is its length, and a name finds the value of that name.

mod support;

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

struct Case<'a> {
    title: &'a str,
    scenario: String,
    expected: Vec<(&'a str, &'a str)>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut facts = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("==") {
            facts = false;
            cases.push(Case {
                title: title.trim(),
                scenario: "computer PC-1.contoso.com\n".to_owned(),
                expected: Vec::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            if line.trim() == "=>" {
                facts = true;
            } else if !facts {
                case.scenario.push_str(line);
                case.scenario.push('\n');
            } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                let fact = line.split_once('=').expect("path = value");
                case.expected.push((fact.0.trim(), fact.1.trim()));
            }
        }
    }
    cases
}

/// The report on a scenario, as JSON.
fn report(scenario: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    support::scenario::write_to(scenario, folder.path()).unwrap();
    support::json_report(folder.path())
}

fn fact(report: &Value, path: &str) -> String {
    let (root, path) = match path.strip_prefix('/') {
        Some(path) => (report, path),
        None => (&report["machines"][0], path),
    };
    let mut found: Vec<Value> = vec![root.clone()];
    for part in path.split('.') {
        found = found
            .into_iter()
            .flat_map(|value| match (part, value) {
                ("len", Value::Array(list)) => vec![list.len().into()],
                ("*", Value::Array(list)) => list,
                (index, Value::Array(mut list)) => match index.parse::<usize>() {
                    Ok(index) if index < list.len() => vec![list.swap_remove(index)],
                    Ok(_) => vec![Value::String("(not there)".into())],
                    // Values of an event, by their names.
                    Err(_) => list
                        .into_iter()
                        .filter(|value| value["name"] == index)
                        .map(|mut value| value["value"].take())
                        .collect(),
                },
                (key, Value::Object(mut object)) => match object.remove(key) {
                    Some(value) => vec![value],
                    None => vec![Value::String(format!("(no key {key})"))],
                },
                (_, Value::Null) => vec![Value::Null],
                (_, other) => vec![other],
            })
            .collect();
    }
    let words: Vec<String> = found
        .into_iter()
        .map(|value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
        .collect();
    words.join(" ")
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let cases = cases(&text);
    assert!(!cases.is_empty());
    let mut wrong = String::new();
    for case in &cases {
        assert!(!case.expected.is_empty(), "{}: expects nothing", case.title);
        let report = report(&case.scenario);
        for (path, expected) in &case.expected {
            let found = fact(&report, path);
            if found != *expected {
                writeln!(
                    wrong,
                    "{}\n  {path} = {expected}\n  found {found}",
                    case.title
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{file}:\n{wrong}");
}

macro_rules! tables {
    ($($name:ident $file:literal)*) => {
        $(#[test] fn $name() { check($file); })*

        #[test]
        fn every_table_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let mut run = vec![$($file),*];
            run.sort();
            assert_eq!(files, run);
        }
    };
}

tables! {
    decisive "decisive.txt"
    diagnosis "diagnosis.txt"
    enterprise "enterprise.txt"
    events "events.txt"
    first_failure "first-failure.txt"
    inferred "inferred.txt"
    machines "machines.txt"
    members "members.txt"
    outcome "outcome.txt"
    links "links.txt"
    pairing "pairing.txt"
    registration "registration.txt"
    states "states.txt"
    subcodes "subcodes.txt"
    tokens "tokens.txt"
    triage "triage.txt"
}

#[test]
fn every_cause_stands_in_a_table() {
    let causes: toml::Table = toml::from_str(include_str!("../src/facts/causes.toml")).unwrap();
    let mut pinned = std::collections::BTreeSet::new();
    for file in ["diagnosis.txt", "tokens.txt"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for case in cases(&text) {
            let rules = case
                .expected
                .iter()
                .filter(|(path, _)| path.ends_with("diagnosis.rule"));
            pinned.extend(rules.map(|(_, rule)| (*rule).to_owned()));
        }
    }
    for cause in causes.keys() {
        assert!(pinned.contains(cause), "{cause}");
    }
}
