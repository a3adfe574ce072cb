//! `craft SCENARIO.txt OUTDIR` writes the event logs of a scenario into OUTDIR/authlogs, where
//! Microsoft's collection script puts them. The folder `tests/samples` has scenarios.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

#[path = "mod.rs"]
mod support;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [scenario, folder] = arguments.as_slice() else {
        eprintln!("usage: craft SCENARIO.txt OUTDIR");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder).join("authlogs");
    let written =
        fs::read_to_string(scenario).and_then(|text| support::scenario::write_to(&text, &folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("craft: {}: {problem}", Path::new(scenario).display());
            ExitCode::FAILURE
        }
    }
}
