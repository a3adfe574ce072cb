//! A scan and what was concluded from it → the report.

use super::*;
use crate::base::problem::Problem;
use crate::conclude::answers::Adal;
use crate::conclude::diagnosis::Diagnosis;
use crate::conclude::evidence::{self, Decisive, Found, Housekeeping};
use crate::conclude::registration::{Attempt, Run, RunOutcome, ServerAnswer};
use crate::conclude::state::User;
use crate::conclude::token::TokenRequest;
use crate::conclude::window::{self, Edge, Mark, Member, Outcome, Via, Window};
use crate::conclude::{Analysis, Link, Subject};
use crate::machine::Machine;
use crate::machine::Scan;
use crate::report::groups;

impl<'a> Report<'a> {
    /// The report on a scan and the [`analyze`](crate::conclude::analyze)d events of its machines, in the
    /// same order.
    pub fn new(scan: &'a Scan, analyses: &'a [Analysis<'a>]) -> Report<'a> {
        Report::build(scan, analyses, false)
    }

    /// The same with every event, as the timeline shows them.
    pub fn with_all_events(scan: &'a Scan, analyses: &'a [Analysis<'a>]) -> Report<'a> {
        Report::build(scan, analyses, true)
    }

    fn build(scan: &'a Scan, analyses: &'a [Analysis<'a>], all_events: bool) -> Report<'a> {
        let machines: Vec<MachineReport<'a>> = scan
            .machines
            .iter()
            .zip(analyses)
            .map(|(machine, analysis)| machine_report(machine, analysis, all_events))
            .collect();
        let problems: Vec<ProblemReport<'a>> = scan.problems.iter().map(problem).collect();
        let mut totals = Totals::of(scan);
        for (machine, report) in scan.machines.iter().zip(&machines) {
            totals.add(report, machine.events.len() as u64);
        }
        Report {
            schema_version: Version,
            prtrace: env!("CARGO_PKG_VERSION"),
            totals,
            groups: groups::groups(&machines),
            machines,
            gaps: Vec::new(),
            inputs: inputs(scan),
            problems,
            is_part: false,
        }
    }

    /// Whether any window or registration run failed.
    pub fn has_failures(&self) -> bool {
        self.totals.has_failures()
    }
}

impl Totals {
    /// What a scan counts apart from its machines.
    pub(super) fn of(scan: &Scan) -> Totals {
        Totals {
            logs: scan.logs,
            bytes: scan.bytes,
            records_read: scan.records_read,
            duplicates: scan.duplicates,
            problems: scan.problems.len() as u64,
            other_files: scan.other_files,
            records_foreign: scan.records_foreign,
            records_lost: scan.records_lost,
            bytes_lost: lost(scan.problems.iter().map(|problem| problem.lost_bytes)),
            ..Totals::default()
        }
    }

    /// Counts a machine with so many events.
    pub(super) fn add(&mut self, machine: &MachineReport<'_>, events: u64) {
        let runs_failed = machine
            .registrations
            .iter()
            .filter(|run| run.outcome == RunOutcomeName::Failed);
        self.machines += 1;
        self.events += events;
        self.windows += machine.windows.len() as u64;
        self.windows_failed += machine.windows.count(OutcomeName::Failed) as u64;
        self.registrations += machine.registrations.len() as u64;
        self.registrations_failed += runs_failed.count() as u64;
        self.problems += machine.problems.len() as u64;
        match machine.diagnosis.state {
            StateName::Failing => self.machines_failing += 1,
            StateName::NoEvidence => self.machines_without_evidence += 1,
            StateName::Healthy | StateName::Recovered => {}
        }
        let lost_here = lost(machine.problems.iter().map(|problem| problem.lost_bytes));
        self.bytes_lost = self.bytes_lost.saturating_add(lost_here);
    }

    /// Whether any window or registration run failed, which the exit status says.
    pub fn has_failures(&self) -> bool {
        self.windows_failed > 0 || self.registrations_failed > 0
    }

    /// Whether the events say of any machine how it stands.
    pub fn has_evidence(&self) -> bool {
        self.machines > self.machines_without_evidence
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.machines += other.machines;
        self.logs += other.logs;
        self.bytes += other.bytes;
        self.records_read += other.records_read;
        self.events += other.events;
        self.duplicates += other.duplicates;
        self.windows += other.windows;
        self.windows_failed += other.windows_failed;
        self.registrations += other.registrations;
        self.registrations_failed += other.registrations_failed;
        self.problems += other.problems;
        self.other_files += other.other_files;
        self.machines_failing += other.machines_failing;
        self.machines_without_evidence += other.machines_without_evidence;
        self.records_foreign += other.records_foreign;
        self.records_lost += other.records_lost;
        self.bytes_lost = self.bytes_lost.saturating_add(other.bytes_lost);
    }
}

/// Bytes lost in all. Archives claim any number.
pub(super) fn lost(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

pub(super) fn inputs(scan: &Scan) -> Vec<InputReport<'_>> {
    let inputs = scan.inputs.iter();
    inputs
        .map(|input| InputReport {
            path: &input.path,
            kind: input.kind,
            bytes: input.bytes,
            collector: None,
            channels: input.channels.iter().map(|channel| &**channel).collect(),
            machines: input.machines.iter().map(|machine| &**machine).collect(),
            records: input.counts.records,
            events: input.counts.events,
            first: input.extent.map(|(first, _)| Time(first)),
            last: input.extent.map(|(_, last)| Time(last)),
            skipped: input.skipped.as_ref().map(|skipped| SkippedReport {
                kind: skipped.kind,
                detail: &skipped.detail,
                remedy: skipped.kind.remedy(),
            }),
        })
        .collect()
}

fn device<'a>(machine: &'a Machine, analysis: &Analysis<'_>) -> DeviceReport<'a> {
    let [device, tenant] = [&analysis.device_ids, &analysis.tenant_ids].map(|ids| ids.last());
    let mut events: Vec<usize> = device
        .into_iter()
        .chain(tenant)
        .map(|(event, _)| *event)
        .collect();
    events.sort_unstable();
    events.dedup();
    let evidence = events
        .into_iter()
        .filter_map(|event| event_evidence(machine, event));
    DeviceReport {
        device_id: device.map(|(_, id)| Guid(*id)),
        tenant_id: tenant.map(|(_, id)| Guid(*id)),
        evidence: evidence.collect(),
        ..DeviceReport::default()
    }
}

fn event_evidence(machine: &Machine, index: usize) -> Option<EvidenceReport<'_>> {
    let event = machine.events.get(index)?;
    let mut logs = machine
        .logs
        .iter()
        .filter(|log| log.channels.contains(&event.channel));
    let path = match (logs.next(), logs.next()) {
        (Some(only), None) => Some(only.path.as_str()),
        _ => None,
    };
    Some(EvidenceReport {
        kind: EvidenceKind::Event,
        event_id: Some(event.event_id),
        channel: Some(&event.channel),
        record_id: Some(event.record_id),
        time: Some(Time(event.time())),
        path,
        line: None,
        says: None,
    })
}

pub(super) fn machine_report<'a>(
    machine: &'a Machine,
    analysis: &'a Analysis<'a>,
    all_events: bool,
) -> MachineReport<'a> {
    MachineReport {
        name: &machine.name,
        shares_name: machine.shares_name,
        also_known_as: machine.also_known_as.iter().map(|name| &**name).collect(),
        sources: machine.sources.iter().map(|source| &**source).collect(),
        first_event: machine.events.first().map(|event| Time(event.time())),
        last_event: machine.events.last().map(|event| Time(event.time())),
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
        registrations: analysis
            .runs
            .iter()
            .enumerate()
            .filter_map(|(number, run)| run_report(machine, analysis, number, run))
            .collect(),
        users: analysis
            .users
            .iter()
            .map(|user| user_report(analysis, user))
            .collect(),
        other_failures: analysis
            .other_failures
            .iter()
            .filter_map(|&index| Some(failure(machine.events.get(index)?, false)))
            .collect(),
        other_events: analysis
            .marks
            .iter()
            .enumerate()
            .filter(|(_, mark)| all_events && !mark.placed)
            .filter_map(|(index, _)| event_report(machine, analysis, index, None))
            .collect(),
        device: device(machine, analysis),
        device_status: None,
        findings: Vec::new(),
        diagnosis: machine_diagnosis(analysis),
        gaps: Vec::new(),
        problems: machine.problems.iter().map(problem).collect(),
        is_part: false,
        downstream: downstream(machine, analysis),
        windows: Windows {
            machine,
            analysis,
            numbers: (0..analysis.windows.len()).collect(),
            runs: None,
        },
    }
}

/// The newest ID that was named up to an event.
fn newest_id(ids: &[(usize, Uuid)], event: usize) -> Option<Guid> {
    let until = ids.partition_point(|(index, _)| *index <= event);
    let (_, id) = ids.get(..until)?.last()?;
    Some(Guid(*id))
}

/// The token requests that a machine's diagnosis is about.
fn downstream<'a>(machine: &'a Machine, analysis: &'a Analysis<'a>) -> Option<Downstream<'a>> {
    let (_, Some(Subject::TokenRequest { user, request })) = analysis.diagnosis.as_ref()? else {
        return None;
    };
    let user = analysis.users.get(*user)?;
    let request = user.token_requests.get(*request)?;
    Some(Downstream {
        code: match &request.aadsts {
            Some(code) => code.into(),
            None => request.code.to_string().into(),
        },
        user: &user.name,
        request: token_request_report(request),
        event: failure(machine.events.get(request.last_event)?, false),
        device_id: newest_id(&analysis.device_ids, request.last_event),
        tenant_id: newest_id(&analysis.tenant_ids, request.last_event),
    })
}

pub(super) fn window_report<'a>(windows: &Windows<'a>, number: usize) -> Option<WindowReport<'a>> {
    let Windows {
        machine, analysis, ..
    } = *windows;
    let window = analysis.windows.get(number)?;
    let event = |index: usize| machine.events.get(index);
    let id = |index: usize| event_id(machine, index);
    let members = |members: &'a [Member]| Members {
        machine,
        analysis,
        members,
    };
    let evidence = &window.evidence;
    let time = |index: usize| Time(window::time(&machine.events, index));
    Some(WindowReport {
        id: Id::Window(number),
        operation: window.operation.into(),
        prt: window.prt.into(),
        start: EdgeReport {
            time: time(window.start_event),
            boundary: window.start.into(),
        },
        end: EdgeReport {
            time: time(window.end_event),
            boundary: window.end.into(),
        },
        pairing: window.pairing.into(),
        process_id: shared(machine, window, |event| event.process_id()),
        thread_id: shared(machine, window, |event| event.thread_id()),
        correlation_id: evidence
            .correlation_id
            .as_ref()
            .map(|found| Guid(found.value)),
        upn: evidence.upn.as_ref().map(|found| found.value),
        user_sid: evidence.user_sid.as_ref().map(|found| found.value),
        device_id: newest_id(&analysis.device_ids, window.end_event),
        tenant_id: newest_id(&analysis.tenant_ids, window.end_event),
        credential_type: evidence.credential_type.as_ref().map(|found| found.value),
        outcome: window.outcome.into(),
        recovered: window.recovered,
        first_failure: window
            .first_failure
            .and_then(event)
            .map(|event| failure(event, window.only_stop_failed)),
        status: evidence
            .status
            .as_ref()
            .map(|found| status_report(machine, found)),
        server: evidence.server.as_ref().map(|found| ServerReport {
            code: found.value.code.as_deref(),
            also: found.value.also.iter().map(|code| &**code).collect(),
            oauth_error: found.value.oauth_error,
            description: found.value.description,
            event_id: id(found.event()),
        }),
        fault: evidence.fault.as_ref().map(|found| FaultReport {
            code: &found.value.code,
            detail: found.value.detail.as_deref(),
            description: found.value.description.as_deref(),
            event_id: id(found.event()),
        }),
        network: evidence
            .network
            .as_ref()
            .map(|found| network_report(machine, found)),
        http: evidence.http.as_ref().map(|http| {
            let status = http.status.as_ref().map(|found| id(found.event()));
            let url = http.url.as_ref().map(|found| id(found.event()));
            HttpReport {
                status: http.status.as_ref().map(|found| found.value),
                method: http.method,
                url: http.url.as_ref().map(|found| found.value),
                event_id: status.or(url).unwrap_or(0),
                url_event_id: url,
            }
        }),
        decisive: window.decisive.as_ref().map(decisive_report),
        diagnosis: window_diagnosis(analysis, number),
        events: members(&window.members),
        related: members(&window.related),
        registrations: window_links(windows, number),
    })
}

