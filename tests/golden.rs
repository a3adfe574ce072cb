//! The reports on the samples and on many machines, byte by byte: text and JSON.
//!
//! A change of the output shows as a difference of these files. `PRTRACE_BLESS=1 cargo test --test
//! golden` writes them anew, to be read before they are committed.

mod support;

use std::fs;
use std::path::Path;
use support::fleet::fleet;
use support::{file_names, fleet_text_bytes, json_bytes, samples, scenario, text_bytes};

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
    reports.push(("fleet.txt".into(), fleet_text_bytes(fleet_folder().path())));
    reports.sort();
    reports
}

/// Crafted machines with what they do not show: several meanings of one signature, a run behind a
/// window, token requests that fail, a run that was not possible
/// after one that failed, another domain, names that are wide, and problems.
fn fleet_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, logs) in fleet(22) {
        let of_machine = folder.path().join(name);
        fs::create_dir(&of_machine).unwrap();
        for (log, bytes) in logs {
            fs::write(of_machine.join(log), bytes).unwrap();
        }
    }
    for name in [
        "device-rejected-after-failed-join",
        "wrong-password",
        "no-domain-controller",
    ] {
        let scenario = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        scenario::write_to(&scenario, &folder.path().join(name)).unwrap();
    }
    let others = "computer 営業部-01.contoso.com\nsid S-1-5-21-1-2-3-1001\n\
        10:00:00 1250 Result=0 UserIdentity=aya@contoso.com CredentialType=1 CorrelationID=11111111-2222-3333-4444-555555555555\n\
        10:10:00 1098 Error=0xcaa2000c ErrorMessage=\"interaction required\" @task=103 @pid=4000\n";
    scenario::write_to(others, &folder.path().join("others")).unwrap();
    let again = "computer PC-9.fabrikam.com\n\
        09:00:00 1250 Result=0 UserIdentity=bo@fabrikam.com CredentialType=1 CorrelationID=01111111-2222-3333-4444-555555555555\n\
        10:00:00 1250 Result=0xc000006d UserIdentity=bo@fabrikam.com CredentialType=1 CorrelationID=11111111-2222-3333-4444-555555555555 HTTPStatus=400 ErrorCode=invalid_grant ErrorDescription=\"AADSTS50126: wrong\"\n";
    scenario::write_to(again, &folder.path().join("again")).unwrap();
    let third = again
        .replace("PC-9", "PC-8")
        .replace("09:00:00", "11:00:00")
        .replace("bo@", "cy@");
    scenario::write_to(&third, &folder.path().join("third")).unwrap();
    let run = "computer PC-7.fabrikam.com\n\
        08:00:00 304 ExitCode=0x801c001d DebugOutput=\"errorPhase: discover\\r\\n\" @pid=7820\n\
        09:00:00 334 @pid=7900\n";
    scenario::write_to(run, &folder.path().join("run")).unwrap();
    folder
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
