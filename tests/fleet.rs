//! Many machines: the groups of their failures, and that every format tells the same of them.

#[path = "support/program.rs"]
mod program;
mod support;

use prtrace::base::terminal::one_line;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use support::fleet::{expected, fleet, name};
use support::{hostile, json_report, samples, scenario};

const MACHINES: usize = 45;

/// A folder for each machine.
fn crafted() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, logs) in fleet(MACHINES) {
        let of_machine = folder.path().join(name);
        fs::create_dir(&of_machine).unwrap();
        for (log, bytes) in logs {
            fs::write(of_machine.join(log), bytes).unwrap();
        }
    }
    folder
}

/// The same with the samples and with everything that is hostile.
fn mixed() -> tempfile::TempDir {
    let folder = crafted();
    for name in samples() {
        let text = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        scenario::write_to(&text, &folder.path().join(name)).unwrap();
    }
    scenario::write_to(&hostile(), &folder.path().join("hostile")).unwrap();
    fs::write(folder.path().join("archive.7z"), b"7z\xbc\xaf\x27\x1c").unwrap();
    folder
}

fn run<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Output {
    let mut command = program::prtrace();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run(folder, arguments).stdout).unwrap()
}

/// The groups of a report: signature, machines, how many of them still fail.
type Groups = Vec<(String, Vec<String>, u64)>;

fn groups_of(report: &Value) -> Groups {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let groups = report["groups"].as_array().unwrap().iter();
    groups
        .map(|group| {
            let machines = group["machines"].as_array().unwrap();
            let machines = machines.iter().map(text).collect();
            let failing = group["failing"].as_u64().unwrap();
            (text(&group["signature"]), machines, failing)
        })
        .collect()
}

fn groups_expected(machines: usize) -> Groups {
    expected(machines)
        .into_iter()
        .map(|(signature, machines, failing)| (signature.to_owned(), machines, failing as u64))
        .collect()
}

/// Two thousand zips as they are handed in, and one zip of them.
#[test]
fn two_thousand_bundles_come_to_their_eight_causes() {
    const BUNDLES: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bundles")).unwrap();
    let mut all = zip::ZipWriter::new(fs::File::create(folder.path().join("all.zip")).unwrap());
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .compression_level(Some(1));
    for (name, logs) in fleet(BUNDLES) {
        let mut bundle = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (log, bytes) in logs {
            bundle
                .start_file(format!("authlogs/{log}"), options)
                .unwrap();
            bundle.write_all(&bytes).unwrap();
        }
        let bundle = bundle.finish().unwrap().into_inner();
        let name = format!("bundles/{name}.zip");
        fs::write(folder.path().join(&name), &bundle).unwrap();
        all.start_file(name, options).unwrap();
        all.write_all(&bundle).unwrap();
    }
    all.finish().unwrap();
    for path in ["bundles", "all.zip"] {
        let lines = printed(folder.path(), &["--format", "jsonl", path]);
        assert_eq!(lines.lines().count(), BUNDLES + 1, "{path}");
        let summary: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(summary["totals"]["machines"], BUNDLES);
        assert_eq!(summary["totals"]["problems"], 0);
        let groups = groups_of(&summary);
        assert!(groups == groups_expected(BUNDLES), "{path}");
        // By hand: a hundred times twenty machines. The ninth group recovered.
        let counts = groups.iter().map(|(_, machines, _)| machines.len());
        let counts: Vec<usize> = counts.collect();
        assert_eq!(counts, [400, 300, 200, 200, 100, 100, 100, 100, 100]);
        assert_eq!(
            groups.iter().filter(|(.., failing)| *failing > 0).count(),
            8
        );
    }
}