pub(super) fn failed_window<'a>(windows: &Windows<'a>, number: usize) -> Option<FailedWindow<'a>> {
    let (machine, analysis) = (windows.machine, windows.analysis);
    let window = analysis.windows.get(number)?;
    let failure = window.first_failure;
    Some(FailedWindow {
        id: Id::Window(number),
        operation: window.operation.into(),
        prt: window.prt.into(),
        end: Time(window.ended),
        first_failure: failure.and_then(|index| machine.events.get(index)),
        decisive: window
            .decisive
            .as_ref()
            .map(|decisive| decisive.code.as_str()),
        diagnosis: window_diagnosis(analysis, number),
        registrations: window_links(windows, number),
    })
}

fn window_diagnosis<'a>(analysis: &'a Analysis<'a>, number: usize) -> Option<DiagnosisReport<'a>> {
    Some(diagnosis_report(analysis.diagnoses.get(number)?.as_ref()?))
}

fn window_links(windows: &Windows<'_>, number: usize) -> Vec<LinkReport> {
    let mut links = links(windows.analysis.links_of_windows.get(number), |link| {
        Id::Run(link.run)
    });
    if let Some(runs) = &windows.runs {
        links.retain(|link| runs.contains(&link.id));
    }
    links
}

/// The process or thread of the boundaries, or of all events of an inferred window if they agree.
fn shared(
    machine: &Machine,
    window: &Window<'_>,
    of: impl Fn(&Event) -> Option<u32>,
) -> Option<u32> {
    let event = |index: usize| machine.events.get(index);
    let mut members = window
        .members
        .iter()
        .filter_map(|member| event(member.event()));
    let boundary = match window.start {
        Edge::Missing => window.end_event,
        _ => window.start_event,
    };
    let number = of(event(boundary)?)?;
    let agree = window.start != Edge::Inferred || members.all(|event| of(event) == Some(number));
    agree.then_some(number)
}

