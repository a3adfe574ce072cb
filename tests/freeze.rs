//! Every output format over many inputs, held by checksum: a change that should not show does not.
//!
//! `tests/freeze.tsv` has a line for each input and format: exit status, size and CRC-32 of what the
//! program prints. The inputs are the samples, the rule tables of `tests/cases`, and, where the
//! variables name them, graded cases (`PRTRACE_TEST_CASES`) and real logs (`PRTRACE_TEST_LOGS`).
//!
//! Inputs from outside are compared only while they are the ones that were frozen.
//!
//! `PRTRACE_BLESS=1 cargo test --test freeze` rewrites the lines of the inputs at hand. Each run
//! leaves what was printed in `target/tmp/freeze/now`, and blessing copies it to
//! `target/tmp/freeze/blessed`, so that `diff -r` of the two shows what changed.

#[path = "support/logs.rs"]
mod logs;
#[path = "support/program.rs"]
mod program;
mod support;

use program::prtrace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use support::{file_names, samples, scenario};

/// The formats, each with the arguments that ask for it.
const FORMATS: [(&str, &[&str]); 7] = [
    ("text", &["analyze"]),
    ("all", &["analyze", "--all"]),
    ("json", &["analyze", "--format", "json"]),
    ("jsonl", &["analyze", "--format", "jsonl"]),
    ("csv", &["analyze", "--format", "csv"]),
    ("timeline", &["timeline"]),
    ("timeline-json", &["timeline", "--format", "json"]),
];

const FROZEN: &str = "tests/freeze.tsv";

/// An input: its name, and the arguments that name it from a folder.
struct Input {
    name: String,
    folder: PathBuf,
    arguments: Vec<String>,
    /// Given on standard input to `explain` instead of the formats.
    explain: Option<String>,
}

fn input(name: String, folder: &Path, arguments: &[&str]) -> Input {
    Input {
        name,
        folder: folder.to_owned(),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        explain: None,
    }
}

fn explained(name: &str, text: String) -> Input {
    Input {
        explain: Some(text),
        ..input(name.to_owned(), Path::new("."), &[])
    }
}

/// What the repository itself holds.
fn own_inputs(folder: &Path) -> Vec<Input> {
    let mut inputs = vec![input("samples".into(), Path::new("."), &["samples"])];
    for name in samples() {
        let path = format!("samples/{name}");
        inputs.push(input(path.clone(), Path::new("."), &[&path]));
    }
    for name in file_names(Path::new("tests/cases")) {
        let text = fs::read_to_string(format!("tests/cases/{name}")).unwrap();
        let name = name.trim_end_matches(".txt");
        for (number, scenario) in scenarios(&text).iter().enumerate() {
            let folder = folder.join("cases").join(name).join(number.to_string());
            scenario::write_to(scenario, &folder).unwrap();
        }
        let name = format!("cases/{name}");
        inputs.push(input(name.clone(), folder, &["--separate-bundles", &name]));
    }
    let codes = include_str!("../src/facts/codes.tsv").lines();
    let codes = codes.filter(|line| !line.starts_with('#'));
    let codes: Vec<&str> = codes.filter_map(|line| line.split('\t').nth(1)).collect();
    inputs.push(explained("explain/codes", codes.join("\n")));
    inputs
}

/// The scenarios of a rule table, each with the name that its test gives the computer.
fn scenarios(table: &str) -> Vec<String> {
    let mut scenarios: Vec<String> = Vec::new();
    let mut facts = false;
    for line in table.lines() {
        if line.starts_with("==") {
            facts = false;
            scenarios.push("computer PC-1.contoso.com\n".to_owned());
        } else if line.trim() == "=>" {
            facts = true;
        } else if let Some(scenario) = scenarios.last_mut().filter(|_| !facts) {
            scenario.push_str(line);
            scenario.push('\n');
        }
    }
    scenarios
}

/// The graded cases. Each name carries a checksum of the input: a case that changed since it was
/// frozen is another input.
fn graded_inputs(cases: &Path, folder: &Path) -> Vec<Input> {
    let mut inputs = Vec::new();
    for name in file_names(&cases.join("reviewed")) {
        if let Some(name) = name.strip_suffix(".txt") {
            let text = fs::read_to_string(cases.join(format!("reviewed/{name}.txt"))).unwrap();
            let path = format!("reviewed/{name}");
            scenario::write_to(&text, &folder.join(&path)).unwrap();
            let sum = crc32fast::hash(text.as_bytes());
            inputs.push(input(format!("{path}@{sum:08x}"), folder, &[&path]));
        }
    }
    for name in file_names(&cases.join("field")) {
        let path = format!("field/{name}/logs");
        let mut sum = crc32fast::Hasher::new();
        for file in logs::files_in(&cases.join(&path)) {
            sum.update(&fs::read(file).unwrap());
        }
        let sum = sum.finalize();
        inputs.push(input(format!("field/{name}@{sum:08x}"), cases, &[&path]));
        let pasted = fs::read_to_string(cases.join(format!("field/{name}/pasted.txt"))).unwrap();
        let sum = crc32fast::hash(pasted.as_bytes());
        inputs.push(explained(&format!("explain/{name}@{sum:08x}"), pasted));
    }
    inputs
}