#[test]
fn the_groups_of_a_fleet_are_those_that_its_table_counts() {
    let folder = crafted();
    let report = json_report(folder.path());
    let groups = report["groups"].as_array().unwrap();
    let found = groups_of(&report);
    assert_eq!(found, groups_expected(MACHINES));
    // By hand: 45 machines are two twenties and the first five, which are four without a service
    // connection point and one rejected device.
    let counts: Vec<usize> = found
        .iter()
        .map(|(_, machines, _)| machines.len())
        .collect();
    assert_eq!(counts, [12, 7, 4, 4, 2, 2, 2, 2, 2]);
    assert_eq!(found[0].0, "registration/discover/0x801c001d/307");
    assert_eq!(found[1].0, "acquire/AADSTS50155/1081");

    // Of twenty machines those numbered 5 to 7 are refused. Number n, from 0, plays on day n % 28 + 1.
    let rejected = &groups[1];
    let newest = name(26);
    assert_eq!(
        rejected["example"]["machine"], newest,
        "of 5, 6, 7, 25, 26, 27 and 17 March"
    );
    assert_eq!(rejected["windows"], 7);
    assert_eq!(
        rejected["summary"],
        "Entra ID could not authenticate the device and therefore refused a PRT to the user."
    );
}

#[test]
fn each_failure_is_in_one_group_and_each_failing_machine_fails_in_one() {
    let folder = mixed();
    let report = json_report(folder.path());
    let groups = report["groups"].as_array().unwrap();
    let sum = |key: &str| -> u64 {
        let counts = groups.iter().map(|group| group[key].as_u64().unwrap());
        counts.sum()
    };
    assert_eq!(sum("windows"), report["totals"]["windows_failed"]);
    assert_eq!(
        sum("registrations"),
        report["totals"]["registrations_failed"]
    );
    let states: BTreeMap<&str, &str> = report["machines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|machine| {
            let state = machine["diagnosis"]["state"].as_str().unwrap();
            (machine["name"].as_str().unwrap(), state)
        })
        .collect();
    for group in groups {
        let machines = group["machines"].as_array().unwrap();
        let failing = machines
            .iter()
            .filter(|machine| states[machine.as_str().unwrap()] == "failing");
        assert!(
            group["failing"].as_u64().unwrap() <= failing.count() as u64,
            "{group}"
        );
    }
    for (machine, _) in states.iter().filter(|(_, state)| **state == "failing") {
        let fails = groups.iter().any(|group| {
            let machines = group["machines"].as_array().unwrap();
            group["failing"] != 0 && machines.iter().any(|of| of == machine)
        });
        assert!(fails, "{machine} is in no group that fails");
    }
}

#[test]
fn json_lines_are_the_parts_of_the_json_report() {
    let folder = mixed();
    let report: Value =
        serde_json::from_str(&printed(folder.path(), &[".", "--format", "json"])).unwrap();
    let lines = printed(folder.path(), &[".", "--format", "jsonl"]);
    // Each line says first what it is.
    let record_of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut members = line.as_object().unwrap().clone();
        let (first, record) = members.shift_remove_entry("record").unwrap();
        assert!(line.to_string().starts_with(&format!("{{\"{first}\":")));
        (record, Value::from(members))
    };
    let lines: Vec<(Value, Value)> = lines.lines().map(record_of).collect();
    let ((record, last), machines) = lines.split_last().unwrap();
    assert_eq!(record, "summary");
    assert!(machines.iter().all(|(record, _)| record == "machine"));
    let machines: Vec<&Value> = machines.iter().map(|(_, machine)| machine).collect();
    let expected: Vec<&Value> = report["machines"].as_array().unwrap().iter().collect();
    assert!(machines == expected);
    let mut rest = report.clone();
    rest.as_object_mut().unwrap().shift_remove("machines");
    assert_eq!(*last, rest);
    assert!(machines.len() > 60);
}

