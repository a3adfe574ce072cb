//! The command line.

pub(crate) mod output;
pub(crate) mod paths;
pub(crate) mod progress;

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use prtrace::input::archive::Limits;
use std::ffi::OsString;
use std::path::PathBuf;

/// Name the first failing event of every Microsoft Entra PRT acquisition in Windows event logs
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = "Exit status:\n  \
      0  nothing failed, and there was evidence for it\n  \
      1  a window or registration run failed\n  \
      2  the job could not be done\n  \
      3  nothing failed in what was read, but that is no all-clear: no machine has evidence of\n     \
         its state, or a named path gave nothing\n\n\
    A path that is named like a command is reached as ./NAME or with analyze.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) analyze: Analyze,
}

/// How many letters of a command may be wrong.
const MISSPELLED: usize = 2;

impl Cli {
    /// Parses the arguments of this process. Options may also be in front of the command.
    ///
    /// # Errors
    ///
    /// With the name of the command, if there is one.
    pub(crate) fn from_process() -> Result<Cli, (clap::Error, Option<String>)> {
        let mut arguments: Vec<OsString> = std::env::args_os().collect();
        if arguments.get(1).is_some_and(starts_with_dash) {
            let command = command_at(&arguments);
            arguments = command_first(arguments, command);
        }
        Cli::try_parse_from(&arguments).map_err(|error| {
            let command = command_at(&arguments).and_then(|at| arguments.get(at));
            let command = command.map(|command| command.to_string_lossy().into_owned());
            (error, command)
        })
    }

    /// A command among the paths behind the first one, which names no file.
    pub(crate) fn late_command(&self) -> Option<&str> {
        let all = Cli::command();
        let mut behind = self.analyze.logs.paths.iter().skip(1);
        let found = behind.find(|path| {
            let is_command = |command: &clap::Command| path.as_os_str() == command.get_name();
            all.get_subcommands().any(is_command) && std::fs::symlink_metadata(path).is_err()
        });
        found?.to_str()
    }

    /// A word in the place of the command that names no file, and the command it is nearly.
    pub(crate) fn misspelled(&self) -> Option<(&str, String)> {
        let path = self.analyze.logs.paths.first()?;
        let word = path.to_str()?;
        let is_near = |command: &&clap::Command| {
            (1..=MISSPELLED).contains(&strsim::damerau_levenshtein(command.get_name(), word))
        };
        let all = Cli::command();
        let command = all.get_subcommands().find(is_near)?;
        let absent = std::fs::symlink_metadata(path).is_err();
        absent.then(|| (word, command.get_name().to_owned()))
    }
}

