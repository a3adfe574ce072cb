//! The failures as a table: a row for each failed window and run, and for each input that gave
//! nothing, for spreadsheets.
//!
//! As RFC 4180 has it, in UTF-8, with a header and lines that end with CR LF. A byte order mark comes
//! first: without it spreadsheets and Windows PowerShell take UTF-8 for something else. An unknown
//! fact is an empty cell. Rows are ordered by machine, its windows before its runs.
//!
//! What could steer a terminal is shown as in every format. A cell that a spreadsheet could take for
//! a formula gets a `'` before its `=`, `+`, `-` or `@`; the same after a `;`, at which
//! spreadsheets of many languages part cells. No column of ours holds a negative number.

use super::Narrow;
use super::{
    DecisiveReport, FailureReport, Id, InputReport, MachineReport, NetworkReport, OutcomeName,
    StatusReport, Time, Totals, stream,
};
use crate::base::terminal::one_line;
use crate::facts::code::Code;
use crate::machine::Scan;
use crate::report::groups::Signatures;
use std::borrow::Cow;
use std::io::{self, Write};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The columns.
///
/// - `machine`, `sources`: its name, and the inputs it was found in
/// - `state`: how the machine stands; `failing`: whether this failure still stands, being the
///   newest of a strand that fails
/// - `kind`, `id`: `window` or `registration`, and its name in the machine's report; or `input`, with
///   the path in `sources`, the kind of problem in `outcome` and what was found in `summary`
/// - `operation`: acquire or refresh; of a run its phase. `prt`: entra or enterprise
/// - `user`: the user principal name, else the SID
/// - `start`, `end`, `outcome`
/// - `first_event` …: the first failing event, where to look it up and its own code
/// - `decisive` …: the code that decides, what kind it is, and its symbol
/// - `server` … `final_status`: the sub-codes; of a run `final_status` is its exit code
/// - `class` … `summary`: the diagnosis
/// - `signature`: the group that it belongs to
pub const COLUMNS: [&str; 36] = [
    "machine",
    "sources",
    "state",
    "failing",
    "kind",
    "id",
    "operation",
    "prt",
    "user",
    "start",
    "end",
    "outcome",
    "first_event",
    "first_event_name",
    "first_event_channel",
    "first_event_record",
    "first_event_time",
    "first_event_code",
    "decisive",
    "decisive_kind",
    "decisive_symbol",
    "server",
    "oauth_error",
    "fault",
    "fault_detail",
    "network",
    "network_number",
    "http_status",
    "url",
    "final_status",
    "final_status_symbol",
    "correlation_id",
    "class",
    "stage",
    "summary",
    "signature",
];

/// Writes the table and says the totals of all machines.
///
/// # Errors
///
/// Those of the writer.
pub fn write(mut scan: Scan, narrow: Option<&Narrow>, out: &mut dyn Write) -> io::Result<Totals> {
    out.write_all(BYTE_ORDER_MARK.as_bytes())?;
    records(out, |table| table.write_record(COLUMNS))?;
    let streamed = stream::each_machine(
        &mut scan,
        narrow,
        |machine, out| records(out, |table| rows(machine, table)),
        out,
    )?;
    let totals = streamed.totals;
    let (summary, _) = streamed.finish(&scan);
    records(out, |table| skipped_inputs(&summary.inputs, table))?;
    Ok(totals)
}

