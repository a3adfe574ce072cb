//! No secret in a text of a log, or in what is pasted, is in any output; the evidence is.

#[path = "support/program.rs"]
mod program;
mod support;

use program::prtrace;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use support::scenario;

/// What every secret of the table holds.
const MARKER: &str = "Hunter2";

/// The arguments for each format of a report on the current folder.
const FORMATS: [&[&str]; 7] = [
    &["."],
    &["--all", "."],
    &["--format", "json", "."],
    &["--format", "jsonl", "."],
    &["--format", "csv", "."],
    &["timeline", "."],
    &["timeline", "--format", "json", "."],
];

/// The texts of a table.
fn table(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    let text = |line: &str| {
        let text = line.replace("{CRLF}", "\r\n").replace("{LF}", "\n");
        text.replace("{TAB}", "\t")
    };
    lines.map(text).collect()
}

fn masked() -> Vec<String> {
    table(include_str!("secrets/masked.txt"))
}

fn kept() -> Vec<String> {
    table(include_str!("secrets/kept.txt"))
}

/// A folder of logs with every text in fields of each kind: of a failed window, of a registration
/// run, of a failed token request, and of an event that is not in the table.
fn logs(texts: &[String]) -> tempfile::TempDir {
    let mut events = "computer PC-1.contoso.com\nsid S-1-5-21-1-2-3-1001\n".to_owned();
    for (number, text) in texts.iter().enumerate() {
        let text = text.replace('\\', r"\\").replace('"', "\\\"");
        let text = text.replace('\r', "\\r").replace('\n', "\\n");
        let text = text.replace('\t', "\\t");
        let time = format!("{:02}:{:02}", number / 60, number % 60);
        write!(
            events,
            "{time}:00 1006\n\
             {time}:01 1022 value=\"{text}\"\n\
             {time}:02 1081 Error=invalid_grant ErrorDescription=\"{text}\"\n\
             {time}:03 1088 Error=FailedAuthentication ErrorDescription=\"{text}\"\n\
             {time}:04 1999 Whatever=\"{text}\" Password=\"{MARKER}\" @task=101 @only @level=1\n\
             {time}:05 1007 Status=0xC000006D\n\
             {time}:10 1098 Error=0xCAA20003 ErrorMessage=\"{text}\" AdditionalInformation=\"{text}\" @task=103 @pid=4000\n\
             {time}:20 204 ExitCode=0x801c03f2 HttpStatus=400 ServerResponse=\"{text}\" @pid=5000\n\
             {time}:21 304 ExitCode=0x801c03f2 ServerErrorMessage=\"{text}\" TenantType=managed JoinType=sync DebugOutput=\"{text}\" @pid=5000\n"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    scenario::write_to(&events, folder.path()).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = prtrace();
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(str::from_utf8(&output.stderr), Ok(""));
    String::from_utf8(output.stdout).unwrap()
}

fn explain(arguments: &[&str], pasted: Option<&str>) -> String {
    let mut command = prtrace();
    command.arg("explain").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(pasted.unwrap_or("").as_bytes()).unwrap();
    drop(input);
    String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap()
}

#[track_caller]
fn holds_none(output: &str, what: &str) {
    let found = output.find(MARKER).map(|at| {
        let start = output[..at].char_indices().rev().nth(80);
        let start = start.map_or(0, |(start, _)| start);
        output[start..].chars().take(160).collect::<String>()
    });
    assert_eq!(found, None, "{what}");
}

#[test]
fn no_format_holds_a_secret_of_a_log() {
    let folder = logs(&masked());
    for arguments in FORMATS {
        let output = run(folder.path(), arguments);
        assert!(output.contains("PC-1.contoso.com"), "{arguments:?}");
        holds_none(&output, &format!("{arguments:?}"));
    }
}

#[test]
fn no_name_of_a_computer_or_field_holds_a_secret() {
    let events = format!(
        "computer password:{MARKER}.contoso.com\n\
         10:00:00 1006\n\
         10:00:01 1999 token%3d{MARKER}x=value @task=101 @only @level=1\n\
         10:00:02 1007 Status=0xC000006D\n"
    );
    let folder = tempfile::tempdir().unwrap();
    scenario::write_to(&events, folder.path()).unwrap();
    for arguments in FORMATS {
        let output = run(folder.path(), arguments);
        assert!(output.contains("password:[masked]"), "{arguments:?}");
        holds_none(&output, &format!("{arguments:?}"));
    }
}

#[test]
fn what_is_pasted_is_shown_without_its_secrets() {
    let texts = masked();
    for text in &texts {
        for format in ["text", "json"] {
            // A dash at the start would be an option.
            let pasted = format!("pasted {text}");
            holds_none(&explain(&["--format", format, &pasted], None), text);
        }
    }
    for text in [texts.join("\n\n"), texts[0].clone()] {
        for format in ["text", "json"] {
            let shown = explain(&["--format", format, "-"], Some(&text));
            assert!(!shown.is_empty());
            holds_none(&shown, "standard input");
        }
    }
}

#[test]
fn the_evidence_is_in_the_report() {
    let texts = kept();
    let folder = logs(&texts);
    let report = run(folder.path(), &["timeline", "--format", "json", "."]);
    let mut values = Vec::new();
    strings(&serde_json::from_str(&report).unwrap(), &mut values);
    for text in &texts {
        assert!(values.iter().any(|value| value == text), "{text}");
    }
}

/// Every text in a value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}
