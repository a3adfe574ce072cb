//! Logs of real machines and publicly known damaged ones, which are no part of the repository.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder with the logs, unpacked once a test program into `real` and `damaged`.
///
/// `PRTRACE_TEST_LOGS` names a folder with `real/*.zip` and `damaged/damaged.zip`. Without it there
/// is nothing to test, and that is said; with `PRTRACE_REQUIRE` it is a failure.
pub(crate) fn unpacked_logs() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let unpacked = FOLDER.get_or_init(|| {
        let logs = crate::support::required("PRTRACE_TEST_LOGS").map(PathBuf::from)?;
        let zips = ["real", "damaged"].map(|part| (part, zips_in(&logs.join(part))));
        let sizes = zips.iter().flat_map(|(_, zips)| zips);
        let size: u64 = sizes.map(|zip| fs::metadata(zip).unwrap().len()).sum();
        // Under the build's own folder, as nothing removes them at the end. Other logs, which have
        // another size, go elsewhere.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("logs-{size}"));
        for (part, zips) in zips {
            for zip in zips {
                unpack(&zip, &folder.join(part).join(zip.file_stem().unwrap()));
            }
        }
        Some(folder)
    });
    unpacked.as_deref()
}

/// The files of a folder and the ones in it, in the order of their names.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let found = walkdir::WalkDir::new(folder).sort_by_file_name();
    let files = found.into_iter().map(|entry| entry.unwrap());
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect()
}

fn zips_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_in(folder);
    files.retain(|file| file.extension().is_some_and(|extension| extension == "zip"));
    files
}

fn unpack(zip: &Path, folder: &Path) {
    // Several test programs may unpack at once: each into a folder of its own, which is then
    // moved. Whose comes too late throws its own away.
    if folder.exists() {
        return;
    }
    let parent = folder.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    let own = tempfile::tempdir_in(parent.parent().unwrap()).unwrap();
    let mut archive = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    archive.extract(own.path().join("logs")).unwrap();
    let moved = fs::rename(own.path().join("logs"), folder);
    assert!(moved.is_ok() || folder.exists(), "{moved:?}");
}
