//! The report: one value that every format renders.
//!
//! These types are the wire format, apart from the types that the engine works with: their JSON is
//! a contract (`schema_version`), the engine's types are free to change. They borrow from the
//! [`Scan`] and its analyses. What a fact is not known for is `null`, never an empty string.
//!
//! Times are RFC 3339 in UTC with 7 digits, codes are `0x` and 8 lower-case digits.

use crate::base::problem::ProblemKind;
use crate::conclude::{self, Analysis};
use crate::event::{Data, Event};
use crate::facts::code::Code;
use crate::machine::{InputKind, Scan};
use rayon::prelude::*;
#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

mod build;
pub mod csv;
pub mod fleet;
pub(crate) mod groups;
pub mod json;
pub mod jsonl;
pub(crate) mod layout;
mod narrow;
mod problems;
mod stream;
pub mod text;
pub mod timeline;
mod views;
mod words;

pub use crate::base::time::Time;
pub use narrow::{Narrow, UnknownName, machines, user};
pub(crate) use views::FailedWindow;
pub use views::{Members, Windows};
pub use words::*;

/// Everything that is known, for one run of the program.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Report<'a> {
    /// Version of this format: 2.
    pub schema_version: Version,
    /// Version of the program.
    pub prtrace: &'static str,
    /// Sums over everything.
    pub totals: Totals,
    /// The machines, by name.
    pub machines: Vec<MachineReport<'a>>,
    /// Failures with one signature over all machines, by number of machines.
    pub groups: Vec<GroupReport>,
    /// Evidence that was never collected, of no machine. Not built yet.
    pub gaps: Vec<Never>,
    /// The named paths, and every other file that should have given something and did not.
    pub inputs: Vec<InputReport<'a>>,
    /// Problems that belong to no machine.
    pub problems: Vec<ProblemReport<'a>>,
    /// Whether it was narrowed: what is not there may be left out.
    #[serde(skip)]
    pub(crate) is_part: bool,
}

/// The report without its machines: the last of the JSON Lines.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Summary<'a> {
    /// Version of this format: 2.
    pub schema_version: Version,
    /// Version of the program.
    pub prtrace: &'static str,
    /// Sums over everything.
    pub totals: Totals,
    /// Failures with one signature over all machines, by number of machines.
    pub groups: Vec<GroupReport>,
    /// Evidence that was never collected, of no machine. Not built yet.
    pub gaps: Vec<Never>,
    /// The named paths, and every other file that should have given something and did not.
    pub inputs: Vec<InputReport<'a>>,
    /// Problems that belong to no machine.
    pub problems: Vec<ProblemReport<'a>>,
}

/// A line of JSON Lines: its first key, `record`, says which.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Line<'a> {
    /// Each line but the last.
    Machine(&'a MachineReport<'a>),
    /// The last.
    Summary(&'a Summary<'a>),
}

/// The version of the report's format.
#[derive(Clone, Copy, Debug)]
pub struct Version;

/// The current version.
const VERSION: u8 = 2;

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
    /// Registration runs of any outcome.
    pub registrations: u64,
    /// Registration runs that failed.
    pub registrations_failed: u64,
    /// Problems, of machines and others.
    pub problems: u64,
    /// Files in the folders that are no event logs.
    pub other_files: u64,
    /// Machines whose state is `failing`.
    pub machines_failing: u64,
    /// Machines whose state is `no_evidence`.
    pub machines_without_evidence: u64,
    /// Findings of all machines. Not built yet.
    pub findings: Option<u64>,
    /// Texts of dsregcmd that were read. Not built yet.
    pub status_texts: Option<u64>,
    /// Records of other providers.
    pub records_foreign: u64,
    /// Records of ours that were seen and could not be decoded.
    pub records_lost: u64,
    /// Bytes that could not be read, in all problems.
    pub bytes_lost: u64,
}

