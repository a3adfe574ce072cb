//! What once was wrong, one test a fault.

#[path = "support/program.rs"]
mod program;
mod support;

use program::prtrace;
use prtrace::base::problem::ProblemKind;
use prtrace::machine;
use std::fs;
use std::path::Path;
use std::process::Output;
use support::{chunks, scenario, spans};

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = prtrace();
    command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn log(count: usize) -> Vec<u8> {
    let text = format!(
        "computer PC-1\n08:00:00 1081 Error=x ErrorDescription=\"{}\" @repeat={count}\n",
        "words ".repeat(500)
    );
    scenario::logs(&text).unwrap().into_values().next().unwrap()
}

/// Events and problems of a folder with this one log.
fn read(bytes: &[u8]) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.evtx"), bytes).unwrap();
    fs::write(
        folder.path().join("whole.evtx"),
        scenario::logs("computer PC-2\n08:00:00 1016\n")
            .unwrap()
            .into_values()
            .next()
            .unwrap(),
    )
    .unwrap();
    let scan = machine::scan(&[folder.path().to_path_buf()], Default::default()).unwrap();
    let events = scan
        .machines
        .iter()
        .filter(|m| &*m.name == "PC-1")
        .map(|m| m.events.len())
        .sum();
    let problems: usize = scan.machines.iter().map(|m| m.problems.len()).sum();
    (events, problems + scan.problems.len())
}

#[test]
fn a_slot_with_a_zeroed_start_is_told() {
    let mut log = log(40);
    let chunk = chunks(&log).nth(1).unwrap();
    let first = spans(&log, chunk)[0].clone();
    log[chunk..first.start + 4].fill(0);
    assert_ne!(read(&log).1, 0);
}

#[test]
fn a_log_cut_between_two_chunks_is_told() {
    let log = log(40);
    let chunk = chunks(&log).nth(1).unwrap();
    assert_ne!(read(&log[..chunk]).1, 0);
}

#[test]
fn a_log_in_a_folder_without_its_header_and_first_magic_is_told() {
    let mut log = log(40);
    log[..4104].fill(0xff);
    let (events, problems) = read(&log);
    assert_ne!((events, problems), (0, 0));
}

#[test]
fn records_whose_template_lost_its_provider_are_told() {
    let mut log = log(5);
    let name: Vec<u8> = "Provider"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let at = log.windows(16).position(|bytes| bytes == name).unwrap();
    log[at] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.evtx");
    fs::write(&path, &log).unwrap();
    let scan = machine::scan(&[path], Default::default()).unwrap();
    let details: Vec<_> = scan.problems.iter().map(|p| (p.kind, p.offset)).collect();
    assert!(
        details.len() > 1,
        "five records are gone, and all that is said is {details:?}"
    );
}

#[test]
fn a_forged_no_checksum_flag_hides_no_change() {
    let mut log = log(5);
    let chunk = chunks(&log).next().unwrap();
    let third = spans(&log, chunk)[2].clone();
    log[chunk + 120] |= 4;
    // A letter of the text.
    log[third.end - 200] ^= 1;
    assert_ne!(read(&log).1, 0);
}

#[cfg(unix)]
#[test]
fn a_file_name_does_not_steer_the_terminal_through_a_message() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let name = "logs/x\u{1b}[2J\nprtrace: all is well.evtx";
    fs::write(folder.path().join(name), b"PK\x03\x04").unwrap();
    for path in ["logs", name] {
        let output = run_in(folder.path(), &[path]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message.lines().count(), 1, "{message:?}");
        assert!(!message.contains('\u{1b}'), "{message:?}");
    }
}

#[test]
fn a_message_about_the_output_names_no_file_of_ours() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run_in(root, &["--output", "missing/report.txt", "samples/healthy"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        !message.contains(".tmp") && !message.contains("os error"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn the_output_can_be_read_by_whom_the_umask_lets() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    fs::write(folder.path().join("plain"), b"").unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/healthy");
    run_in(
        folder.path(),
        &["--output", "report", samples.to_str().unwrap()],
    );
    assert_eq!(mode("report"), mode("plain"));
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_pipe_or_a_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("target"), b"").unwrap();
    std::os::unix::fs::symlink("target", folder.path().join("link")).unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/healthy");
    run_in(
        folder.path(),
        &["--output", "link", samples.to_str().unwrap()],
    );
    let link = fs::symlink_metadata(folder.path().join("link")).unwrap();
    assert!(link.file_type().is_symlink());
}

#[test]
fn the_work_after_the_logon_is_in_no_inferred_window() {
    let report = support::json_report(Path::new("samples/enterprise-prt"));
    let ids: Vec<&serde_json::Value> = report["machines"][0]["windows"][1]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["event_id"])
        .collect();
    assert_eq!(ids, [1022, 1081, 1025, 1118]);
}

/// The parser's word on a record whose header it cannot read says an offset and a time, and not
/// whose they are.
#[test]
fn no_record_is_told_with_the_fault_of_another() {
    for (lost, own) in [(&[1][..], true), (&[1, 3], false)] {
        let mut log = log(4);
        let chunk = chunks(&log).next().unwrap();
        let spans = spans(&log, chunk);
        for number in lost {
            // Later than any time that the parser knows.
            let time = spans[*number].start + 16;
            log[time..time + 8].fill(0xff);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log.evtx"), log).unwrap();
        let scan = machine::scan(&[folder.path().to_path_buf()], Default::default()).unwrap();
        let problems = scan.machines.iter().flat_map(|m| &m.problems);
        let problems = problems.filter(|problem| problem.kind == ProblemKind::UndecodableRecord);
        let details: Vec<&str> = problems.map(|problem| &*problem.detail).collect();
        assert_eq!(details.len(), lost.len());
        for (number, detail) in lost.iter().zip(details) {
            let (of, fault) = detail.split_once(": ").unwrap();
            assert_eq!(of, format!("record {}", number + 1));
            match own {
                true => assert!(fault.contains("0xffffffffffffffff"), "{detail}"),
                false => assert_eq!(fault, "not reached by the parser"),
            }
        }
    }
}

#[test]
fn an_operation_that_is_no_join_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (name, operation) in [("renew", "DeviceRenew"), ("join", "DeviceJoin")] {
        let text = format!(
            "computer PC-{name}\n08:00:00 204 ExitCode=0x801c03f3 HttpStatus=400 ServerResponse=\"\
             {{\\\"code\\\":\\\"invalid_request\\\",\\\"subcode\\\":\\\"error_missing_device\\\",\
             \\\"operation\\\":\\\"{operation}\\\",\\\"message\\\":\\\"m\\\"}}\"\n"
        );
        scenario::write_to(&text, &folder.path().join(name)).unwrap();
        let output = run_in(folder.path(), &[name]);
        let said = String::from_utf8(output.stdout).unwrap();
        let server = said.lines().find(|line| line.starts_with("  Server "));
        let words = "  Server               invalid_request, error_missing_device, HTTP 400";
        let expected = match operation {
            "DeviceRenew" => format!("{words},"),
            _ => format!("{words} [204]"),
        };
        assert_eq!(server, Some(&*expected), "{said}");
        assert_eq!(said.contains("operation DeviceRenew"), name == "renew");
        assert!(!said.contains("operation DeviceJoin"));
    }
}