pub(super) fn event_report<'a>(
    machine: &'a Machine,
    analysis: &Analysis<'_>,
    index: usize,
    via: Option<Via>,
) -> Option<EventReport<'a>> {
    let event = machine.events.get(index)?;
    Some(event_and_mark(event, analysis.mark(index), index, via))
}

pub(super) fn event_and_mark(
    event: &Event,
    mark: Mark,
    index: usize,
    via: Option<Via>,
) -> EventReport<'_> {
    EventReport {
        event_id: event.event_id,
        time: Time(event.time()),
        record_id: event.record_id,
        channel: &event.channel,
        level: event.level.into(),
        failure: mark.failure,
        housekeeping: mark.housekeeping.map(Housekeeping::reason),
        via: via.map(ViaName::from),
        name: event.info().map(|info| info.name),
        data: event.data(),
        event,
        place: index,
    }
}

fn failure(event: &Event, is_stop: bool) -> FailureReport<'_> {
    FailureReport {
        event_id: event.event_id,
        name: event.info().map(|info| info.name),
        provider: event.provider.name(),
        channel: &event.channel,
        record_id: event.record_id,
        time: Time(event.time()),
        code: evidence::telling_code(event).map(Cow::into_owned),
        is_stop,
        event,
    }
}

pub(super) fn problem(problem: &Problem) -> ProblemReport<'_> {
    ProblemReport {
        path: &problem.path,
        kind: problem.kind,
        offset: problem.offset,
        detail: &problem.detail,
        lost_bytes: problem.lost_bytes,
    }
}

