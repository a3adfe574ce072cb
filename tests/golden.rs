//! The reports on the samples, byte by byte: text and JSON.
//!
//! A change of the output shows as a difference of these files. `PRTRACE_BLESS=1 cargo test --test
//! golden` writes them anew, to be read before they are committed.

mod support;

use std::fs;
use std::path::Path;
use support::{file_names, json_bytes, samples, text_bytes};

/// The reports by file name. Tests run in the root of the package, so that the paths in the
/// reports are relative and the same everywhere.
fn reports() -> Vec<(String, Vec<u8>)> {
    let mut reports = Vec::new();
    for name in samples() {
        let path = format!("samples/{name}");
        let paths = [Path::new(&path)];
        reports.push((format!("{name}.json"), json_bytes(&paths, 2)));
        reports.push((format!("{name}.txt"), text_bytes(&paths, 2, false)));
    }
    // What one sample does not show: several machines, and what --all adds.
    let paths = [
        Path::new("samples/healthy"),
        Path::new("samples/operational-only"),
        Path::new("samples/recovered-session-key"),
    ];
    reports.push(("three-machines.txt".into(), text_bytes(&paths, 2, false)));
    let path = [Path::new("samples/enterprise-prt")];
    reports.push(("enterprise-prt-all.txt".into(), text_bytes(&path, 2, true)));
    reports.sort();
    reports
}

#[test]
fn the_reports_on_the_samples_are_the_golden_ones() {
    let folder = Path::new("tests/golden");
    let reports = reports();
    if std::env::var_os("PRTRACE_BLESS").is_some() {
        fs::create_dir_all(folder).unwrap();
        for stale in file_names(folder) {
            fs::remove_file(folder.join(stale)).unwrap();
        }
        for (name, report) in &reports {
            fs::write(folder.join(name), report).unwrap();
        }
    }
    let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(file_names(folder), names);
    let mut different = Vec::new();
    for (name, report) in &reports {
        let report = String::from_utf8(report.clone()).unwrap();
        let golden = fs::read_to_string(folder.join(name)).unwrap();
        // The first line that differs says enough, the files are long.
        let line = golden
            .lines()
            .zip(report.lines())
            .position(|(golden, now)| golden != now);
        if let Some(line) = line {
            let of = |text: &str| text.lines().nth(line).unwrap_or("").to_owned();
            different.push(format!(
                "{name}:{}\n  golden {}\n  now    {}",
                line + 1,
                of(&golden),
                of(&report)
            ));
        } else if golden != report {
            different.push(format!("{name}: one is longer"));
        }
    }
    assert!(
        different.is_empty(),
        "reports changed; if they should have, bless them:\n{}",
        different.join("\n")
    );
}
