//! What the side-by-side run needs beside prtrace itself:
//!
//! - `logs ours FILE EVENTS` writes a log of the AAD provider's events, `logs foreign FILE RECORDS`
//!   one of another provider's
//! - `logs folder FOLDER BYTES` fills a folder with logs, nine of ten bytes foreign
//! - `logs fleet FOLDER N` writes a zip archive for each of so many machines, see
//!   `tests/support/fleet.rs`
//! - `logs read-live PATH` reads what of the logs under a path is live, does nothing with it, and
//!   prints the bytes read, those of the files, and the number of files: the floor for any reader
//! - `logs hits PATH` prints computer, channel, record ID and event ID of each event of ours

mod crafted;

use crafted::Content;
use prtrace::evtx::chunk::{CHUNK_SIZE, FILE_HEADER_SIZE};
use prtrace::{machine, scan};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

/// The part of a chunk before its records.
const CHUNK_HEADER: usize = 512;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("logs: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["ours", file, events] => {
            crafted::write(Path::new(file), Content::Ours, 0, events.parse()?)?;
        }
        ["foreign", file, records] => {
            crafted::write(Path::new(file), Content::Foreign, 0, records.parse()?)?;
        }
        ["folder", folder, bytes] => {
            crafted::write_folder(Path::new(folder), bytes.parse()?)?;
        }
        ["fleet", folder, machines] => fleet(Path::new(folder), machines.parse()?)?,
        ["read-live", path] => read_live(Path::new(path))?,
        ["hits", path] => hits(Path::new(path))?,
        _ => return Err("usage: logs ours|foreign|folder|fleet|read-live|hits PATH [SIZE]".into()),
    }
    Ok(())
}

fn fleet(folder: &Path, machines: usize) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for (name, logs) in crafted::support::fleet::fleet(machines) {
        let file = BufWriter::new(File::create(folder.join(format!("{name}.zip")))?);
        let mut archive = zip::ZipWriter::new(file);
        for (log, bytes) in logs {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(format!("authlogs/{log}"), options)?;
            archive.write_all(&bytes)?;
        }
        archive.finish()?.flush()?;
    }
    Ok(())
}

fn read_live(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut buffer = vec![0; CHUNK_SIZE];
    let (mut live, mut bytes, mut files) = (0, 0, 0_u64);
    for entry in walkdir::WalkDir::new(path) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let file = File::open(entry.path())?;
        let size = file.metadata()?.len();
        files += 1;
        bytes += size;
        let mut read = |part: &mut [u8], offset| -> io::Result<()> {
            live += read_at(&file, part, offset)? as u64;
            Ok(())
        };
        for offset in (FILE_HEADER_SIZE..size).step_by(CHUNK_SIZE) {
            let (header, records) = buffer.split_at_mut(CHUNK_HEADER);
            read(header, offset)?;
            let end = match header.starts_with(b"ElfChnk\0") {
                true => u32::from_le_bytes([header[48], header[49], header[50], header[51]]),
                false => 0,
            };
            let length = (end as usize).clamp(CHUNK_HEADER, CHUNK_SIZE) - CHUNK_HEADER;
            if length > 0 {
                read(&mut records[..length], offset + CHUNK_HEADER as u64)?;
            }
        }
    }
    println!("{live} {bytes} {files}");
    Ok(())
}

fn read_at(file: &File, part: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, part, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, part, offset);
}

fn hits(path: &Path) -> Result<(), Box<dyn Error>> {
    let scan = machine::scan(&[path.to_owned()], scan::Options::default())?;
    let mut out = BufWriter::new(io::stdout().lock());
    for event in scan.machines.iter().flat_map(|machine| &machine.events) {
        let (computer, channel) = (&event.computer, &event.channel);
        let (record_id, event_id) = (event.record_id, event.event_id);
        writeln!(out, "{computer}\t{channel}\t{record_id}\t{event_id}")?;
    }
    out.flush()?;
    Ok(())
}