fn starts_with_dash(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Where the command is, if options are in front of it and nothing else.
fn command_at(arguments: &[OsString]) -> Option<usize> {
    let mut cli = Cli::command();
    cli.build();
    let mut at = 1;
    loop {
        let word = arguments.get(at)?.to_str()?;
        if !word.starts_with('-') {
            let is_command = cli.get_subcommands().any(|of| of.get_name() == word);
            return is_command.then_some(at);
        }
        at += 1 + usize::from(takes_the_next(&cli, word)?);
    }
}

/// Whether the value of this option is the next word; nothing if there is no such option, or it ends
/// the options.
fn takes_the_next(cli: &clap::Command, word: &str) -> Option<bool> {
    let arguments = || {
        let of_commands = cli.get_subcommands().flat_map(clap::Command::get_arguments);
        cli.get_arguments().chain(of_commands)
    };
    let takes_value = |of: &clap::Arg| match of.get_action() {
        clap::ArgAction::Help | clap::ArgAction::Version => None,
        action => Some(action.takes_values()),
    };
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next()?;
        let is_named = |of: &&clap::Arg| of.get_long() == Some(name);
        return Some(takes_value(arguments().find(is_named)?)? && !long.contains('='));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let mut takes_the_next = None;
    while let Some(letter) = letters.next() {
        let is_named = |of: &&clap::Arg| of.get_short() == Some(letter);
        let takes_value = takes_value(arguments().find(is_named)?)?;
        takes_the_next = Some(takes_value && letters.as_str().is_empty());
        if takes_value {
            break;
        }
    }
    takes_the_next
}

/// Moves the command to the front: its options are its own, wherever they are.
fn command_first(mut arguments: Vec<OsString>, command: Option<usize>) -> Vec<OsString> {
    match command {
        // Nothing but the help is asked for.
        Some(at) if arguments.get(at).is_some_and(|word| word == "help") => {
            arguments.drain(1..at);
        }
        Some(at) => {
            let front = arguments.get_mut(1..=at);
            front.unwrap_or_default().rotate_right(1);
        }
        None => {}
    }
    arguments
}

/// What is wrong with the arguments, in a line.
pub(crate) fn wrong(error: &clap::Error, command: Option<&str>) -> String {
    let said = |kind| match error.get(kind) {
        None | Some(ContextValue::None) => None,
        Some(ContextValue::Strings(all)) => Some(match all.split_last() {
            Some((last, all)) if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            _ => all.concat(),
        }),
        Some(value) => Some(value.to_string()),
    };
    let argument = said(ContextKind::InvalidArg).unwrap_or_default();
    let value = said(ContextKind::InvalidValue).unwrap_or_default();
    let of = command.map_or(String::new(), |command| format!(" of prtrace {command}"));
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let meant = meant.into_iter().find_map(said);
    let meant = meant.map_or(String::new(), |meant| format!(" (did you mean '{meant}'?)"));
    let words = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("unknown option '{argument}'{of}{meant}")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}'{of}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("'{argument}' needs a value"),
        ErrorKind::InvalidValue => {
            let valid = said(ContextKind::ValidValue).unwrap_or_default();
            format!("invalid value '{value}' for '{argument}'{of}{meant}: it takes {valid}")
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map_or(String::new(), ToString::to_string);
            format!("invalid value '{value}' for '{argument}': {why}")
        }
        ErrorKind::MissingRequiredArgument => {
            format!("{argument} is missing: name event logs, archives or folders")
        }
        ErrorKind::ArgumentConflict => match said(ContextKind::PriorArg) {
            Some(prior) if prior != argument => {
                format!("'{argument}' cannot be used with '{prior}'")
            }
            _ => format!("'{argument}' is given more than once"),
        },
        ErrorKind::TooManyValues => format!("'{argument}' takes no value, but got '{value}'"),
        ErrorKind::InvalidSubcommand => {
            let word = said(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown command '{word}'")
        }
        ErrorKind::InvalidUtf8 => "an argument is not valid Unicode".to_owned(),
        kind => kind.to_string(),
    };
    format!("{words}; --help says more")
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report PRT acquisitions, refreshes and device registrations (the default command)
    Analyze(Analyze),
    /// Show every event of each machine in order, with its window or run
    Timeline(Timeline),
    /// Say what codes mean, in any spelling or inside any text
    Explain(Explain),
    /// Print the JSON Schema of the JSON report, or of JSON Lines
    Schema {
        /// Describe a line of JSON Lines instead
        #[arg(long)]
        lines: bool,
        /// Write to this file instead of standard output (-)
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// What every command that reads logs takes.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Event logs (.evtx), archives (zip, cab, tar, gzip), and folders with these anywhere in them
    #[arg(value_name = "PATH", required_unless_present = "files_from")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also read the paths in this file, one a line; - reads them from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) files_from: Option<PathBuf>,
    /// Keep machines of one name apart if they come from several archives, or folders of a folder
    #[arg(long)]
    pub(crate) separate_bundles: bool,
    /// Only this machine, by its name with or without its domain; may be given again for others
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Vec<String>,
    /// Write to this file instead of standard output (-); it appears whole or not at all
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Number of worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = number::<1, 1024>)]
    pub(crate) threads: Option<u64>,
    /// Show no progress on a terminal
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Say on standard error what was read of each path, and how long it took
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Only what happened within 5 minutes of this time (UTC), with whole windows and runs
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// Only what concerns this user (user principal name or SID), with the device's registration runs
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) limits: ArchiveLimits,
}

