//! What several tests and the `craft` example share: event logs written from a readable text.

// Each test is a program of its own: it uses a part of this, and nothing is public outside it.
#![allow(dead_code, unreachable_pub)]

pub mod evtx;
pub mod fleet;
pub mod scenario;

use std::path::Path;

/// The report on a folder or log, as JSON.
pub fn json_report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&json_bytes(&[path], 2)).unwrap()
}

/// The bytes of the JSON report.
pub fn json_bytes(paths: &[&Path], threads: usize) -> Vec<u8> {
    use prtrace::{machine, report, scan};
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    let scan = machine::scan(&paths, scan::Options::default().threads(threads)).unwrap();
    let analyses = report::analyze(&scan);
    let mut bytes = Vec::new();
    report::json::write(&report::Report::new(&scan, &analyses), &mut bytes).unwrap();
    bytes
}

/// The text report, as bytes.
pub fn text_bytes(paths: &[&Path], threads: usize, all: bool) -> Vec<u8> {
    use prtrace::{machine, report, scan};
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    let scan = machine::scan(&paths, scan::Options::default().threads(threads)).unwrap();
    let analyses = report::analyze(&scan);
    let report = report::Report::new(&scan, &analyses);
    let mut bytes = Vec::new();
    let options = report::text::Options { all };
    report::text::write(&report, options, &mut bytes).unwrap();
    bytes
}

/// The text on many machines, as bytes.
pub fn fleet_text_bytes(path: &Path) -> Vec<u8> {
    use prtrace::{machine, report, scan};
    let scan = machine::scan(&[path.to_path_buf()], scan::Options::default()).unwrap();
    let mut bytes = Vec::new();
    report::fleet::write(scan, None, &mut bytes).unwrap();
    bytes
}

/// The names of the sample scenarios, sorted.
pub fn samples() -> Vec<String> {
    let names = file_names(Path::new("tests/samples")).into_iter();
    let mut names: Vec<String> = names
        .map(|name| name.strip_suffix(".txt").unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

/// What is in a folder, sorted.
pub fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A scenario that fills every place of the report with hostile text.
pub fn hostile() -> String {
    include_str!("hostile.txt").replace("FIELD", "Name\u{9b}31m\u{202e}")
}

/// Where the chunks of a log start.
pub fn chunks(log: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (4096..log.len()).step_by(65536)
}

/// Where the records of a chunk that is whole stand, by their own sizes.
pub fn spans(log: &[u8], chunk: usize) -> Vec<std::ops::Range<usize>> {
    let u32_at = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let end = chunk + u32_at(chunk + 48);
    let mut spans = Vec::new();
    let mut at = chunk + 512;
    while at < end {
        let size = u32_at(at + 4);
        assert_eq!(&log[at..at + 4], b"**\0\0");
        assert_eq!(u32_at(at + size - 4), size);
        spans.push(at..at + size);
        at += size;
    }
    spans
}

/// What the environment variable says. Without it the test prints why it does nothing, unless
/// `PRTRACE_REQUIRE` is set: then it must not be missing.
pub fn required(variable: &str) -> Option<std::ffi::OsString> {
    let value = std::env::var_os(variable);
    if value.is_none() {
        assert!(
            std::env::var_os("PRTRACE_REQUIRE").is_none(),
            "{variable} is not set, and PRTRACE_REQUIRE is"
        );
        eprintln!("not tested: {variable} is not set");
    }
    value
}