#[test]
fn no_format_depends_on_the_order_of_arguments_or_the_threads() {
    let folder = mixed();
    let mut names: Vec<String> = support::file_names(folder.path());
    for format in ["text", "jsonl", "csv"] {
        let mut expected = None;
        for threads in ["1", "2", "5"] {
            names.rotate_left(7);
            names.reverse();
            let mut arguments = vec!["--threads", threads, "--format", format, "analyze"];
            arguments.rotate_left(4);
            arguments.extend(names.iter().map(String::as_str));
            let output = printed(folder.path(), &arguments);
            assert!(output.len() > 1000, "{arguments:?}");
            let expected = expected.get_or_insert_with(|| output.clone());
            assert!(output == *expected, "{format}, {threads} threads");
        }
    }
}

#[test]
fn csv_has_a_row_for_each_failure() {
    let folder = mixed();
    let output = run(folder.path(), &[".", "--format", "csv"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        message,
        "prtrace: problems: 1; CSV has rows for inputs that gave nothing, --format text lists all\n"
    );
    let bytes = output.stdout;
    assert!(bytes.starts_with(b"\xef\xbb\xbfmachine,sources,state,failing,kind,id,"));
    let text = String::from_utf8(bytes.clone()).unwrap();
    // RFC 4180 ends lines so; nothing inside a cell ends one.
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let mut table = csv::Reader::from_reader(&bytes[..]);
    let header = table.headers().unwrap().clone();
    let rows: Vec<BTreeMap<String, String>> = table
        .records()
        .map(|row| {
            let row = row.unwrap();
            let cells = header.iter().zip(&row);
            cells
                .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
                .collect()
        })
        .collect();
    let report = json_report(folder.path());
    let mut failures = Vec::new();
    for machine in report["machines"].as_array().unwrap() {
        for key in ["windows", "registrations"] {
            let of = machine[key].as_array().unwrap();
            let failed = of.iter().filter(|of| of["outcome"] == "failed");
            failures.extend(failed.map(|of| (machine, of)));
        }
    }
    // The archive that is not read is told, too.
    let (input, rows) = rows.split_last().unwrap();
    assert_eq!(
        ["kind", "sources", "state", "outcome"].map(|column| input[column].as_str()),
        ["input", "./archive.7z", "no_evidence", "unsupported"]
    );
    assert!(input["summary"].starts_with("a 7z archive, which is not read"));
    assert_eq!(rows.len(), failures.len());
    let mut signatures: BTreeMap<&str, u64> = BTreeMap::new();
    for (row, (machine, of)) in rows.iter().zip(failures) {
        let cell = |name: &str| row[name].as_str();
        let value = |pointer: &str| match of.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let name = one_line(machine["name"].as_str().unwrap());
        assert_eq!(cell("machine"), name);
        assert_eq!(
            cell("state"),
            machine["diagnosis"]["state"].as_str().unwrap()
        );
        assert_eq!(cell("id"), value("/id"));
        assert_eq!(cell("outcome"), "failed");
        assert_eq!(cell("first_event"), value("/first_failure/event_id"));
        assert_eq!(
            cell("first_event_record"),
            value("/first_failure/record_id")
        );
        assert_eq!(cell("first_event_time"), value("/first_failure/time"));
        assert_eq!(cell("decisive_kind"), value("/decisive/kind"));
        assert_eq!(cell("class"), value("/diagnosis/class"));
        if name.starts_with("FLEET") {
            assert_eq!(cell("decisive"), value("/decisive/code"));
            assert_eq!(cell("server"), value("/server/code"));
            assert_eq!(cell("summary"), value("/diagnosis/summary"));
        }
        *signatures.entry(cell("signature")).or_default() += 1;
    }
    for group in report["groups"].as_array().unwrap() {
        let count = group["windows"].as_u64().unwrap() + group["registrations"].as_u64().unwrap();
        let signature = group["signature"].as_str().unwrap();
        if !signature.contains(|c: char| c.is_control()) {
            assert_eq!(
                signatures.get(signature).copied().unwrap_or(0),
                count,
                "{signature}"
            );
        }
    }
}

#[test]
fn nothing_hostile_gets_into_a_cell_or_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "computer =HYPERLINK(1)\n\
        10:00:00 1006\n\
        10:00:01 1144 value=1 Method=\"+cmd|'/c calc'!A1\" EndpointUri=x CorrelationID=x\n\
        10:00:02 1088 Error=\"@SUM(1;=2)\\u{9b}2J\\r\\n\\\"quoted\\\", and more\" ErrorDescription=\"x\"\n\
        10:00:03 1007 Status=0xC000006D\n";
    scenario::write_to(hostile, folder.path()).unwrap();
    let table = run(folder.path(), &[".", "--format", "csv"]).stdout;
    let mut reader = csv::Reader::from_reader(&table[..]);
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| {
        let place = header.iter().position(|column| column == name).unwrap();
        &row[place]
    };
    assert_eq!(cell("machine"), "'=HYPERLINK(1)");
    assert_eq!(cell("user"), "'+cmd|'/c calc'!A1");
    assert_eq!(cell("fault"), "'@SUM(1;'=2)\\u{9b}2J \"quoted\", and more");
    assert!(!String::from_utf8(table.clone()).unwrap().contains('\u{9b}'));

    // In the text for many machines too.
    for machine in 0..30 {
        let scenario = hostile.replace("HYPERLINK(1)", &format!("{machine}\u{9b}31m\u{202e}界"));
        scenario::write_to(&scenario, &folder.path().join(machine.to_string())).unwrap();
    }
    for format in ["text", "csv", "jsonl"] {
        let output = printed(folder.path(), &[".", "--format", format]);
        let unsafe_character = output.chars().find(|character| {
            character.is_control() && !matches!(character, '\n' | '\r')
                || matches!(character, '\u{9b}' | '\u{202e}')
        });
        assert_eq!(unsafe_character, None, "{format}");
    }
    let text = printed(folder.path(), &["."]);
    assert!(text.starts_with("31 machines: 31 failing\n"), "{text}");
}

