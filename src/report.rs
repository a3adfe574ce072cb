//! The report: one value that every format renders.
//!
//! These types are the wire format, apart from the types that the engine works with: their JSON is
//! a contract (`schema_version`), the engine's types are free to change. They borrow from the
//! [`Scan`] and its analyses. What a fact is not known for is `null`, never an empty string.
//!
//! Times are RFC 3339 in UTC with 7 digits, codes are `0x` and 8 lower-case digits.

use crate::code::Code;
use crate::event::{Data, Event, Level};
use crate::evidence::{self, DecisiveKind};
use crate::machine::Machine;
use crate::problem::{Problem, ProblemKind};
use crate::scan::Scan;
use crate::window::{self, Analysis, Edge, Operation, Outcome, Prt, Via, Window};
use chrono::{DateTime, Timelike, Utc};
#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::fmt;
use uuid::Uuid;

pub mod json;
pub mod text;

/// Everything that is known, for one run of the program.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Report<'a> {
    /// Version of this format: 1.
    pub schema_version: Version,
    /// Version of the program.
    pub prtrace: &'static str,
    /// Sums over everything.
    pub totals: Totals,
    /// The machines, by name.
    pub machines: Vec<MachineReport<'a>>,
    /// Failures with one signature over all machines. Not built yet.
    pub groups: Vec<Never>,
    /// What each input was. Not built yet.
    pub inputs: Vec<Never>,
    /// Problems that belong to no machine.
    pub problems: Vec<ProblemReport<'a>>,
}

/// The version of the report's format.
#[derive(Clone, Copy, Debug)]
pub struct Version;

/// The current version.
const VERSION: u8 = 1;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(VERSION)
    }
}

/// The element of lists that are always empty so far.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
pub enum Never {}

/// Sums over everything.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Totals {
    /// Machines with events of ours.
    pub machines: u64,
    /// Event logs read.
    pub logs: u64,
    /// Size of the logs.
    pub bytes: u64,
    /// Every record seen.
    pub records_read: u64,
    /// Distinct events of the selected providers.
    pub events: u64,
    /// Copies of these events beyond the first.
    pub duplicates: u64,
    /// Windows of any outcome.
    pub windows: u64,
    /// Windows that failed.
    pub windows_failed: u64,
    /// Registration runs. Not built yet.
    pub registrations: u64,
    /// Registration runs that failed. Not built yet.
    pub registrations_failed: u64,
    /// Problems, of machines and others.
    pub problems: u64,
    /// Files in the folders that are no event logs.
    pub other_files: u64,
}

/// One computer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct MachineReport<'a> {
    /// The name it had last.
    pub name: &'a str,
    /// Its other names.
    pub also_known_as: Vec<&'a str>,
    /// The inputs it was found in.
    pub sources: Vec<&'a str>,
    /// Its first event.
    pub first_event: Option<Time>,
    /// Its last event.
    pub last_event: Option<Time>,
    /// The logs with events of it.
    pub logs: Vec<LogReport<'a>>,
    /// Acquisitions and refreshes, by start.
    pub windows: Vec<WindowReport<'a>>,
    /// Registration runs. Not built yet.
    pub registrations: Vec<Never>,
    /// State by user. Not built yet.
    pub users: Vec<Never>,
    /// Failing events that belong to no window.
    pub other_failures: Vec<FailureReport<'a>>,
    /// The other events. Not built yet.
    pub other_events: Vec<Never>,
    /// What dsregcmd said. Not built yet.
    pub device_status: Option<Never>,
    /// What it means. Not built yet.
    pub diagnosis: Option<Never>,
    /// Evidence that was never collected. Not built yet.
    pub gaps: Vec<Never>,
    /// Problems in logs that hold events of this machine only.
    pub problems: Vec<ProblemReport<'a>>,
}

/// A log with events of a machine.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct LogReport<'a> {
    /// Its path as named.
    pub path: &'a str,
    /// The channels of the events in it.
    pub channels: Vec<&'a str>,
    /// All records in it.
    pub records: u64,
    /// The machine's events in it, duplicates included.
    pub events: u64,
    /// Chunks with damage.
    pub chunks_damaged: u64,
    /// Whether it was copied while the event log service had it open.
    pub dirty: bool,
}