/// The failed windows and runs of one signature.
///
/// Each failed window and run belongs to one group, a machine to all that one of its failures
/// belongs to. A run that explains a failed window, or made the same request, goes with the window.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct GroupReport {
    /// `acquire/AADSTS50126/1081`: operation, decisive code, first failing event;
    /// `registration/discover/0x801c001d/307`: phase, decisive code, first failing event;
    /// `downstream/0xcaa2000c/1098`: code and event of failing token requests.
    pub signature: String,
    /// Whose fault it is: this and what follows are the meaning that most of the failing machines'
    /// failures have.
    pub class: ClassName,
    /// The rule that decided.
    pub rule: &'static str,
    /// The stage that failed.
    pub stage: &'static str,
    /// What happened, in one sentence that holds for all of them.
    pub summary: String,
    /// What to do, the least disruptive first.
    pub next_steps: Vec<&'static str>,
    /// The machines with such a failure, by name.
    pub machines: Vec<String>,
    /// How many of them still fail with it: it is the newest failure of a failing strand.
    pub failing: u64,
    /// Failed windows.
    pub windows: u64,
    /// Failed runs, with those that go with a window.
    pub registrations: u64,
    /// Failed token requests.
    pub token_requests: u64,
    /// When it first failed so.
    pub first_seen: Time,
    /// When it last failed so.
    pub last_seen: Time,
    /// The newest failure of that meaning, one that is not made up for if there is one.
    pub example: ExampleReport,
    /// What the newest failure of other machines means, though its signature is the same.
    pub also: Vec<ReadingReport>,
    /// The failed registration runs behind the windows.
    pub explained_by: Vec<ExplainedByReport>,
}

/// One failure with its evidence.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct ExampleReport {
    /// The machine.
    pub machine: String,
    /// The window or run; null for token requests.
    pub id: Option<Id>,
    /// The first failing event.
    pub event_id: Option<u32>,
    /// The event's name.
    pub name: Option<&'static str>,
    /// Where it was written.
    pub channel: Option<String>,
    /// Record ID in that channel.
    pub record_id: Option<u64>,
    /// When.
    pub time: Time,
    /// The event's own most telling code.
    pub code: Option<String>,
    /// The code that decides.
    pub decisive: Option<String>,
    /// What happened there.
    pub summary: String,
}

/// Another meaning of a group's signature.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct ReadingReport {
    /// The rule that decided.
    pub rule: &'static str,
    /// Whose fault it is.
    pub class: ClassName,
    /// The stage that failed.
    pub stage: &'static str,
    /// What happened, in one sentence that holds for all of them.
    pub summary: String,
    /// What to do, the least disruptive first.
    pub next_steps: Vec<&'static str>,
    /// The machines, by name.
    pub machines: Vec<String>,
}

/// A failed registration run behind the windows of a group.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct ExplainedByReport {
    /// Its own signature.
    pub signature: String,
    /// The machines, by name.
    pub machines: Vec<String>,
}

/// One computer.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct MachineReport<'a> {
    /// The name it had last.
    pub name: &'a str,
    /// Whether another machine has the same name.
    #[serde(skip)]
    pub(crate) shares_name: bool,
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
    #[cfg_attr(feature = "cli", schemars(with = "Vec<WindowReport<'a>>"))]
    pub windows: Windows<'a>,
    /// Registration runs, by start.
    pub registrations: Vec<RunReport<'a>>,
    /// The users and how their tokens stand.
    pub users: Vec<UserReport<'a>>,
    /// Failing events that belong to no window or run.
    pub other_failures: Vec<FailureReport<'a>>,
    /// The events that belong to no window or run; filled for the timeline only.
    pub other_events: Vec<EventReport<'a>>,
    /// What is known of the device.
    pub device: DeviceReport<'a>,
    /// What dsregcmd said. Not built yet.
    pub device_status: Option<Never>,
    /// What is wrong, and what to do about it. Not built yet.
    pub findings: Vec<Never>,
    /// How it stands, and what that means.
    pub diagnosis: MachineDiagnosis<'a>,
    /// Evidence that was never collected. Not built yet.
    pub gaps: Vec<Never>,
    /// Problems in logs that hold events of this machine only.
    pub problems: Vec<ProblemReport<'a>>,
    /// The token requests that the diagnosis is about.
    #[serde(skip)]
    pub(crate) downstream: Option<Downstream<'a>>,
    /// Whether it was narrowed: what is not there may be left out.
    #[serde(skip)]
    pub(crate) is_part: bool,
}

