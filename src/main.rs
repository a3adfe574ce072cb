//! The command: parse, run, exit status.

mod cli;

use clap::Parser;
use cli::{Analyze, Cli, Command, Format};
use prtrace::{report, scan};
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

/// Some window failed.
const FAILURES: u8 = 1;
/// The job could not be done.
const NOT_DONE: u8 = 2;

fn main() -> ExitCode {
    // A parser that fails on hostile bytes is a problem in the report, not a message here.
    std::panic::set_hook(Box::new(|_| {}));
    let done = std::panic::catch_unwind(|| match Cli::parse() {
        Cli {
            command: Some(Command::Schema { output }),
            ..
        } => schema(output.as_deref()),
        Cli {
            command: Some(Command::Analyze(arguments)),
            ..
        }
        | Cli {
            command: None,
            analyze: arguments,
        } => analyze(&arguments),
    });
    match done {
        Ok(Ok(status)) => status,
        Ok(Err(message)) => not_done(&message),
        Err(_) => not_done(&"an error in the program itself: please report it with the input"),
    }
}

fn not_done(message: &dyn Display) -> ExitCode {
    eprintln!("prtrace: {message}");
    ExitCode::from(NOT_DONE)
}

fn analyze(arguments: &Analyze) -> Result<ExitCode, String> {
    let threads = arguments.threads.map_or(0, usize::from);
    let options = scan::Options::default().threads(threads);
    let scan = scan::scan(&arguments.paths, options).map_err(|error| error.to_string())?;
    let analyses = report::analyze(&scan);
    let report = report::Report::new(&scan, &analyses);
    let shown = report::text::Options { all: arguments.all };
    write(arguments.output.as_deref(), |out| match arguments.format {
        Format::Text => report::text::write(&report, shown, out),
        Format::Json => report::json::write(&report, out),
    })?;
    Ok(match report.has_failures() {
        true => ExitCode::from(FAILURES),
        false => ExitCode::SUCCESS,
    })
}

fn schema(output: Option<&Path>) -> Result<ExitCode, String> {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let schema = settings
        .into_generator()
        .into_root_schema_for::<report::Report<'_>>();
    write(output, |out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output, or to a file that takes its place only when it is whole.
fn write(
    output: Option<&Path>,
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    let Some(path) = output else {
        let mut out = BufWriter::new(io::stdout().lock());
        return match render(&mut out).and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| format!("standard output: {error}")),
        };
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        render(&mut out)?;
        out.flush()?;
        drop(out);
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}