/// One operation of the plug-in.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct WindowReport<'a> {
    /// Its name within the machine: w1, w2, …
    pub id: String,
    /// What was asked for.
    pub operation: OperationName,
    /// Whose token.
    pub prt: PrtName,
    /// Where it starts.
    pub start: EdgeReport,
    /// Where it ends.
    pub end: EdgeReport,
    /// How its events were brought together.
    pub pairing: ViaName,
    /// The process, if all its events name the same.
    pub process_id: Option<u32>,
    /// The thread of its boundaries, or of all its events.
    pub thread_id: Option<u32>,
    /// The request's correlation ID.
    pub correlation_id: Option<Guid>,
    /// The user principal name.
    pub upn: Option<&'a str>,
    /// The user's SID, where an event names another account than the system's.
    pub user_sid: Option<&'a str>,
    /// The credential type: its number, none has a published name.
    pub credential_type: Option<&'a str>,
    /// How it ended.
    pub outcome: OutcomeName,
    /// It succeeded though something in it failed.
    pub recovered: bool,
    /// The first failing event.
    pub first_failure: Option<FailureReport<'a>>,
    /// The final status.
    pub status: Option<StatusReport>,
    /// The server's answer.
    pub server: Option<ServerReport<'a>>,
    /// The WS-Trust fault.
    pub fault: Option<FaultReport<'a>>,
    /// The network error.
    pub network: Option<NetworkReport>,
    /// The HTTP request.
    pub http: Option<HttpReport<'a>>,
    /// The code that decides; null if it succeeded.
    pub decisive: Option<DecisiveReport<'a>>,
    /// What it means. Not built yet.
    pub diagnosis: Option<Never>,
    /// Its events, in order.
    pub events: Vec<EventReport<'a>>,
    /// Later events, or those of other processes, with its correlation ID.
    pub related: Vec<EventReport<'a>>,
    /// Registration runs it is linked to. Not built yet.
    pub registrations: Vec<Never>,
}

/// Where a window starts or ends.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct EdgeReport {
    /// When.
    pub time: Time,
    /// How that is known.
    pub boundary: EdgeName,
}

/// A failing event.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct FailureReport<'a> {
    /// Event ID.
    pub event_id: u32,
    /// The event's name; null if the ID is not known.
    pub name: Option<&'static str>,
    /// Who wrote it.
    pub provider: &'static str,
    /// Where it was written.
    pub channel: &'a str,
    /// Record ID in that channel.
    pub record_id: u64,
    /// When.
    pub time: Time,
    /// The event's own most telling code, if it has one.
    pub code: Option<String>,
    /// Whether it is the stop boundary, because nothing else failed.
    pub is_stop: bool,
}

/// The final status.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct StatusReport {
    /// The code.
    pub code: Hex,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// The event it came from.
    pub event_id: u32,
}

/// The server's answer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct ServerReport<'a> {
    /// The last AADSTS or MSIS code in its text.
    pub code: Option<&'a str>,
    /// The codes before it.
    pub also: Vec<&'a str>,
    /// The OAuth error.
    pub oauth_error: Option<&'a str>,
    /// The server's words.
    pub description: Option<&'a str>,
    /// The event they came from.
    pub event_id: u32,
}

/// The WS-Trust fault.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct FaultReport<'a> {
    /// The fault code.
    pub code: &'a str,
    /// The identifier in its text.
    pub detail: Option<&'a str>,
    /// Its text.
    pub description: Option<&'a str>,
    /// The event it came from.
    pub event_id: u32,
}

/// The network error.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct NetworkReport {
    /// The code.
    pub code: Hex,
    /// The WinHTTP number in it.
    pub number: Option<u16>,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// The event it came from.
    pub event_id: u32,
}

/// The HTTP request.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct HttpReport<'a> {
    /// The status.
    pub status: Option<u32>,
    /// The method.
    pub method: Option<&'a str>,
    /// The URL of the request that failed.
    pub url: Option<&'a str>,
    /// The event the status came from, or the URL if there is none.
    pub event_id: u32,
    /// The event the URL came from.
    pub url_event_id: Option<u32>,
}