/// Token requests that fail though the token is healthy.
#[derive(Debug)]
pub(crate) struct Downstream<'a> {
    /// The server's code, else the broker's.
    pub(crate) code: Cow<'a, str>,
    /// Whose they are, named as in [`UserReport::user`].
    pub(crate) user: &'a str,
    /// What was asked for.
    pub(crate) request: TokenRequestReport<'a>,
    /// The last of them.
    pub(crate) event: FailureReport<'a>,
    /// The device's ID in the tenant, as the newest event up to the last names it.
    pub(crate) device_id: Option<Guid>,
    /// The tenant's ID, named likewise.
    pub(crate) tenant_id: Option<Guid>,
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
    pub id: Id,
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
    /// The device's ID in the tenant, as the newest event up to the window's end names it.
    pub device_id: Option<Guid>,
    /// The tenant's ID, as the newest event up to the window's end names it.
    pub tenant_id: Option<Guid>,
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
    /// What it means; null if it succeeded at once.
    pub diagnosis: Option<DiagnosisReport<'a>>,
    /// Its events, in order.
    #[cfg_attr(feature = "cli", schemars(with = "Vec<EventReport<'a>>"))]
    pub events: Members<'a>,
    /// Later events, or those of other processes, with its correlation ID.
    #[cfg_attr(feature = "cli", schemars(with = "Vec<EventReport<'a>>"))]
    pub related: Members<'a>,
    /// Registration runs it is linked to.
    pub registrations: Vec<LinkReport>,
}

/// A link between a window and a registration run.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct LinkReport {
    /// The window or run.
    pub id: Id,
    /// Why.
    pub reason: ReasonName,
}

/// How a machine stands.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct MachineDiagnosis<'a> {
    /// The worst of its strands: the registration, and the token of each user.
    pub state: StateName,
    /// The finding that says so. Not built yet.
    pub finding: Option<Never>,
    /// The registration's own state.
    pub registration: StateName,
    /// The window or run that says so.
    pub of: Option<Id>,
    /// The rule that decided; null where there is nothing to explain, as is the rest.
    pub rule: Option<&'static str>,
    /// Why it decided.
    pub because: Option<&'static str>,
    /// Whose fault it is.
    pub class: Option<ClassName>,
    /// The stage that failed.
    pub stage: Option<&'static str>,
    /// What happened, in one sentence.
    pub summary: Option<&'a str>,
    /// Why such a thing happens.
    pub cause: Option<&'static str>,
    /// What to do, the least disruptive first.
    pub next_steps: &'a [&'static str],
    /// Where this is from.
    pub sources: &'a [&'static str],
}

/// What something means and what to do.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct DiagnosisReport<'a> {
    /// The rule that decided.
    pub rule: &'static str,
    /// Why it decided.
    pub because: &'static str,
    /// Whose fault it is.
    pub class: ClassName,
    /// The stage that failed.
    pub stage: &'static str,
    /// What happened, in one sentence.
    pub summary: &'a str,
    /// Why such a thing happens.
    pub cause: &'static str,
    /// What to do, the least disruptive first.
    pub next_steps: &'a [&'static str],
    /// Where this is from.
    pub sources: &'a [&'static str],
}

/// A user's token.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct UserReport<'a> {
    /// The user principal name, else the SID, else `unknown`.
    pub user: &'a str,
    /// Whose token.
    pub prt: PrtName,
    /// How it stands.
    pub state: StateName,
    /// When it last succeeded.
    pub last_success: Option<Time>,
    /// When it last failed.
    pub last_failure: Option<Time>,
    /// What the newest failure means; null if the token never failed.
    pub diagnosis: Option<DiagnosisReport<'a>>,
    /// The windows.
    pub windows: Vec<Id>,
    /// What the token broker asked for in vain.
    pub token_requests: Vec<TokenRequestReport<'a>>,
    /// The user's SIDs, by which the user may be asked for.
    #[serde(skip)]
    pub(crate) sids: &'a BTreeSet<String>,
}

/// Failed token requests for one thing.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct TokenRequestReport<'a> {
    /// The broker's code.
    pub code: Hex,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// The server's code.
    pub aadsts: Option<&'a str>,
    /// The client that asked.
    pub client: Option<&'a str>,
    /// What it asked for.
    pub resource: Option<&'a str>,
    /// Whom it asked.
    pub authority: Option<&'a str>,
    /// The last request's correlation ID.
    pub correlation_id: Option<Guid>,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Time,
    /// When last.
    pub last: Time,
}

