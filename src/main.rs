//! The command: parse, run, exit status.

mod cli;

use cli::output::Output;
use cli::{Analyze, Cli, Command, Explain, Format, Logs, ReportFormat, Timeline};
use cli::{paths, progress};
use prtrace::base::encoding;
use prtrace::base::problem::io_words;
use prtrace::base::terminal::one_line;
use prtrace::{explain, machine, report, scan};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Some window failed.
const FAILURES: u8 = 1;
/// The job could not be done.
const NOT_DONE: u8 = 2;
/// Nothing failed in what was read, and that is no all-clear.
const NO_ALL_CLEAR: u8 = 3;

fn main() -> ExitCode {
    // A parser that fails on hostile bytes is a problem in the report, not a message here.
    std::panic::set_hook(Box::new(|_| {}));
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err((error, command)) => return usage(&error, command.as_deref()),
    };
    let done = std::panic::catch_unwind(|| match cli.command {
        Some(Command::Schema { lines, output }) => schema(lines, output.as_deref()),
        Some(Command::Explain(arguments)) => explain_codes(&arguments),
        Some(Command::Analyze(arguments)) => in_threads(&arguments.logs, || analyze(&arguments)),
        Some(Command::Timeline(arguments)) => in_threads(&arguments.logs, || timeline(&arguments)),
        None => match (cli.misspelled(), cli.late_command()) {
            (Some((word, command)), _) => Err(format!(
                "{word}: no such file or directory; the command is spelled {command}"
            )),
            (None, Some(command)) => Err(format!(
                "{command}: no such file or directory; as a command it comes before the paths"
            )),
            (None, None) => in_threads(&cli.analyze.logs, || analyze(&cli.analyze)),
        },
    });
    match done {
        Ok(Ok(status)) => status,
        Ok(Err(message)) => not_done(&message),
        Err(_) => not_done(&"an error in the program itself: please report it with the input"),
    }
}

fn not_done(message: &dyn Display) -> ExitCode {
    // A message quotes paths, which come from machines that are not trusted.
    eprintln!("prtrace: {}", one_line(&message.to_string()));
    ExitCode::from(NOT_DONE)
}

/// Help and version as asked for; anything else is one line.
fn usage(error: &clap::Error, command: Option<&str>) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever reads has seen enough.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(NOT_DONE)
        }
        _ => not_done(&cli::wrong(error, command)),
    }
}

fn explain_codes(arguments: &Explain) -> Result<ExitCode, String> {
    let output = Output::new(arguments.output.as_deref());
    let mut texts = arguments.codes.clone();
    if texts.is_empty() || texts.iter().any(|text| text == "-") {
        texts.retain(|text| text != "-");
        output.check_inputs(&["-".into()])?;
        texts.push(text_from_stdin()?);
    }
    let explanations = explain::Explanations::new(&texts);
    output.write(|out| match arguments.format {
        Format::Text => explain::write_text(&explanations, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &explanations)?;
            writeln!(out)
        }
    })?;
    Ok(match explanations.any_known() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(NOT_DONE),
    })
}

/// Bytes of standard input that are searched for codes.
const TEXT_MOST: u64 = 16 << 20;

fn text_from_stdin() -> Result<String, String> {
    let bytes = paths::read_up_to(io::stdin().lock(), TEXT_MOST);
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let most = TEXT_MOST >> 20;
            format!("standard input: more than {most} MiB: pass only the part with the codes")
        }
        _ => format!("standard input: {}", io_words(&error)),
    })?;
    Ok(encoding::decode(&bytes).into_owned())
}

