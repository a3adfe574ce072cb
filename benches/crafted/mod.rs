//! Logs to measure with, made by the tests' writer: the same bytes wherever they are made.

// Each bench is a program of its own: it uses a part of this, and nothing is public outside it.
#![allow(dead_code, unreachable_pub)]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use prtrace::evtx::chunk::{CHUNK_SIZE, FILE_HEADER_SIZE};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::LazyLock;
use support::evtx::{Record, Shape, Value, write_log};

/// A failed acquisition and one that succeeds, within half a minute.
const SCENARIO: &str = include_str!("../../tests/samples/wrong-password.txt");
/// The last parts of its two correlation IDs.
const CORRELATIONS: [&str; 2] = ["0c94b2d5a702", "62f0de8a9103"];
/// From one round of the scenario to the next, in units of 100 ns.
const MINUTE: u64 = 600_000_000;
/// Records that are written in one go.
const PIECE: usize = 20_000;

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Events of the AAD provider, of both channels.
    Ours,
    /// The same records under another provider's name: in nine of ten it is a value of the
    /// record, as in most real logs, in the others it stands in the template.
    Foreign,
}

/// Records of the scenario, played over and over: these many from this number on. Each round has
/// its own times, record IDs, activity and correlation IDs.
pub fn records(content: Content, first: usize, count: usize) -> Vec<Record> {
    static ROUND: LazyLock<Vec<Record>> = LazyLock::new(|| {
        let logs = support::scenario::records(SCENARIO).unwrap();
        let mut records: Vec<Record> = logs.into_values().flatten().collect();
        records.sort_by_key(|record| record.time_filetime);
        records
    });
    let record = |number: usize| {
        let round = (number / ROUND.len()) as u64;
        let mut record = ROUND[number % ROUND.len()].clone();
        record.record_id = number as u64 + 1;
        record.time_filetime += round * MINUTE;
        if let Some(activity) = &mut record.activity_id {
            activity[..4].copy_from_slice(&(round as u32).to_le_bytes());
        }
        for (_, value) in &mut record.data {
            let Value::Unicode(text) = value else {
                continue;
            };
            for (index, old) in (0..).zip(CORRELATIONS) {
                let new = format!("{:012x}", round * 2 + index);
                *text = text.replace(old, &new);
                *text = text.replace(&old.to_uppercase(), &new.to_uppercase());
            }
        }
        if content == Content::Foreign {
            record.provider_name = "Microsoft-Windows-Security-SPP".to_owned();
            record.channel = "Application".to_owned();
            if number % 10 == 9 {
                record.shape = Shape::LiteralProvider;
            }
        }
        record
    };
    (first..first + count).map(record).collect()
}

/// A chunk as full as it gets.
pub fn chunk(content: Content) -> Vec<u8> {
    let log = write_log(&records(content, 0, 1_000)).unwrap();
    log[FILE_HEADER_SIZE as usize..][..CHUNK_SIZE].to_vec()
}

/// Writes a log with these many records, piece by piece: it may be larger than the memory.
/// Returns its size.
pub fn write(path: &Path, content: Content, first: usize, count: usize) -> io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut size = 0;
    for start in (first..first + count).step_by(PIECE) {
        let records = records(content, start, PIECE.min(first + count - start));
        let log = write_log(&records).map_err(io::Error::other)?;
        // The first piece has the file header; readers do not trust the counts in it.
        let piece = match size {
            0 => &log[..],
            _ => &log[FILE_HEADER_SIZE as usize..],
        };
        file.write_all(piece)?;
        size += piece.len() as u64;
    }
    file.flush()?;
    Ok(size)
}

/// Fills a folder with logs of about this size together: nine of ten bytes are foreign, in many
/// logs of 1 MiB, the rest is ours, in one.
pub fn write_folder(folder: &Path, bytes: u64) -> io::Result<u64> {
    // Of one piece of ours and a first foreign log, to learn how much room a record takes.
    const SAMPLE: usize = 2_000;
    fs::create_dir_all(folder)?;
    let ours = folder.join("ours.evtx");
    let per_sample = write(&ours, Content::Ours, 0, SAMPLE)?;
    let count = (bytes / 10).div_ceil(per_sample) as usize * SAMPLE;
    let mut size = write(&ours, Content::Ours, 0, count)?;
    let foreign = folder.join("foreign-0.evtx");
    let of_one = write(&foreign, Content::Foreign, 0, SAMPLE)?;
    size += of_one;
    for number in 1.. {
        if size + of_one > bytes {
            break;
        }
        size += fs::copy(&foreign, folder.join(format!("foreign-{number}.evtx")))?;
    }
    Ok(size)
}