/// One try to register the device.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct RunReport<'a> {
    /// Its name within the machine: r1, r2, …
    pub id: Id,
    /// Who tried.
    pub kind: RunKindName,
    /// Its first event.
    pub start: Time,
    /// Its last event.
    pub end: Time,
    /// The process; the Workstation service's where only that spoke.
    pub process_id: Option<u32>,
    /// How it ended.
    pub outcome: RunOutcomeName,
    /// How far it got.
    pub phase: Option<PhaseName>,
    /// The first failing event.
    pub first_failure: Option<FailureReport<'a>>,
    /// What the last attempt ended with.
    pub exit_code: Option<StatusReport>,
    /// What the exit code wraps.
    pub sub_error: Option<NetworkReport>,
    /// The last attempt's answer from the server.
    pub server: Option<DrsReport<'a>>,
    /// What the token library said last.
    pub adal: Option<AdalReport<'a>>,
    /// Why the computer object could not be read.
    pub win32: Option<Win32Report>,
    /// Whether a proxy answered the discovery request with a page of its own.
    pub proxy_page: bool,
    /// The code that decides; null unless it failed or left nothing.
    pub decisive: Option<DecisiveReport<'a>>,
    /// The attempts, in order.
    pub attempts: Vec<AttemptReport<'a>>,
    /// The last attempt's kind.
    pub join_type: Option<&'a str>,
    /// Tenant ID, else name.
    pub tenant: Option<&'a str>,
    /// Federated or managed.
    pub tenant_type: Option<&'a str>,
    /// The device's ID in the tenant, as the newest event up to the run's end names it.
    pub device_id: Option<Guid>,
    /// The tenant's ID, as the newest event up to the run's end names it.
    pub tenant_id: Option<Guid>,
    /// What the pre-check came to.
    pub pre_check: Option<&'a str>,
    /// What it means; null if it succeeded or found the device joined.
    pub diagnosis: Option<DiagnosisReport<'a>>,
    /// Its events, in order.
    pub events: Vec<EventReport<'a>>,
    /// Windows it is linked to.
    pub windows: Vec<LinkReport>,
}

/// One attempt of a run.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct AttemptReport<'a> {
    /// Its kind: kerberos, fed, sync, fallback_sync, …
    pub join_type: Option<&'a str>,
    /// How far it got.
    pub phase: Option<PhaseName>,
    /// Whether it registered the device.
    pub succeeded: bool,
    /// What it ended with.
    pub exit_code: Option<StatusReport>,
    /// What the exit code wraps.
    pub sub_error: Option<NetworkReport>,
    /// What the server answered.
    pub server: Option<DrsReport<'a>>,
    /// What the token library said.
    pub adal: Option<AdalReport<'a>>,
}

/// What the registration service or the token service answered.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct DrsReport<'a> {
    /// The error type, else the last AADSTS code.
    pub code: Option<&'a str>,
    /// The service's sub-code, which tells more than the code.
    pub subcode: Option<&'a str>,
    /// The service's sub-code, and AADSTS codes in its words.
    pub also: Vec<&'a str>,
    /// What the service was asked to do: `DeviceJoin`, `DeviceRenew`.
    pub operation: Option<&'a str>,
    /// Its words.
    pub description: Option<&'a str>,
    /// The HTTP status.
    pub http_status: Option<u32>,
    /// The request's ID at the service.
    pub request_id: Option<&'a str>,
    /// The event it came from.
    pub event_id: u32,
}

/// What the token library said.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct AdalReport<'a> {
    /// Its code.
    pub code: Option<Hex>,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// Its error, in OAuth's words.
    pub error: Option<&'a str>,
    /// Its message.
    pub message: Option<&'a str>,
    /// The request's correlation ID.
    pub correlation_id: Option<Guid>,
    /// Its log.
    pub log: Vec<&'a str>,
    /// The event it came from.
    pub event_id: u32,
}

