//! How far the reading is, on a terminal; and what was read, for those who ask.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use prtrace::base::terminal::one_line;
use prtrace::machine::Scan;
use prtrace::scan::Progress;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use walkdir::WalkDir;

/// How often the numbers change.
const STEP: Duration = Duration::from_millis(100);

const STYLE: &str = "{bytes} of {total_bytes}, {msg}, {bytes_per_sec}, {eta} left {wide_bar}";
const UNKNOWN_TOTAL: &str = "{bytes}, {msg}, {bytes_per_sec}";

/// Does the work and shows how far it is, if it is wanted and somebody looks on.
pub(crate) fn shown<T>(paths: &[PathBuf], wanted: bool, work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    if !wanted || !io::stderr().is_terminal() {
        return work(&progress);
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let shown = scope.spawn(|| show(paths, &progress, &done));
        // Also when the work panics: the scope waits for the thread.
        let _done = Done(&done, shown.thread());
        work(&progress)
    })
}

/// Says that the work is done when it goes.
struct Done<'a>(&'a AtomicBool, &'a Thread);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

fn show(paths: &[PathBuf], progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::no_length();
    let style = |template| ProgressStyle::with_template(template).ok();
    if let Some(style) = style(UNKNOWN_TOTAL) {
        bar.set_style(style);
    }
    thread::scope(|scope| {
        let total = scope.spawn(|| total(paths, done));
        let mut total = Some(total);
        // What takes no time to read shows nothing.
        thread::park_timeout(STEP * 3);
        while !done.load(Ordering::Relaxed) {
            if let Some(total) = total.take_if(|total| total.is_finished()) {
                bar.set_length(total.join().unwrap_or(0));
                if let Some(style) = style(STYLE) {
                    bar.set_style(style);
                }
            }
            bar.set_message(format!(
                "{}, {}, {}",
                counted(progress.files.load(Ordering::Relaxed), "file"),
                counted(progress.logs.load(Ordering::Relaxed), "log"),
                counted(progress.machines() as u64, "machine"),
            ));
            bar.set_position(progress.bytes.load(Ordering::Relaxed));
            thread::park_timeout(STEP);
        }
    });
    bar.finish_and_clear();
}

/// The size of the files there are to read; nobody asks for it once the work is done.
fn total(paths: &[PathBuf], done: &AtomicBool) -> u64 {
    let files = |path: &Path| WalkDir::new(path).follow_root_links(true).into_iter();
    paths
        .iter()
        .flat_map(|path| files(path))
        .take_while(|_| !done.load(Ordering::Relaxed))
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

/// A number of things, its thousands parted.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", HumanCount(count)),
    }
}

/// Says what was read of each path, and how long threads were busy with it.
pub(crate) fn summary(scan: &Scan, elapsed: Duration) {
    for input in scan.inputs.iter().filter(|input| input.named) {
        let counts = input.counts;
        eprintln!(
            "{}: {}, {}, {} ({} of ours), {}, {:.3} s of a thread",
            one_line(&input.path),
            counted(counts.logs, "log"),
            HumanBytes(counts.bytes),
            counted(counts.records, "record"),
            HumanCount(counts.events),
            counted(counts.other_files, "other file"),
            input.busy.as_secs_f64(),
        );
    }
    let rate = scan.bytes as f64 / elapsed.as_secs_f64().max(1e-9);
    eprintln!(
        "read {}, {} in {:.3} s, {}/s",
        counted(scan.logs, "log"),
        HumanBytes(scan.bytes),
        elapsed.as_secs_f64(),
        HumanBytes(rate as u64),
    );
}