#[test]
fn a_machine_is_found_by_its_name_in_every_format() {
    let folder = crafted();
    for wanted in [
        "FLEET-0005.contoso.com",
        "fleet-0005",
        "Fleet-0005.CONTOSO.com",
    ] {
        let text = printed(folder.path(), &[".", "--machine", wanted]);
        assert!(
            text.starts_with("FLEET-0005.contoso.com: PRT acquisition FAILED at "),
            "{text}"
        );
        assert!(text.contains("First failing event  1081"));
        assert!(!text.contains("FLEET-0006"));
    }
    let two = ["--machine", "fleet-0005", "--machine", "fleet-0017"];
    for (format, places) in [("json", 2), ("jsonl", 3), ("csv", 2)] {
        let mut arguments = vec![".", "--format", format];
        arguments.extend(two);
        let output = printed(folder.path(), &arguments);
        match format {
            "json" => {
                let report: Value = serde_json::from_str(&output).unwrap();
                assert_eq!(report["machines"].as_array().unwrap().len(), places);
                assert_eq!(report["totals"]["machines"], 2);
                assert_eq!(report["totals"]["windows_failed"], 1);
                assert_eq!(report["groups"].as_array().unwrap().len(), 1);
            }
            // Of a healthy machine there is no row: the header, and one of the other.
            _ => assert_eq!(output.lines().count(), places, "{format}"),
        }
    }
    // It decides the exit status: number 17 is healthy.
    let status = |name: &str| {
        let output = run(folder.path(), &[".", "--machine", name]);
        output.status.code()
    };
    assert_eq!(
        (status("fleet-0017"), status("fleet-0005")),
        (Some(0), Some(1))
    );
    let timeline = printed(folder.path(), &["timeline", ".", "--machine", "fleet-0005"]);
    assert!(timeline.starts_with("FLEET-0005.contoso.com\n"));
}