/// The code that decides.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct DecisiveReport<'a> {
    /// The code.
    pub code: &'a str,
    /// What it is.
    pub kind: KindName,
}

/// An event of a window.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct EventReport<'a> {
    /// Event ID.
    pub event_id: u32,
    /// When.
    pub time: Time,
    /// Record ID in its channel.
    pub record_id: u64,
    /// Where it was written.
    pub channel: &'a str,
    /// Its severity.
    pub level: LevelName,
    /// Whether it is a failure.
    pub failure: bool,
    /// Why it is none, though it looks like one.
    pub housekeeping: Option<&'static str>,
    /// How it belongs to the window.
    pub via: ViaName,
    /// Its name; null if the ID is not known.
    pub name: Option<&'static str>,
    /// Its values; secrets are masked.
    #[cfg_attr(
        feature = "cli",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    #[serde(serialize_with = "data")]
    pub data: &'a Data,
}

fn data<S: Serializer>(data: &Data, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(data.iter().map(|(name, value)| (&**name, &**value)))
}

/// What could not be read.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct ProblemReport<'a> {
    /// The file.
    pub path: &'a str,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// Where it starts in the file, in bytes.
    pub offset: Option<u64>,
    /// What was found, and what to do.
    pub detail: &'a str,
    /// Bytes lost by it.
    pub lost_bytes: u64,
}

/// Defines an enum of the wire format beside the engine's own, and the words it prints.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident of $of:ty { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[cfg_attr(feature = "cli", derive(JsonSchema))]
        #[allow(missing_docs, reason = "the variants are those of the engine's type")]
        pub enum $name { $(#[serde(rename = $word)] $variant),* }

        impl From<$of> for $name {
            fn from(value: $of) -> $name {
                match value { $(<$of>::$variant => $name::$variant),* }
            }
        }

        impl $name {
            /// The word that every format prints.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }
    };
}

names!(/// What was asked for.
    OperationName of Operation { Acquire = "acquire", Refresh = "refresh" });
names!(/// Whose token.
    PrtName of Prt { Entra = "entra", Enterprise = "enterprise" });
names!(/// How an edge is known.
    EdgeName of Edge { Seen = "seen", Missing = "missing", Inferred = "inferred" });
names!(/// How events were brought together.
ViaName of Via {
    Correlation = "correlation", Activity = "activity", Thread = "thread", Time = "time",
});
names!(/// How a window ended.
OutcomeName of Outcome {
    Succeeded = "succeeded", Failed = "failed", Incomplete = "incomplete",
});
names!(/// What the decisive code is.
KindName of DecisiveKind {
    Server = "server", Fault = "fault", Client = "client", Network = "network", Http = "http",
    Status = "status",
});
names!(/// Severity.
LevelName of Level {
    Critical = "critical", Error = "error", Warning = "warning",
    Information = "information", Verbose = "verbose",
});

/// A time in UTC, to 100 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub DateTime<Utc>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A leap second shows as nanoseconds beyond the second.
        let ticks = self.0.nanosecond() % 1_000_000_000 / 100;
        write!(f, "{}.{ticks:07}Z", self.0.format("%Y-%m-%dT%H:%M:%S"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A 32-bit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub Code);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A GUID in lower case without braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guid(pub Uuid);

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.hyphenated())
    }
}

#[cfg(feature = "cli")]
mod schema {
    use super::{Guid, Hex, Time, VERSION, Version};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;

    macro_rules! schema {
        ($name:ident, $schema:tt) => {
            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        };
    }

