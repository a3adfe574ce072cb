//! What several tests and the `craft` example share: event logs written from a readable text.

// Each test is a program of its own: it uses a part of this, and nothing is public outside it.
#![allow(dead_code, unreachable_pub)]

pub mod evtx;
pub mod scenario;

use std::path::Path;

/// The report on a folder or log, as JSON.
pub fn json_report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&json_bytes(&[path], 2)).unwrap()
}

/// The bytes of the JSON report.
pub fn json_bytes(paths: &[&Path], threads: usize) -> Vec<u8> {
    use prtrace::{report, scan};
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    let scan = scan::scan(&paths, scan::Options::default().threads(threads)).unwrap();
    let analyses = report::analyze(&scan);
    let mut bytes = Vec::new();
    report::json::write(&report::Report::new(&scan, &analyses), &mut bytes).unwrap();
    bytes
}
