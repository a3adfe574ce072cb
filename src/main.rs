//! The command: parse, run, exit status.

mod cli;

use clap::Parser;
use cli::{Analyze, Cli, Command, Explain, Format, Logs, Timeline};
use prtrace::analysis::Analysis;
use prtrace::terminal::one_line;
use prtrace::{explain, report, scan};
use std::fmt::Display;
use std::fs::File;
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = std::panic::catch_unwind(|| match cli.command {
        Some(Command::Schema { output }) => schema(output.as_deref()),
        Some(Command::Explain(arguments)) => explain_codes(&arguments),
        Some(Command::Analyze(arguments)) => in_threads(&arguments.logs, || analyze(&arguments)),
        Some(Command::Timeline(arguments)) => in_threads(&arguments.logs, || timeline(&arguments)),
        None => in_threads(&cli.analyze.logs, || analyze(&cli.analyze)),
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
fn usage(error: &clap::Error) -> ExitCode {
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
        _ => {
            let text = error.to_string();
            let lines = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage"));
            let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            let words = words.join(" ");
            let words = words.split(" For more information").next().unwrap_or("");
            not_done(&format!(
                "{}; --help says more",
                words.trim_start_matches("error: ")
            ))
        }
    }
}

fn explain_codes(arguments: &Explain) -> Result<ExitCode, String> {
    let mut texts = arguments.codes.clone();
    if texts.is_empty() || texts.iter().any(|text| text == "-") {
        texts.retain(|text| text != "-");
        let input = io::read_to_string(io::stdin().lock());
        texts.push(input.map_err(|error| format!("standard input: {error}"))?);
    }
    let explanations = explain::Explanations::new(&texts);
    write(arguments.output.as_deref(), |out| match arguments.format {
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

fn analyze(arguments: &Analyze) -> Result<ExitCode, String> {
    let (scan, analyses) = read(&arguments.logs)?;
    let report = report::Report::new(&scan, &analyses);
    let shown = report::text::Options { all: arguments.all };
    print(&arguments.logs, &report, |out| {
        report::text::write(&report, shown, out)
    })
}

fn timeline(arguments: &Timeline) -> Result<ExitCode, String> {
    let (scan, analyses) = read(&arguments.logs)?;
    let mut report = report::Report::with_all_events(&scan, &analyses);
    if arguments.at.is_some() || arguments.user.is_some() {
        report.narrow(&report::Narrow {
            at: arguments.at,
            user: arguments.user.clone(),
        });
    }
    print(&arguments.logs, &report, |out| {
        report::timeline::write(&report, out)
    })
}

/// Does all of the work on as many threads as were asked for.
fn in_threads(
    logs: &Logs,
    work: impl FnOnce() -> Result<ExitCode, String> + Send,
) -> Result<ExitCode, String> {
    scan::in_threads(options(logs), work).map_err(|error| error.to_string())?
}

fn options(logs: &Logs) -> scan::Options {
    let threads = logs.threads.map_or(0, usize::from);
    scan::Options::default().threads(threads)
}

fn read(logs: &Logs) -> Result<(scan::Scan, Vec<Analysis>), String> {
    let scan = scan::scan(&logs.paths, options(logs)).map_err(|error| error.to_string())?;
    let analyses = report::analyze(&scan);
    Ok((scan, analyses))
}

fn print(
    logs: &Logs,
    report: &report::Report<'_>,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<ExitCode, String> {
    write(logs.output.as_deref(), |out| match logs.format {
        Format::Text => text(out),
        Format::Json => report::json::write(report, out),
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
    to_file(path, render).map_err(|error| {
        // The system's words alone: the number and the temporary file's name help nobody.
        let text = io::Error::from(error.kind()).to_string();
        format!("{}: cannot write the output: {text}", path.display())
    })
}

fn to_file(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // What a link leads to is replaced, not the link; what is no file cannot be replaced.
    let path = match path.canonicalize() {
        Ok(target) if target.is_file() => target,
        Ok(_) => {
            let mut out = BufWriter::new(File::options().write(true).open(path)?);
            render(&mut out)?;
            return out.flush();
        }
        Err(_) => path.to_owned(),
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: the umask takes away from it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    let mut out = BufWriter::new(file.as_file_mut());
    render(&mut out)?;
    out.flush()?;
    drop(out);
    file.persist(path)?;
    Ok(())
}
