//! The words of the report: the enums of the wire format.

use crate::conclude::Reason;
use crate::conclude::evidence::DecisiveKind;
use crate::conclude::registration::{Kind, Phase, RunOutcome};
use crate::conclude::state::State;
use crate::conclude::window::{Edge, Operation, Outcome, Prt, Via};
use crate::event::Level;
use crate::facts::Class;
#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::Serialize;

/// Defines an enum of the wire format beside the engine's own, and the words it prints.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident of $of:ty { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
    Correlation = "correlation",
    Activity = "activity",
    Thread = "thread",
    Time = "time",
    Process = "process",
    Service = "service",
});
names!(/// How a window ended.
OutcomeName of Outcome {
    Succeeded = "succeeded",
    Failed = "failed",
    Incomplete = "incomplete",
});
names!(/// What the decisive code is.
KindName of DecisiveKind {
    Server = "server",
    Fault = "fault",
    Client = "client",
    Network = "network",
    Http = "http",
    Status = "status",
});
names!(/// Severity.
LevelName of Level {
    Critical = "critical",
    Error = "error",
    Warning = "warning",
    Information = "information",
    Verbose = "verbose",
});
names!(/// Why a window and a registration run are linked.
ReasonName of Reason {
    Correlation = "correlation",
    Explains = "explains",
    Time = "time",
});
names!(/// Who tried to register the device.
    RunKindName of Kind { Automatic = "automatic", Interactive = "interactive" });
names!(/// How a registration run ended.
RunOutcomeName of RunOutcome {
    Succeeded = "succeeded",
    Failed = "failed",
    NotPossible = "not_possible",
    AlreadyJoined = "already_joined",
    Silent = "silent",
});
names!(/// How far a registration run got.
PhaseName of Phase {
    Precheck = "precheck",
    Discover = "discover",
    Auth = "auth",
    Join = "join",
    Leave = "leave",
});
names!(/// How a strand or a machine stands.
StateName of State {
    NoEvidence = "no_evidence",
    Healthy = "healthy",
    Recovered = "recovered",
    Failing = "failing",
});
names!(/// Whose fault a failure is.
ClassName of Class {
    Device = "device",
    User = "user",
    Network = "network",
    Federation = "federation",
    Tpm = "tpm",
    Server = "server",
    Configuration = "configuration",
    Downstream = "downstream",
    Unknown = "unknown",
});

/// What a piece of evidence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// An event of a log.
    Event,
    /// A line of a text.
    Text,
    /// Evidence that was never collected.
    Gap,
}
