//! Logs of real machines and publicly known damaged ones, which are no part of the repository.
//!
//! `PRTRACE_TEST_LOGS` names a folder with `real/*.zip` and `damaged/damaged.zip`. Without it there
//! is nothing to test, unless `PRTRACE_REQUIRE` says that there must be.

mod support;

use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use support::{chunks, file_names, json_report};

const CHUNK: usize = 65536;

/// The unpacked zip files of a folder, or nothing if there are no logs to test with.
fn unpacked(folder: &str) -> Option<tempfile::TempDir> {
    let logs = support::required("PRTRACE_TEST_LOGS")?;
    let zips = PathBuf::from(logs).join(folder);
    let unpacked = tempfile::tempdir().unwrap();
    for name in file_names(&zips) {
        let mut zip = zip::ZipArchive::new(File::open(zips.join(&name)).unwrap()).unwrap();
        for number in 0..zip.len() {
            let mut entry = zip.by_index(number).unwrap();
            if entry.is_dir() {
                continue;
            }
            let inside = entry.enclosed_name().expect("a path inside the zip");
            let to = unpacked.path().join(inside);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::io::copy(&mut entry, &mut File::create(to).unwrap()).unwrap();
        }
    }
    Some(unpacked)
}

fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let mut logs = Vec::new();
    for name in file_names(folder) {
        let path = folder.join(name);
        match path.is_dir() {
            true => logs.extend(logs_in(&path)),
            false => logs.push(path),
        }
    }
    logs
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The number of records in a log, counted in a way of its own: a chunk with sound checksums says
/// itself how many it has; in another one they are counted wherever two sizes agree.
fn count_records(log: &[u8]) -> u64 {
    let u32_at = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    let mut count = 0;
    for chunk in chunks(log) {
        let slot = &log[chunk..(chunk + CHUNK).min(log.len())];
        if slot.len() < 512 || !slot.starts_with(b"ElfChnk\0") {
            continue;
        }
        let free = u32_at(chunk + 48) as usize;
        let header = [&slot[..120], &slot[128..512]].concat();
        let sound = slot.len() == CHUNK
            && (512..=CHUNK).contains(&free)
            && u32_at(chunk + 124) == crc32fast::hash(&header)
            && u32_at(chunk + 52) == crc32fast::hash(&slot[512..free]);
        if sound {
            // The numbers of an empty chunk say nothing.
            if free > 512 {
                count += u64_at(chunk + 16) - u64_at(chunk + 8) + 1;
            }
            continue;
        }
        let mut at = chunk + 512;
        let end = chunk + slot.len();
        let mut last = 0;
        while at + 28 <= end {
            let size = u32_at(at + 4) as usize;
            let is_record = &log[at..at + 4] == b"**\0\0"
                && size >= 28
                && at + size <= end
                && u32_at(at + size - 4) as usize == size;
            if !is_record {
                at += 1;
                continue;
            }
            // Behind the free-space mark lie records of the last round, with lower numbers.
            if at < chunk + free || u64_at(at + 8) > last {
                count += 1;
                last = u64_at(at + 8);
            }
            at += size;
        }
    }
    count
}

#[test]
fn real_logs_are_read_whole_and_their_noise_is_no_failure() {
    let Some(folder) = unpacked("real") else {
        return;
    };
    let report = json_report(folder.path());
    let totals = &report["totals"];
    assert_eq!(totals["logs"], 508);
    assert_eq!(totals["records_read"], 202_778);
    assert_eq!(totals["events"], 215);
    assert_eq!(totals["windows_failed"], 0);
    assert_eq!(totals["problems"], 0);
    assert_eq!(totals["duplicates"], 0);

    let logs = logs_in(folder.path());
    assert_eq!(logs.len(), 508);
    let counted: u64 = logs
        .iter()
        .map(|log| count_records(&fs::read(log).unwrap()))
        .sum();
    assert_eq!(counted, 202_778);

    let machines = list(&report["machines"]);
    // Every machine that is not joined writes these at every start.
    for machine in machines {
        for failure in list(&machine["other_failures"]) {
            let is_noise = [1089, 1104].map(Value::from).contains(&failure["event_id"]);
            assert!(!is_noise, "{failure}");
        }
    }
    let renamed = machines
        .iter()
        .find(|machine| machine["name"] == "DESKTOP-23PS6ES.praivacymatrix.com")
        .expect("the machine under its newest name");
    let mut others: Vec<&str> = list(&renamed["also_known_as"])
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    others.sort();
    assert_eq!(others, ["DESKTOP-23PS6ES", "WIN-AN5B2T7E4GI"]);
    for machine in machines {
        assert!(!others.iter().any(|other| machine["name"] == *other));
    }
}

#[test]
fn damaged_logs_are_read_as_far_as_they_go() {
    let Some(folder) = unpacked("damaged") else {
        return;
    };
    let report = json_report(folder.path());
    assert_eq!(report["totals"]["logs"], 12);
    let machines = list(&report["machines"]).iter();
    let problems = machines
        .flat_map(|machine| list(&machine["problems"]))
        .chain(list(&report["problems"]));
    let mut files = Vec::new();
    for problem in problems {
        // That no event of ours is in them is no damage.
        if problem["kind"] == "no_evidence" {
            continue;
        }
        let path = problem["path"].as_str().unwrap();
        let size = fs::metadata(path).unwrap().len();
        let offset = problem["offset"].as_u64().expect("a place");
        let lost = problem["lost_bytes"].as_u64().unwrap();
        assert!(offset + lost <= size.next_multiple_of(4096), "{problem}");
        // The decoder itself must cope with all of them.
        assert_ne!(problem["kind"], "parser_failure");
        files.push(Path::new(path).file_name().unwrap().to_owned());
    }
    // These are in the collection for a chunk without its magic and for a record of size 0.
    for known in ["sysmon.evtx", "sample-with-zero-data-size-event.evtx"] {
        assert!(files.contains(&known.into()), "{known} has no problem");
    }

    let mut total = 0;
    for log in logs_in(folder.path()) {
        let counted = count_records(&fs::read(&log).unwrap());
        let found = json_report(&log)["totals"]["records_read"].as_u64();
        assert_eq!(found, Some(counted), "{}", log.display());
        total += counted;
    }
    assert_eq!(report["totals"]["records_read"], total);
}

/// The decoder that prtrace uses, over whole files and by itself, sees the same records.
#[test]
fn undamaged_logs_have_the_records_that_the_decoder_sees() {
    let Some(folder) = unpacked("damaged") else {
        return;
    };
    let mut compared = 0;
    for log in logs_in(folder.path()) {
        let report = json_report(&log);
        let problems = report["problems"].as_array().unwrap();
        if problems
            .iter()
            .any(|problem| problem["kind"] != "no_evidence")
        {
            continue;
        }
        let mut parser = evtx::EvtxParser::from_path(&log).unwrap();
        let seen = parser.records().filter(Result::is_ok).count();
        assert_eq!(report["totals"]["records_read"], seen, "{}", log.display());
        compared += 1;
    }
    assert!(compared >= 3);
}