#[test]
fn an_unknown_machine_is_one_line_with_the_names_near_it() {
    let folder = crafted();
    for (wanted, message) in [
        ("fleet-0o45", "no machine is named fleet-0o45; similar: "),
        (
            "zz",
            "no machine is named zz; there are 45 machines in the logs, none of a similar name\n",
        ),
    ] {
        let output = run(folder.path(), &[".", "--machine", wanted]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("prtrace: {message}")), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
    }
    let output = run(folder.path(), &[".", "--machine", "fleet-0o45"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("similar: FLEET-0045.contoso.com, "),
        "{error}"
    );
}

#[test]
fn of_few_machines_each_answer_is_told_and_of_many_the_causes() {
    let folder = crafted();
    let paths: Vec<PathBuf> = (0..21).map(|machine| name(machine).into()).collect();
    let first_lines = |count: usize, all: bool| {
        let mut arguments: Vec<&OsStr> = vec!["analyze".as_ref()];
        arguments.extend(paths.iter().take(count).map(|path| path.as_os_str()));
        if all {
            arguments.push("--all".as_ref());
        }
        let output = run(folder.path(), &arguments);
        String::from_utf8(output.stdout).unwrap()
    };
    // By the table: fifteen of twenty fail, one recovered, four are healthy.
    let few = first_lines(20, false);
    assert!(few.starts_with("20 machines: 15 failing, 1 recovered, 4 healthy\n"));
    assert!(few.contains("  4 share registration/discover/0x801c001d/307: "));
    assert!(few.contains("\nFLEET-0020.contoso.com: "));
    let many = first_lines(21, false);
    assert!(many.starts_with(
        "21 machines: 16 failing, 1 recovered, 4 healthy\n\
         8 causes explain all that fail, by number of machines:\n"
    ));
    assert!(!many.contains("\nFLEET-0020.contoso.com: "));
    // A line for each, and the sums below.
    let lines = many.lines().filter(|line| line.starts_with("FLEET-00"));
    assert_eq!(lines.count(), 21);
    let all = first_lines(21, true);
    assert!(all.contains("\nFLEET-0020.contoso.com: "));
}

#[test]
fn output_files_take_every_format() {
    let folder = crafted();
    for format in ["text", "jsonl", "csv"] {
        let path = folder.path().join("out.txt");
        let arguments = [".", "--format", format, "--output", "out.txt"];
        let output = run(folder.path(), &arguments);
        assert!(output.stdout.is_empty());
        let written = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(
            written == printed(folder.path(), &[".", "--format", format]),
            "{format}"
        );
    }
}

#[test]
fn problems_are_told_by_kind_with_examples_and_how_many_more() {
    let folder = crafted();
    for number in 1..=5 {
        let archive = folder.path().join(format!("archive-{number}.7z"));
        fs::write(archive, b"7z\xbc\xaf\x27\x1c").unwrap();
    }
    // A log that ends 24 bytes into its second chunk, of a machine that it alone is named for.
    let log = folder.path().join(name(0)).join("Aad_Cut.evtx");
    let logs = scenario::logs(&format!("computer {}\n08:00:00 1016\n", name(0))).unwrap();
    let mut bytes = logs.into_values().next().unwrap();
    bytes.extend_from_slice(&bytes.clone()[4096..4120]);
    fs::write(&log, bytes).unwrap();
    let text = printed(folder.path(), &["."]);
    let (_, problems) = text.split_once("\nProblems: ").unwrap();
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(
        lines[0],
        json_report(folder.path())["totals"]["problems"].to_string()
    );
    let unsupported = lines
        .iter()
        .position(|line| *line == "  unsupported: 5")
        .unwrap();
    assert!(
        lines[unsupported + 1].starts_with("    ./archive-1.7z: "),
        "{problems}"
    );
    assert!(problems.contains("    ./archive-3.7z: "));
    assert!(!problems.contains("archive-4"));
    assert!(problems.contains("\n    and 2 more: --format json has all\n"));
    assert!(problems.contains("Aad_Cut.evtx"));
}