/// How much is taken out of archives, which may be made to fill the memory or to take forever.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits on archives")]
pub(crate) struct ArchiveLimits {
    /// Most members of one archive file, with those of archives in it [default: 1000000]
    #[arg(long, value_name = "N", value_parser = number::<0, { u64::MAX }>)]
    max_members: Option<u64>,
    /// Most that one archive file may unpack to, such as 500G [default: 1T; for a small file 8G or
    /// --max-ratio times its size, whichever is more]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
    /// Most that a byte may unpack to, in members over 64 MiB [default: 1000]
    #[arg(long, value_name = "N", value_parser = number::<1, { u64::MAX }>)]
    max_ratio: Option<u64>,
    /// Most archives inside one another [default: 8]
    #[arg(long, value_name = "N", value_parser = number::<1, 64>)]
    max_depth: Option<u64>,
    /// Most memory for archives inside archives, such as 2G [default: 512M]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_nested: Option<u64>,
}

impl ArchiveLimits {
    pub(crate) fn get(&self) -> Limits {
        let default = Limits::default();
        Limits {
            members: self.max_members.unwrap_or(default.members),
            bytes: self.max_bytes.unwrap_or(default.bytes),
            ratio: self.max_ratio.unwrap_or(default.ratio),
            depth: self.max_depth.map_or(default.depth, |depth| depth as u32),
            nested: self.max_nested.unwrap_or(default.nested),
        }
    }
}

/// A whole number within bounds.
fn number<const LEAST: u64, const MOST: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (LEAST..=MOST).contains(number))
        .ok_or_else(|| match (LEAST, MOST) {
            (0, u64::MAX) => "not a whole number".to_owned(),
            (_, u64::MAX) => format!("not a whole number from {LEAST}"),
            _ => format!("not a whole number from {LEAST} to {MOST}"),
        })
}

/// A size in bytes, or in powers of 1024 with K, M, G or T behind the number.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || "not a size like 1000000, 512M or 2G".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << (10 * power)).ok_or_else(wrong)
}

/// A time as people copy it: RFC 3339, or without `T` and `Z`, to the minute or finer.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let plain = text.trim_end_matches('Z').replace('T', " ");
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&plain, form).ok())
        .map(|time| time.and_utc())
        .ok_or_else(|| "not a time like 2026-03-02T08:15:04Z".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Timeline {
    /// How to print the timeline
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    // Last, for its heading is that of everything behind it.
    #[command(flatten)]
    pub(crate) logs: Logs,
}

#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// How to print the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// In text, show each machine's answer however many there are, what succeeded, and the events
    /// of every window
    #[arg(long)]
    pub(crate) all: bool,
    // Last, for its heading is that of everything behind it.
    #[command(flatten)]
    pub(crate) logs: Logs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people: each machine's answer, or of more than 20 machines the causes and a table
    Text,
    /// For programs; `prtrace schema` describes it
    Json,
    /// JSON Lines: a machine a line, the last line is about all; `prtrace schema --lines`
    Jsonl,
    /// For spreadsheets: a row for each failed window and registration run
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs; `prtrace schema` describes it
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Codes (0x80072ee7, -2147012889, AADSTS50126, 50126, 12007, invalid_grant), or text with
    /// codes in it; - or nothing reads standard input
    #[arg(value_name = "CODE", allow_negative_numbers = true)]
    pub(crate) codes: Vec<String>,
    /// How to print the explanations
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write to this file instead of standard output (-); it appears whole or not at all
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