/// A row for each input that gave nothing.
fn skipped_inputs(inputs: &[InputReport<'_>], table: &mut Table<'_>) -> csv::Result<()> {
    for input in inputs {
        let Some(skipped) = &input.skipped else {
            continue;
        };
        let kind = serde_json::to_value(skipped.kind).unwrap_or_default();
        let cells = COLUMNS.map(|column| match column {
            "sources" => cell(input.path),
            "state" => "no_evidence".into(),
            "kind" => "input".into(),
            "outcome" => kind.as_str().unwrap_or_default().into(),
            "summary" => cell(skipped.detail),
            _ => "".into(),
        });
        table.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    }
    Ok(())
}

type Table<'w> = csv::Writer<&'w mut dyn Write>;

fn records(
    out: &mut dyn Write,
    write: impl FnOnce(&mut Table<'_>) -> csv::Result<()>,
) -> io::Result<()> {
    let mut builder = csv::WriterBuilder::new();
    let mut table = builder.terminator(csv::Terminator::CRLF).from_writer(out);
    write(&mut table)?;
    table.flush()
}

fn rows(machine: &MachineReport<'_>, table: &mut Table<'_>) -> csv::Result<()> {
    let signatures = Signatures::of(machine);
    for window in machine.windows.that(OutcomeName::Failed) {
        let Some(signature) = signatures.group(window.id) else {
            continue;
        };
        let server = window.server.as_ref();
        let fault = window.fault.as_ref();
        let http = window.http.as_ref();
        let row = Row {
            machine,
            still: signatures.is_open(window.id),
            kind: "window",
            id: window.id,
            operation: Some(window.operation.as_str()),
            prt: Some(window.prt.as_str()),
            user: window.upn.or(window.user_sid),
            extent: [window.start.time, window.end.time],
            outcome: window.outcome.as_str(),
            first: window.first_failure.as_ref(),
            decisive: window.decisive.as_ref(),
            server: server.and_then(|server| server.code),
            oauth_error: server.and_then(|server| server.oauth_error),
            fault: fault.map(|fault| fault.code),
            fault_detail: fault.and_then(|fault| fault.detail),
            network: window.network.as_ref(),
            http_status: http.and_then(|http| http.status),
            url: http.and_then(|http| http.url),
            status: window.status.as_ref(),
            correlation_id: window.correlation_id.map(|id| id.0.to_string()),
            diagnosis: window.diagnosis.as_ref(),
            signature,
        };
        row.write(table)?;
    }
    for run in &machine.registrations {
        let Some(signature) = signatures.group(run.id) else {
            continue;
        };
        let server = run.server.as_ref();
        let adal = run.adal.as_ref();
        let row = Row {
            machine,
            still: signatures.is_open(run.id),
            kind: "registration",
            id: run.id,
            operation: run.phase.map(|phase| phase.as_str()),
            prt: None,
            user: None,
            extent: [run.start, run.end],
            outcome: run.outcome.as_str(),
            first: run.first_failure.as_ref(),
            decisive: run.decisive.as_ref(),
            server: server.and_then(|server| server.code),
            oauth_error: adal.and_then(|adal| adal.error),
            fault: None,
            fault_detail: None,
            network: run.sub_error.as_ref(),
            http_status: server.and_then(|server| server.http_status),
            url: None,
            status: run.exit_code.as_ref(),
            correlation_id: adal
                .and_then(|adal| adal.correlation_id)
                .map(|id| id.0.to_string()),
            diagnosis: run.diagnosis.as_ref(),
            signature,
        };
        row.write(table)?;
    }
    Ok(())
}

/// What a row says.
struct Row<'r, 'a> {
    machine: &'r MachineReport<'a>,
    still: bool,
    kind: &'static str,
    id: Id,
    operation: Option<&'static str>,
    prt: Option<&'static str>,
    user: Option<&'a str>,
    extent: [Time; 2],
    outcome: &'static str,
    first: Option<&'r FailureReport<'a>>,
    decisive: Option<&'r DecisiveReport<'a>>,
    server: Option<&'a str>,
    oauth_error: Option<&'a str>,
    fault: Option<&'a str>,
    fault_detail: Option<&'a str>,
    network: Option<&'r NetworkReport>,
    http_status: Option<u32>,
    url: Option<&'a str>,
    status: Option<&'r StatusReport>,
    correlation_id: Option<String>,
    diagnosis: Option<&'r super::DiagnosisReport<'a>>,
    signature: &'r str,
}

impl Row<'_, '_> {
    fn write(&self, table: &mut Table<'_>) -> csv::Result<()> {
        fn text(of: Option<&str>) -> Cow<'_, str> {
            of.map_or(Cow::Borrowed(""), cell)
        }
        fn shown(of: Option<impl ToString>) -> Cow<'static, str> {
            of.map_or(Cow::Borrowed(""), |of| Cow::Owned(of.to_string()))
        }
        let (first, decisive) = (self.first, self.decisive);
        let (network, status, diagnosis) = (self.network, self.status, self.diagnosis);
        let [start, end] = self.extent;
        let code = decisive.map(|decisive| decisive.code);
        let sources = self.machine.sources.join("; ");
        let cells: [Cow<'_, str>; COLUMNS.len()] = [
            cell(self.machine.name),
            text(Some(&sources)),
            self.machine.diagnosis.state.as_str().into(),
            shown(Some(self.still)),
            self.kind.into(),
            self.id.to_string().into(),
            self.operation.unwrap_or_default().into(),
            self.prt.unwrap_or_default().into(),
            text(self.user),
            shown(Some(start)),
            shown(Some(end)),
            self.outcome.into(),
            shown(first.map(|first| first.event_id)),
            text(first.and_then(|first| first.name)),
            text(first.map(|first| first.channel)),
            shown(first.map(|first| first.record_id)),
            shown(first.map(|first| first.time)),
            text(first.and_then(|first| first.code.as_deref())),
            text(code),
            text(decisive.map(|decisive| decisive.kind.as_str())),
            text(code.and_then(Code::parse).and_then(Code::symbol)),
            text(self.server),
            text(self.oauth_error),
            text(self.fault),
            text(self.fault_detail),
            shown(network.map(|network| network.code.0)),
            shown(network.and_then(|network| network.number)),
            shown(self.http_status),
            text(self.url),
            shown(status.map(|status| status.code.0)),
            text(status.and_then(|status| status.symbol)),
            text(self.correlation_id.as_deref()),
            text(diagnosis.map(|of| of.class.as_str())),
            text(diagnosis.map(|of| of.stage)),
            text(diagnosis.map(|of| of.summary)),
            cell(self.signature),
        ];
        table.write_record(cells.iter().map(|cell| cell.as_bytes()))
    }
}

/// A text on one line that no spreadsheet takes for a formula.
fn cell(text: &str) -> Cow<'_, str> {
    let line = one_line(text);
    // What begins a formula in a spreadsheet of some language, the wide forms too.
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let mut at_start = true;
    let mut marks = Vec::new();
    for (at, character) in line.char_indices() {
        if at_start && begins(character) {
            marks.push(at);
        }
        at_start = character == ';' || at_start && character == ' ';
    }
    if marks.is_empty() {
        return line;
    }
    let mut safe = line.into_owned();
    for at in marks.into_iter().rev() {
        safe.insert(at, '\'');
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, safe) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+1", "'+1"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", " '=1"),
            ("\r\n=1", " '=1"),
            ("  =1", "  '=1"),
            ("＝1", "'＝1"),
            ("a;=1", "a;'=1"),
            ("a; =1;@b", "a; '=1;'@b"),
            ("PC-1=2", "PC-1=2"),
            ("a-b;c", "a-b;c"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("", ""),
        ] {
            assert_eq!(cell(text), safe);
        }
    }
}