/// A Win32 error.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Win32Report {
    /// Its number.
    pub number: u32,
    /// Its symbol.
    pub symbol: Option<&'static str>,
    /// The event it came from.
    pub event_id: u32,
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
    /// The event itself.
    #[serde(skip)]
    pub(crate) event: &'a Event,
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
#[derive(Clone, Debug, Serialize)]
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
    /// How it belongs to its window or run; null if it belongs to none.
    pub via: Option<ViaName>,
    /// Its name; null if the ID is not known.
    pub name: Option<&'static str>,
    /// Its values; secrets are masked.
    #[cfg_attr(feature = "cli", schemars(with = "Vec<ValueReport<'a>>"))]
    #[serde(serialize_with = "data")]
    pub data: Data<'a>,
    /// The event itself.
    #[serde(skip)]
    pub(crate) event: &'a Event,
    /// Its place in the machine's total order.
    #[serde(skip)]
    pub(crate) place: usize,
}

fn data<S: Serializer>(data: &Data<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(data.iter().map(|(name, value)| ValueReport { name, value }))
}

/// A value of an event.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
struct ValueReport<'a> {
    /// The field's name; empty if the record gives none.
    name: &'a str,
    /// Its value as text.
    value: &'a str,
}

/// A path that the user named, or another file that gave nothing.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct InputReport<'a> {
    /// Its path.
    pub path: &'a str,
    /// What it is.
    pub kind: InputKind,
    /// Its size, of a folder that of the logs in it; null if it could not be read.
    pub bytes: Option<u64>,
    /// What collected it. Not built yet.
    pub collector: Option<Never>,
    /// The channels of its events.
    pub channels: Vec<&'a str>,
    /// The machines that these belong to.
    pub machines: Vec<&'a str>,
    /// Every record in it.
    pub records: u64,
    /// The records of the selected providers, copies included.
    pub events: u64,
    /// The time of the first of these.
    pub first: Option<Time>,
    /// The time of the last.
    pub last: Option<Time>,
    /// Why it gave none; null if it gave some.
    pub skipped: Option<SkippedReport<'a>>,
}

/// Why an input gave nothing.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct SkippedReport<'a> {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What was found.
    pub detail: &'a str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What is known of a device.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct DeviceReport<'a> {
    /// How it is joined. Not built yet.
    pub join: Option<Never>,
    /// Its ID in the tenant, as the newest event names it.
    pub device_id: Option<Guid>,
    /// The tenant's ID, as the newest event names it.
    pub tenant_id: Option<Guid>,
    /// The build of Windows. Not built yet.
    pub os_build: Option<Never>,
    /// Whether a TPM protects its key. Not built yet.
    pub tpm_protected: Option<Never>,
    /// Where the IDs come from.
    pub evidence: Vec<EvidenceReport<'a>>,
}

/// What a conclusion rests on.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema), schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct EvidenceReport<'a> {
    /// What it is.
    pub kind: EvidenceKind,
    /// The event's ID.
    pub event_id: Option<u32>,
    /// Where it was written.
    pub channel: Option<&'a str>,
    /// Record ID in that channel.
    pub record_id: Option<u64>,
    /// When.
    pub time: Option<Time>,
    /// The log or text; null where several hold the channel's events.
    pub path: Option<&'a str>,
    /// The line of a text.
    pub line: Option<u64>,
    /// What it says.
    pub says: Option<&'a str>,
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

/// The name of a window or run within its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// By the number of the window, from 0: w1, w2, …
    Window(usize),
    /// By the number of the run, from 0: r1, r2, …
    Run(usize),
}

impl Id {
    fn name(self) -> String {
        let (letter, number) = match self {
            Id::Window(number) => ('w', number),
            Id::Run(number) => ('r', number),
        };
        let mut name = (number + 1).to_string();
        name.insert(0, letter);
        name
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// A 32-bit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub Code);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.spelled();
        serializer.serialize_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// A GUID in lower case without braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guid(pub Uuid);

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut [0; 36]))
    }
}

#[cfg(feature = "cli")]
mod schema {
    use super::{Guid, Hex, Id, Time, VERSION, Version};
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

    impl JsonSchema for Id {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Id".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string" })
        }
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

/// Analyses every machine of a scan, on the threads of rayon's current pool.
pub fn analyze(scan: &Scan) -> Vec<Analysis<'_>> {
    scan.machines
        .par_iter()
        .map(|machine| conclude::analyze(&machine.events))
        .collect()
}
