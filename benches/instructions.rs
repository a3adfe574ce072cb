//! Runs one stage over a fixed chunk so many times: `instructions select|decode TIMES`. Prints the
//! bytes of one time. `instructions.sh` counts the instructions of it.

mod crafted;

use crafted::Content;
use prtrace::evtx::chunk::{self, Slot, Span};
use prtrace::evtx::record;
use prtrace::evtx::select;
use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` adds arguments for test harnesses.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    match *arguments {
        [] => {
            for stage in ["select", "decode"] {
                run(stage, 1);
            }
            ExitCode::SUCCESS
        }
        [stage, times] => match times.parse().ok().and_then(|times| run(stage, times)) {
            Some(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            None => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: instructions select|decode TIMES");
    ExitCode::from(2)
}

/// Runs a stage and returns the bytes of one time; nothing if there is no such stage.
fn run(stage: &str, times: u32) -> Option<usize> {
    match stage {
        // Nearly all chunks are foreign.
        "select" => {
            let slot = crafted::chunk(Content::Foreign);
            for _ in 0..times {
                assert!(selected(black_box(&slot)).is_empty());
            }
            Some(slot.len())
        }
        // Each time needs a fresh copy; that is a thousandth of what decoding takes.
        "decode" => {
            let slot = crafted::chunk(Content::Ours);
            let records = selected(&slot);
            let mut names = record::Names::default();
            for _ in 0..times {
                let decoded = record::decode(&mut slot.clone(), &records, &mut names);
                assert_eq!(decoded.events.len(), records.len());
            }
            Some(slot.len())
        }
        _ => None,
    }
}

fn selected(slot: &[u8]) -> Vec<Span> {
    match chunk::read(slot) {
        Slot::Chunk(chunk) => select::wanted(slot, &chunk.records, select::Names::ours()),
        other => panic!("{other:?} is no chunk"),
    }
}