fn event_id(machine: &Machine, index: usize) -> u32 {
    machine.events.get(index).map_or(0, |event| event.event_id)
}

fn links(links: Option<&Vec<Link>>, other: impl Fn(&Link) -> Id) -> Vec<LinkReport> {
    let links = links.into_iter().flatten();
    links
        .map(|link| LinkReport {
            id: other(link),
            reason: link.reason.into(),
        })
        .collect()
}

fn user_report<'a>(analysis: &'a Analysis<'a>, user: &'a User) -> UserReport<'a> {
    let failed = user.windows.iter().rev().find(|number| {
        let window = analysis.windows.get(**number);
        window.is_some_and(|window| window.outcome == Outcome::Failed)
    });
    let diagnosis = failed.and_then(|number| analysis.diagnoses.get(*number)?.as_ref());
    UserReport {
        user: &user.name,
        prt: user.prt.into(),
        state: user.state.into(),
        last_success: user.last_success.map(Time),
        last_failure: user.last_failure.map(Time),
        diagnosis: diagnosis.map(|means| diagnosis_report(means)),
        windows: user
            .windows
            .iter()
            .map(|number| Id::Window(*number))
            .collect(),
        token_requests: user
            .token_requests
            .iter()
            .map(token_request_report)
            .collect(),
        sids: &user.sids,
    }
}