/// What the program prints for an input, by format, each with the exit status.
fn printed(input: &Input) -> Vec<(&'static str, i32, Vec<u8>)> {
    let run = |arguments: &[&str], more: &[String]| {
        let mut command = prtrace();
        command
            .current_dir(&input.folder)
            .args(arguments)
            .args(more);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = input.explain.clone().unwrap_or_default();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let mut output = child.wait_with_output().unwrap();
        output.stdout.extend(output.stderr);
        (output.status.code().unwrap(), output.stdout)
    };
    if input.explain.is_some() {
        let formats = [
            ("explain", &["explain", "-"][..]),
            ("explain-json", &["explain", "-", "--format", "json"]),
        ];
        return formats
            .map(|(format, arguments)| {
                let (status, output) = run(arguments, &[]);
                (format, status, output)
            })
            .into();
    }
    FORMATS
        .map(|(format, arguments)| {
            let (status, output) = run(arguments, &input.arguments);
            (format, status, output)
        })
        .into()
}

/// Holds the outputs of these inputs against the frozen ones, or freezes them. `part` names them.
fn hold(part: &str, inputs: &[Input]) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freeze");
    let bless = std::env::var_os("PRTRACE_BLESS").is_some();
    let now = kept.join("now");
    let mut lines = BTreeMap::new();
    for input in inputs {
        for (format, status, output) in printed(input) {
            let name = format!("{}.{format}", input.name.replace('/', "-"));
            for folder in [Some(now.clone()), bless.then(|| kept.join("blessed"))] {
                let Some(folder) = folder else { continue };
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(&name), &output).unwrap();
            }
            let key = format!("{part}\t{}\t{format}", input.name);
            let (size, sum) = (output.len(), crc32fast::hash(&output));
            lines.insert(key, format!("{status}\t{size}\t{sum:08x}"));
        }
    }
    // One part of the tests blesses at a time.
    static FILE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = FILE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = fs::read_to_string(FROZEN).unwrap_or_default();
    let mut frozen: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.splitn(4, '\t');
        let key: Vec<&str> = columns.by_ref().take(3).collect();
        frozen.insert(key.join("\t"), columns.next().unwrap().to_owned());
    }
    if bless {
        frozen.retain(|key, _| !key.starts_with(&format!("{part}\t")));
        frozen.extend(lines);
        let lines: Vec<String> = frozen
            .iter()
            .map(|(key, value)| format!("{key}\t{value}\n"))
            .collect();
        fs::write(FROZEN, lines.concat()).unwrap();
        return;
    }
    let of_part = frozen
        .into_iter()
        .filter(|(key, _)| key.starts_with(&format!("{part}\t")));
    let frozen: BTreeMap<String, String> = of_part.collect();
    let mut changed: BTreeSet<&String> = BTreeSet::new();
    for key in frozen.keys().chain(lines.keys()) {
        let (before, after) = (frozen.get(key), lines.get(key));
        let is_ours = part == "own";
        if before != after && (is_ours || before.is_some() && after.is_some()) {
            changed.insert(key);
        }
    }
    let compared = lines.keys().filter(|key| frozen.contains_key(*key)).count();
    eprintln!("{part}: {compared} of {} outputs are frozen", lines.len());
    assert!(
        changed.is_empty(),
        "what is printed changed; look at {} and bless it if it should have:\n{}",
        now.display(),
        changed
            .iter()
            .map(|key| format!("  {key}\n"))
            .collect::<String>()
    );
}

#[test]
fn what_is_printed_on_our_own_inputs_is_frozen() {
    let folder = tempfile::tempdir().unwrap();
    hold("own", &own_inputs(folder.path()));
}

#[test]
fn what_is_printed_on_the_graded_cases_is_frozen() {
    let Some(cases) = support::required("PRTRACE_TEST_CASES").map(PathBuf::from) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    hold("graded", &graded_inputs(&cases, folder.path()));
}

#[test]
fn what_is_printed_on_real_logs_is_frozen() {
    let Some(unpacked) = logs::unpacked_logs() else {
        return;
    };
    // The folder is named after the size of the logs: other logs are another input.
    let logs = unpacked.file_name().unwrap().to_str().unwrap();
    let inputs = ["real", "damaged"].map(|name| input(format!("{logs}/{name}"), unpacked, &[name]));
    hold("real", &inputs);
}