fn analyze(arguments: &Analyze) -> Result<ExitCode, String> {
    let logs = &arguments.logs;
    let scan = read(logs)?;
    let named_in_vain = scan.named_in_vain();
    let narrow = narrow(logs);
    let totals = Output::new(logs.output.as_deref()).write(|out| match arguments.format {
        ReportFormat::Jsonl => report::jsonl::write(scan, narrow.as_ref(), out),
        ReportFormat::Csv => report::csv::write(scan, narrow.as_ref(), out),
        ReportFormat::Text if is_fleet(&scan, arguments) => {
            report::fleet::write(scan, narrow.as_ref(), out)
        }
        ReportFormat::Text | ReportFormat::Json => {
            let analyses = report::analyze(&scan);
            let mut report = report::Report::new(&scan, &analyses);
            if let Some(narrow) = &narrow {
                report.narrow(narrow);
            }
            match arguments.format {
                ReportFormat::Json => report::json::write(&report, out)?,
                _ => {
                    let shown = report::text::Options { all: arguments.all };
                    report::text::write(&report, shown, out)?;
                }
            }
            let totals = report.totals;
            // The process ends, and its memory with it: nothing is freed piece by piece.
            std::mem::forget(report);
            std::mem::forget(analyses);
            std::mem::forget(scan);
            Ok(totals)
        }
    })?;
    if arguments.format == ReportFormat::Csv && totals.problems > 0 {
        let problems = totals.problems;
        eprintln!(
            "prtrace: problems: {problems}; CSV has rows for inputs that gave nothing, --format text lists all"
        );
    }
    Ok(status(totals, named_in_vain))
}

/// Whether the text is about causes rather than about each machine.
fn is_fleet(scan: &machine::Scan, arguments: &Analyze) -> bool {
    scan.machines.len() > report::fleet::MOST_ANSWERS && !arguments.all
}

fn timeline(arguments: &Timeline) -> Result<ExitCode, String> {
    let logs = &arguments.logs;
    let scan = read(logs)?;
    let analyses = report::analyze(&scan);
    let mut report = report::Report::with_all_events(&scan, &analyses);
    if let Some(narrow) = narrow(logs) {
        report.narrow(&narrow);
    }
    Output::new(logs.output.as_deref()).write(|out| match arguments.format {
        Format::Text => report::timeline::write(&report, out),
        Format::Json => report::json::write(&report, out),
    })?;
    Ok(status(report.totals, scan.named_in_vain()))
}

/// What of the machines is asked for, if not all.
fn narrow(logs: &Logs) -> Option<report::Narrow> {
    (logs.at.is_some() || logs.user.is_some()).then(|| report::Narrow {
        at: logs.at,
        user: logs.user.clone(),
    })
}

/// Does all of the work on as many threads as were asked for.
fn in_threads(
    logs: &Logs,
    work: impl FnOnce() -> Result<ExitCode, String>,
) -> Result<ExitCode, String> {
    scan::use_this_thread(options(logs)).map_err(|error| error.to_string())?;
    work()
}

fn options(logs: &Logs) -> scan::Options {
    let threads = logs.threads.map_or(0, |threads| threads as usize);
    scan::Options::default().threads(threads)
}

/// The logs of the machines that are asked for.
fn read(logs: &Logs) -> Result<machine::Scan, String> {
    let paths = paths::paths(logs)?;
    let list = logs.files_from.iter().cloned();
    let inputs: Vec<PathBuf> = paths.iter().cloned().chain(list).collect();
    Output::new(logs.output.as_deref()).check_inputs(&inputs)?;
    let options = options(logs)
        .limits(logs.limits.get())
        .separate_bundles(logs.separate_bundles);
    let started = Instant::now();
    let scan = progress::shown(&paths, !logs.quiet, |progress| {
        machine::scan_watched(&paths, options, progress)
    });
    let mut scan = scan.map_err(|error| error.to_string())?;
    if logs.verbose {
        progress::summary(&scan, started.elapsed());
    }
    if !logs.machine.is_empty() {
        report::machines(&mut scan, &logs.machine).map_err(|error| error.to_string())?;
    }
    if let Some(name) = &logs.user {
        report::user(&scan, name).map_err(|error| error.to_string())?;
    }
    Ok(scan)
}

fn status(totals: report::Totals, named_in_vain: bool) -> ExitCode {
    if totals.has_failures() {
        ExitCode::from(FAILURES)
    } else if named_in_vain || !totals.has_evidence() {
        ExitCode::from(NO_ALL_CLEAR)
    } else {
        ExitCode::SUCCESS
    }
}

fn schema(lines: bool, output: Option<&Path>) -> Result<ExitCode, String> {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let generator = settings.into_generator();
    let schema = match lines {
        true => generator.into_root_schema_for::<report::Line<'_>>(),
        false => generator.into_root_schema_for::<report::Report<'_>>(),
    };
    Output::new(output).write(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    })?;
    Ok(ExitCode::SUCCESS)
}
