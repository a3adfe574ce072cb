//! Containers that logs arrive in: every member of a sound one is read, and nothing that a hostile
//! one claims is believed.

use prtrace::archive::{Budget, Bytes, Limits, Refusal, zip::Zip};
use std::fs::File;
use std::path::Path;

/// What a test sees of an archive: names with contents, in order, and what was refused.
type Seen = (Vec<(String, Vec<u8>)>, Vec<Refusal>);

fn zip(bytes: Bytes, limits: Limits) -> Result<Seen, Refusal> {
    let budget = Budget::new(limits, bytes.size());
    let zip = Zip::open(bytes, &budget)?;
    let mut members = Vec::new();
    let mut refusals = Vec::new();
    for part in 0..zip.parts() {
        refusals.extend(zip.read_part(part, &budget, &mut |member| {
            let mut bytes = Vec::new();
            let _ = member.reader.read_to_end(&mut bytes);
            members.push((member.name.to_owned(), bytes));
        }));
    }
    Ok((members, refusals))
}

#[test]
fn every_member_of_real_archives_is_read() {
    let Ok(logs) = std::env::var("PRTRACE_TEST_LOGS") else {
        return;
    };
    for folder in ["real", "damaged"] {
        for entry in std::fs::read_dir(Path::new(&logs).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = Bytes::file(File::open(&path).unwrap()).unwrap();
            let (members, refusals) = zip(bytes, Limits::default()).unwrap();
            assert_eq!(refusals, []);
            assert!(!members.is_empty());
        }
    }
}