    schema!(Version, { "const": VERSION });
    schema!(Time, {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$"
    });
    schema!(Hex, { "type": "string", "pattern": "^0x[0-9a-f]{8}$" });
    schema!(Guid, {
        "type": "string",
        "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    });
}

impl<'a> Report<'a> {
    /// The report on a scan and the [`analyze`](window::analyze)d events of its machines, in the
    /// same order.
    pub fn new(scan: &'a Scan, analyses: &'a [Analysis]) -> Report<'a> {
        let machines: Vec<MachineReport<'a>> = scan
            .machines
            .iter()
            .zip(analyses)
            .map(|(machine, analysis)| machine_report(machine, analysis))
            .collect();
        let problems: Vec<ProblemReport<'a>> = scan.problems.iter().map(problem).collect();
        let windows = || machines.iter().flat_map(|machine| &machine.windows);
        let failed = |window: &&WindowReport<'_>| window.outcome == OutcomeName::Failed;
        let of_machines: usize = machines.iter().map(|machine| machine.problems.len()).sum();
        let events = |machine: &Machine| machine.events.len() as u64;
        let totals = Totals {
            machines: machines.len() as u64,
            logs: scan.logs,
            bytes: scan.bytes,
            records_read: scan.records_read,
            events: scan.machines.iter().map(events).sum(),
            duplicates: scan.duplicates,
            windows: windows().count() as u64,
            windows_failed: windows().filter(failed).count() as u64,
            registrations: 0,
            registrations_failed: 0,
            problems: (problems.len() + of_machines) as u64,
            other_files: scan.other_files,
        };
        Report {
            schema_version: Version,
            prtrace: env!("CARGO_PKG_VERSION"),
            totals,
            machines,
            groups: Vec::new(),
            inputs: Vec::new(),
            problems,
        }
    }

    /// Whether any window failed.
    pub fn has_failures(&self) -> bool {
        self.totals.windows_failed > 0
    }
}

fn machine_report<'a>(machine: &'a Machine, analysis: &'a Analysis) -> MachineReport<'a> {
    let windows = analysis.windows.iter().enumerate();
    MachineReport {
        name: &machine.name,
        also_known_as: machine.also_known_as.iter().map(|name| &**name).collect(),
        sources: machine.sources.iter().map(|source| &**source).collect(),
        first_event: machine.events.first().map(|event| Time(event.time)),
        last_event: machine.events.last().map(|event| Time(event.time)),
        logs: machine
            .logs
            .iter()
            .map(|log| LogReport {
                path: &log.path,
                channels: log.channels.iter().map(|channel| &**channel).collect(),
                records: log.records,
                events: log.events,
                chunks_damaged: log.chunks_damaged,
                dirty: log.dirty,
            })
            .collect(),
        windows: windows
            .filter_map(|(number, window)| window_report(machine, analysis, number, window))
            .collect(),
        registrations: Vec::new(),
        users: Vec::new(),
        other_failures: analysis
            .other_failures
            .iter()
            .filter_map(|&index| Some(failure(machine.events.get(index)?, false)))
            .collect(),
        other_events: Vec::new(),
        device_status: None,
        diagnosis: None,
        gaps: Vec::new(),
        problems: machine.problems.iter().map(problem).collect(),
    }
}

/// Nothing only for a window without events, which there is none of.
fn window_report<'a>(
    machine: &'a Machine,
    analysis: &'a Analysis,
    number: usize,
    window: &'a Window,
) -> Option<WindowReport<'a>> {
    let event = |index: usize| machine.events.get(index);
    let id = |index: usize| event(index).map_or(0, |event| event.event_id);
    let evidence = &window.evidence;
    let first = event(window.start_event)?;
    let last = event(window.end_event)?;
    Some(WindowReport {
        id: format!("w{}", number + 1),
        operation: window.operation.into(),
        prt: window.prt.into(),
        start: EdgeReport {
            time: Time(first.time),
            boundary: window.start.into(),
        },
        end: EdgeReport {
            time: Time(last.time),
            boundary: window.end.into(),
        },
        pairing: window.pairing.into(),
        process_id: shared(machine, window, |event| event.process_id),
        thread_id: shared(machine, window, |event| event.thread_id),
        correlation_id: evidence
            .correlation_id
            .as_ref()
            .map(|found| Guid(found.value)),
        upn: evidence.upn.as_ref().map(|found| found.value.as_str()),
        user_sid: evidence.user_sid.as_ref().map(|found| found.value.as_str()),
        credential_type: evidence
            .credential_type
            .as_ref()
            .map(|found| found.value.as_str()),
        outcome: window.outcome.into(),
        recovered: window.recovered,
        first_failure: window
            .first_failure
            .and_then(event)
            .map(|event| failure(event, window.only_stop_failed)),
        status: evidence.status.as_ref().map(|found| StatusReport {
            code: Hex(found.value),
            symbol: found.value.symbol(),
            event_id: id(found.event),
        }),
        server: evidence.server.as_ref().map(|found| ServerReport {
            code: found.value.code.as_deref(),
            also: found.value.also.iter().map(String::as_str).collect(),
            oauth_error: found.value.oauth_error.as_deref(),
            description: found.value.description.as_deref(),
            event_id: id(found.event),
        }),
        fault: evidence.fault.as_ref().map(|found| FaultReport {
            code: &found.value.code,
            detail: found.value.detail.as_deref(),
            description: found.value.description.as_deref(),
            event_id: id(found.event),
        }),
        network: evidence.network.as_ref().map(|found| NetworkReport {
            code: Hex(found.value),
            number: found.value.network_number(),
            symbol: found.value.symbol(),
            event_id: id(found.event),
        }),
        http: evidence.http.as_ref().map(|http| {
            let status = http.status.as_ref().map(|found| id(found.event));
            let url = http.url.as_ref().map(|found| id(found.event));
            HttpReport {
                status: http.status.as_ref().map(|found| found.value),
                method: http.method.as_deref(),
                url: http.url.as_ref().map(|found| found.value.as_str()),
                event_id: status.or(url).unwrap_or(0),
                url_event_id: url,
            }
        }),
        decisive: window.decisive.as_ref().map(|decisive| DecisiveReport {
            code: &decisive.code,
            kind: decisive.kind.into(),
        }),
        diagnosis: None,
        events: window
            .members
            .iter()
            .filter_map(|member| event_report(machine, analysis, member.event, member.via))
            .collect(),
        related: window
            .related
            .iter()
            .filter_map(|&index| event_report(machine, analysis, index, Via::Correlation))
            .collect(),
        registrations: Vec::new(),
    })
}

