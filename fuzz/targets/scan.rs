//! Bytes → a file → a scan: no panic, and everything that was selected is an event or a problem.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prtrace::machine;
use prtrace::scan::{Error, Options};
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let scan = match machine::scan(&[file.path().to_owned()], Options::default().threads(1)) {
        Ok(scan) => scan,
        Err(Error::Unreadable { .. } | Error::NothingToRead { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    // A record needs 28 bytes, and no event comes from anything but a record.
    let events: usize = scan
        .machines
        .iter()
        .map(|machine| machine.events.len())
        .sum();
    assert!(scan.records_read * 28 <= bytes.len() as u64);
    assert!(events as u64 + scan.duplicates <= scan.records_read);
    for machine in &scan.machines {
        for log in &machine.logs {
            assert!(log.events <= log.records);
        }
    }
    let of_machines = scan.machines.iter().flat_map(|machine| &machine.problems);
    for problem in scan.problems.iter().chain(of_machines) {
        assert!(
            problem.offset.is_none_or(|at| at <= bytes.len() as u64),
            "{problem:?}"
        );
        // The evtx crate is not expected to panic on anything.
        assert!(!problem.detail.contains("the parser failed"), "{problem:?}");
    }
});