/// Nothing only for a run without events, which there is none of.
fn run_report<'a>(
    machine: &'a Machine,
    analysis: &'a Analysis<'a>,
    number: usize,
    run: &'a Run,
) -> Option<RunReport<'a>> {
    let event = |index: usize| machine.events.get(index);
    let end_event = run.members.last()?.event();
    let last = match run.outcome {
        RunOutcome::Failed => run.last_attempt(),
        _ => None,
    };
    let sub_error = last.and_then(|last| last.sub_error.as_ref());
    let server = last.and_then(|last| last.server.as_ref());
    Some(RunReport {
        id: Id::Run(number),
        kind: run.kind.into(),
        start: Time(event(run.members.first()?.event())?.time()),
        end: Time(event(end_event)?.time()),
        process_id: run.process_id,
        outcome: run.outcome.into(),
        phase: run.phase.map(PhaseName::from),
        first_failure: run
            .first_failure
            .and_then(event)
            .map(|event| failure(event, false)),
        exit_code: run
            .exit_code
            .as_ref()
            .map(|found| status_report(machine, found)),
        sub_error: sub_error.map(|found| network_report(machine, found)),
        server: server.map(|found| drs_report(machine, found)),
        adal: run.adal.as_ref().map(|found| adal_report(machine, found)),
        win32: run.win32.as_ref().map(|found| Win32Report {
            number: found.value,
            symbol: crate::facts::symbol("win32", &found.value.to_string()),
            event_id: event_id(machine, found.event()),
        }),
        proxy_page: run.proxy_page.is_some(),
        decisive: run.decisive.as_ref().map(decisive_report),
        attempts: run
            .attempts
            .iter()
            .map(|attempt| attempt_report(machine, attempt))
            .collect(),
        join_type: run
            .last_attempt()
            .and_then(|last| last.join_type.as_deref()),
        tenant: run.tenant.as_deref(),
        tenant_type: run.tenant_type.as_deref(),
        device_id: newest_id(&analysis.device_ids, end_event),
        tenant_id: newest_id(&analysis.tenant_ids, end_event),
        pre_check: run.pre_check.as_deref(),
        diagnosis: analysis
            .run_diagnoses
            .get(number)
            .and_then(|of| of.as_ref())
            .map(diagnosis_report),
        events: run
            .members
            .iter()
            .filter_map(|member| event_report(machine, analysis, member.event(), Some(member.via)))
            .collect(),
        windows: links(analysis.links_of_runs.get(number), |link| {
            Id::Window(link.window)
        }),
    })
}

