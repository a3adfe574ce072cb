//! The command line.

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use prtrace::archive::Limits;
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
    /// A word in the place of the command that names no file, and the command it is nearly.
    pub(crate) fn misspelled(&self) -> Option<(&str, String)> {
        let path = self.analyze.logs.paths.first()?;
        let word = path.to_str()?;
        let is_near = |command: &&clap::Command| {
            strsim::damerau_levenshtein(command.get_name(), word) <= MISSPELLED
        };
        let all = Cli::command();
        let command = all.get_subcommands().find(is_near)?;
        let absent = std::fs::symlink_metadata(path).is_err();
        absent.then(|| (word, command.get_name().to_owned()))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report the windows in event logs (the default command)
    Analyze(Analyze),
    /// Show every event of each machine in order, with its window or run
    Timeline(Timeline),
    /// Say what codes mean, in any spelling or inside any text
    Explain(Explain),
    /// Print the JSON Schema of the JSON report, or of JSON Lines
    Schema {
        /// Of a line of JSON Lines instead
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
    /// Number of worker threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Show no progress on a terminal
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Say on standard error what was read of each path, and how long it took
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Only what happened within 5 minutes of this time (UTC), with whole windows and runs
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// Only the windows of this user (user principal name or SID), and registration runs
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) limits: ArchiveLimits,
}

/// How much is taken out of archives, which may be made to fill the memory or to take forever.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits on archives")]
pub(crate) struct ArchiveLimits {
    /// Members of one archive file, those of archives in it included [default: 1000000]
    #[arg(long, value_name = "N")]
    max_members: Option<u64>,
    /// What one archive may unpack to, such as 500G [default: 1T, and of a small one the most of 8G
    /// and --max-ratio times its size]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
    /// What a byte may unpack to, in members over 64 MiB [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_ratio: Option<u64>,
    /// Archives inside archives [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    max_depth: Option<u32>,
    /// Memory for archives inside archives [default: 512M]
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
            depth: self.max_depth.unwrap_or(default.depth),
            nested: self.max_nested.unwrap_or(default.nested),
        }
    }
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
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// How to print the timeline
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Analyze {
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// In text, show each machine's answer however many there are, what succeeded, and the events
    /// of every window
    #[arg(long)]
    pub(crate) all: bool,
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
