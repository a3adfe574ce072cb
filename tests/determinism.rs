//! The same files give the same bytes, whatever the number of threads and however they are named.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use support::{chunks, evtx, hostile, json_bytes, samples, scenario, text_bytes};

const THREADS: [usize; 4] = [1, 2, 3, 8];

/// The samples, logs with everything in them, one that is larger than what a thread takes at a
/// time, copies, damage, and files that are no logs.
fn mixed_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in samples() {
        let text = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        scenario::write_to(&text, &at(&name)).unwrap();
    }
    scenario::write_to(&hostile(), &at("hostile")).unwrap();
    scenario::write_to(&hostile(), &at("hostile copy")).unwrap();
    // A thread takes 128 chunks at a time. Here are more than twice as many; every twelfth has events
    // of ours, the same again and again, and some chunks are damaged.
    let scenario = "computer LARGE.contoso.com\n08:00:00 1006\n08:00:00.001 1016 @repeat=60\n";
    let ours = scenario::records(scenario)
        .unwrap()
        .remove("Aad_Analytic.evtx");
    let ours = ours.unwrap();
    let mut foreign = ours.clone();
    for record in &mut foreign {
        record.provider_name = "Somebody else".to_owned();
        record.provider_guid = [7; 16];
    }
    let (mut log, foreign) = (
        evtx::write_log(&ours).unwrap(),
        evtx::write_log(&foreign).unwrap(),
    );
    assert_eq!((log.len(), foreign.len()), (4096 + 65536, 4096 + 65536));
    let ours = log[4096..].to_vec();
    for number in 1..300 {
        log.extend(match number % 12 {
            0 => &ours,
            _ => &foreign[4096..],
        });
    }
    for (number, chunk) in chunks(&log).enumerate().collect::<Vec<_>>() {
        match number % 50 {
            10 => log[chunk] ^= 1,
            20 | 24 => log[chunk + 600] ^= 1,
            _ => {}
        }
    }
    fs::write(at("large.evtx"), log).unwrap();
    fs::write(at("notes.txt"), b"nothing").unwrap();
    fs::write(at("logs.zip"), b"PK\x03\x04").unwrap();
    folder
}

/// Both reports as texts. No assert_eq on them: they are too long to be printed.
fn reports(paths: &[&Path], threads: usize) -> [String; 2] {
    let text = text_bytes(paths, threads, true);
    [json_bytes(paths, threads), text].map(|bytes| String::from_utf8(bytes).unwrap())
}

#[track_caller]
fn same(found: &[String; 2], expected: &[String; 2], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let different = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert_eq!(different, None, "{what}");
        assert!(found == expected, "{what}: one is longer");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = mixed_folder();
    let expected = reports(&[folder.path()], 1);
    // It is a scan with something to get wrong.
    let report: Value = serde_json::from_str(&expected[0]).unwrap();
    assert!(report["totals"]["duplicates"].as_u64() > Some(1000));
    assert!(report["totals"]["problems"].as_u64() > Some(10));
    assert!(report["totals"]["machines"].as_u64() > Some(15));
    for threads in THREADS {
        let found = reports(&[folder.path()], threads);
        same(&found, &expected, &format!("{threads} threads"));
    }
}

#[test]
fn the_order_of_the_arguments_changes_nothing() {
    let names: Vec<PathBuf> = samples()
        .iter()
        .map(|name| Path::new("samples").join(name))
        .collect();
    let mut paths: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
    let missing = Path::new("samples/missing");
    paths.push(missing);
    let expected = reports(&paths, 2);
    assert!(expected[0].contains("samples/missing"));
    let mut orders = Vec::new();
    for turn in 1..paths.len() {
        let mut order = paths.clone();
        order.rotate_left(turn);
        orders.push(order);
    }
    orders.extend(orders.clone().into_iter().map(|mut order| {
        order.reverse();
        order
    }));
    // And one that is neither turned nor reversed.
    let (even, odd): (Vec<_>, Vec<_>) = (0..paths.len()).partition(|n| n % 2 == 0);
    orders.push(odd.into_iter().chain(even).map(|n| paths[n]).collect());
    for (number, order) in orders.iter().enumerate() {
        let threads = THREADS[number % THREADS.len()];
        same(&reports(order, threads), &expected, &format!("{order:?}"));
    }
}

/// Paths that reach a file more than once.
#[test]
fn every_file_counts_once_however_often_it_is_named() {
    let alone: Value = serde_json::from_slice(&json_bytes(&[Path::new("samples")], 2)).unwrap();
    let logs = alone["totals"]["logs"].as_u64().unwrap();
    assert_eq!(logs, count_logs(Path::new("samples")));
    let healthy = "samples/healthy/authlogs/Aad_Analytic.evtx";
    for paths in [
        &["samples", "samples"][..],
        &["samples", "samples/healthy"],
        &["samples/healthy", "samples"],
        &["samples", "./samples/../samples/healthy", healthy],
        &[healthy, "samples/wrong-password", "samples"],
    ] {
        let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
        let report: Value = serde_json::from_slice(&json_bytes(&paths, 2)).unwrap();
        for total in ["machines", "logs", "bytes", "records_read", "events"] {
            let (found, expected) = (&report["totals"][total], &alone["totals"][total]);
            assert_eq!(found, expected, "{total} of {paths:?}");
        }
        assert_eq!(report["totals"]["duplicates"], 0);
        assert_eq!(report["totals"]["problems"], 0);
        assert_eq!(report["totals"]["windows"], alone["totals"]["windows"]);
    }
}

fn count_logs(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| match path.is_dir() {
            true => count_logs(&path),
            false => u64::from(path.extension() == Some("evtx".as_ref())),
        })
        .sum()
}

#[test]
fn overlapping_arguments_give_the_same_bytes_in_any_order() {
    let paths = ["samples", "samples/healthy", "samples/lost-stop/authlogs"].map(Path::new);
    let expected = reports(&paths, 2);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let order = order.map(|number| paths[number]);
        same(&reports(&order, 2), &expected, &format!("{order:?}"));
    }
}

#[test]
fn copies_of_events_count_as_duplicates_and_change_no_window() {
    let folder = tempfile::tempdir().unwrap();
    let logs = scenario::logs(
        "computer PC-1.contoso.com\n\
         08:00:00 1006\n\
         08:00:01 1085 Status=0xC000006D\n\
         08:00:02 1007 Status=0xC000006D\n",
    )
    .unwrap();
    for copy in ["a", "b", "c"] {
        fs::create_dir(folder.path().join(copy)).unwrap();
        for (name, bytes) in &logs {
            fs::write(folder.path().join(copy).join(name), bytes).unwrap();
        }
    }
    let report: Value = serde_json::from_slice(&json_bytes(&[folder.path()], 3)).unwrap();
    let alone = folder.path().join("a");
    let alone: Value = serde_json::from_slice(&json_bytes(&[&alone], 3)).unwrap();
    // Three copies of three events: six are beyond the first.
    assert_eq!(alone["totals"]["duplicates"], 0);
    assert_eq!(report["totals"]["duplicates"], 6);
    assert_eq!(report["totals"]["events"], 3);
    assert_eq!(report["totals"]["records_read"], 9);
    assert_eq!(report["totals"]["logs"], 6);
    assert_eq!(
        report["machines"][0]["windows"],
        alone["machines"][0]["windows"]
    );
    assert_eq!(report["totals"]["windows_failed"], 1);
}