/// The process or thread of the boundaries, or of all events of an inferred window if they agree.
fn shared(machine: &Machine, window: &Window, of: impl Fn(&Event) -> Option<u32>) -> Option<u32> {
    let event = |index: usize| machine.events.get(index);
    let mut members = window
        .members
        .iter()
        .filter_map(|member| event(member.event));
    let boundary = match window.start {
        Edge::Missing => window.end_event,
        _ => window.start_event,
    };
    let number = of(event(boundary)?)?;
    let agree = window.start != Edge::Inferred || members.all(|event| of(event) == Some(number));
    agree.then_some(number)
}

fn event_report<'a>(
    machine: &'a Machine,
    analysis: &Analysis,
    index: usize,
    via: Via,
) -> Option<EventReport<'a>> {
    let event = machine.events.get(index)?;
    Some(EventReport {
        event_id: event.event_id,
        time: Time(event.time),
        record_id: event.record_id,
        channel: &event.channel,
        level: event.level.into(),
        failure: analysis.failures.get(index).copied().unwrap_or(false),
        housekeeping: analysis.housekeeping.get(index).copied().flatten(),
        via: via.into(),
        name: event.info().map(|info| info.name),
        data: &event.data,
    })
}

fn failure(event: &Event, is_stop: bool) -> FailureReport<'_> {
    FailureReport {
        event_id: event.event_id,
        name: event.info().map(|info| info.name),
        provider: event.provider.name(),
        channel: &event.channel,
        record_id: event.record_id,
        time: Time(event.time),
        code: evidence::telling_code(event),
        is_stop,
    }
}

fn problem(problem: &Problem) -> ProblemReport<'_> {
    ProblemReport {
        path: &problem.path,
        kind: problem.kind,
        offset: problem.offset,
        detail: &problem.detail,
        lost_bytes: problem.lost_bytes,
    }
}

/// Analyses every machine of a scan.
pub fn analyze(scan: &Scan) -> Vec<Analysis> {
    scan.machines
        .iter()
        .map(|machine| window::analyze(&machine.events))
        .collect()
}