fn attempt_report<'a>(machine: &'a Machine, attempt: &'a Attempt) -> AttemptReport<'a> {
    AttemptReport {
        join_type: attempt.join_type.as_deref(),
        phase: attempt.phase.map(PhaseName::from),
        succeeded: attempt.succeeded,
        exit_code: attempt
            .exit_code
            .as_ref()
            .map(|found| status_report(machine, found)),
        sub_error: attempt
            .sub_error
            .as_ref()
            .map(|found| network_report(machine, found)),
        server: attempt
            .server
            .as_ref()
            .map(|found| drs_report(machine, found)),
        adal: attempt
            .adal
            .as_ref()
            .map(|found| adal_report(machine, found)),
    }
}

fn status_report(machine: &Machine, found: &Found<Code>) -> StatusReport {
    StatusReport {
        code: Hex(found.value),
        symbol: found.value.symbol(),
        event_id: event_id(machine, found.event()),
    }
}

fn network_report(machine: &Machine, found: &Found<Code>) -> NetworkReport {
    NetworkReport {
        code: Hex(found.value),
        number: found.value.network_number(),
        symbol: found.value.symbol(),
        event_id: event_id(machine, found.event()),
    }
}

fn drs_report<'a>(machine: &Machine, found: &'a Found<ServerAnswer>) -> DrsReport<'a> {
    let answer = &found.value.answer;
    DrsReport {
        code: answer.code.as_deref(),
        subcode: answer.sub_code.as_deref(),
        also: answer.also.iter().map(String::as_str).collect(),
        operation: answer.operation.as_deref(),
        description: answer.description.as_deref(),
        http_status: found.value.http_status,
        request_id: answer.request_id.as_deref(),
        event_id: event_id(machine, found.event()),
    }
}

fn adal_report<'a>(machine: &Machine, found: &'a Found<Adal>) -> AdalReport<'a> {
    let adal = &found.value;
    AdalReport {
        code: adal.code.map(Hex),
        symbol: adal.code.and_then(Code::symbol),
        error: adal.error.as_deref(),
        message: adal.message.as_deref(),
        correlation_id: adal.correlation_id.map(Guid),
        log: adal.log.iter().map(String::as_str).collect(),
        event_id: event_id(machine, found.event()),
    }
}

fn diagnosis_report(diagnosis: &Diagnosis) -> DiagnosisReport<'_> {
    DiagnosisReport {
        rule: diagnosis.rule,
        because: diagnosis.because,
        class: diagnosis.class.into(),
        stage: diagnosis.stage,
        summary: &diagnosis.summary,
        cause: diagnosis.cause,
        next_steps: &diagnosis.next_steps,
        sources: &diagnosis.sources,
    }
}

fn machine_diagnosis<'a>(analysis: &'a Analysis<'a>) -> MachineDiagnosis<'a> {
    let (means, subject) = match &analysis.diagnosis {
        Some((diagnosis, subject)) => (Some(diagnosis), *subject),
        None => (None, None),
    };
    MachineDiagnosis {
        state: analysis.state.into(),
        finding: None,
        registration: analysis.registration.into(),
        of: subject.and_then(|subject| match subject {
            Subject::Window(number) => Some(Id::Window(number)),
            Subject::Run(number) => Some(Id::Run(number)),
            Subject::TokenRequest { .. } => None,
        }),
        rule: means.map(|means| means.rule),
        because: means.map(|means| means.because),
        class: means.map(|means| means.class.into()),
        stage: means.map(|means| means.stage),
        summary: means.map(|means| means.summary.as_str()),
        cause: means.map(|means| means.cause),
        next_steps: means.map_or(&[], |means| &means.next_steps),
        sources: means.map_or(&[], |means| &means.sources),
    }
}

fn token_request_report(request: &TokenRequest) -> TokenRequestReport<'_> {
    TokenRequestReport {
        code: Hex(request.code),
        symbol: request.code.symbol(),
        aadsts: request.aadsts.as_deref(),
        client: request.client.as_deref(),
        resource: request.resource.as_deref(),
        authority: request.authority.as_deref(),
        correlation_id: request.correlation_id.map(Guid),
        count: request.count,
        first: Time(request.first),
        last: Time(request.last),
    }
}

fn decisive_report(decisive: &Decisive) -> DecisiveReport<'_> {
    DecisiveReport {
        code: &decisive.code,
        kind: decisive.kind.into(),
    }
}
