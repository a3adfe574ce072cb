//! What each input was and what it gave, so that none is passed over in silence.

use crate::base::problem::{Problem, ProblemKind};
use crate::base::time::Filetime;
use crate::event::batch::earliest_and_latest;
use crate::input::Kind;
use crate::input::archive;
use crate::machine::Machine;
use crate::scan::{Counts, Log, Scanned, no_evidence};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// A path that the user named, or another file that gave nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Input {
    /// The path as the report prints it.
    pub path: String,
    /// Whether the user named it.
    pub named: bool,
    /// What it is.
    pub kind: InputKind,
    /// Its size in bytes, of a folder that of the logs in it; unknown for what could not be read.
    pub bytes: Option<u64>,
    /// What was found in it.
    pub counts: Counts,
    /// The channels of its selected events, sorted.
    pub channels: Vec<Arc<str>>,
    /// The machines that its selected events belong to, sorted.
    pub machines: Vec<Arc<str>>,
    /// The times of its first and last selected event.
    pub extent: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Why it gave no selected event.
    pub skipped: Option<Skipped>,
    /// How long threads took to read its logs, unpacking included, added up.
    pub busy: Duration,
}

/// Why an input gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What was found.
    pub detail: String,
}

/// What an input is: by its content if it was opened, else by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputKind {
    /// An event log.
    Evtx,
    /// A zip archive.
    Zip,
    /// A cabinet.
    Cab,
    /// A tar archive.
    Tar,
    /// A gzip file.
    Gzip,
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

impl InputKind {
    fn of_name(path: &str) -> InputKind {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "evtx" => InputKind::Evtx,
            "zip" => InputKind::Zip,
            "cab" => InputKind::Cab,
            "tar" => InputKind::Tar,
            "gz" | "tgz" => InputKind::Gzip,
            _ => InputKind::Other,
        }
    }
}

/// What the logs say of the roots that they lie under. Taken before the logs are sorted by machine.
pub(super) struct OfRoots {
    /// By the root's name.
    roots: HashMap<Arc<str>, OfRoot>,
    /// Log → the root's name.
    logs: HashMap<String, Arc<str>>,
}

#[derive(Default)]
struct OfRoot {
    channels: BTreeSet<Arc<str>>,
    machines: BTreeSet<Arc<str>>,
    extent: Option<(Filetime, Filetime)>,
}

impl OfRoots {
    pub(super) fn new(logs: &[Log]) -> OfRoots {
        let mut of_roots = OfRoots {
            roots: HashMap::new(),
            logs: HashMap::with_capacity(logs.len()),
        };
        for log in logs {
            let of_root = of_roots.roots.entry(Arc::clone(&log.root)).or_default();
            for batch in &log.events {
                for channel in &batch.channels {
                    if !of_root.channels.contains(channel) {
                        of_root.channels.insert(Arc::clone(channel));
                    }
                }
                of_root.extent = earliest_and_latest(of_root.extent, batch.extent);
            }
            of_roots
                .logs
                .insert(log.path.clone(), Arc::clone(&log.root));
        }
        of_roots
    }

    /// The machines that the logs were found to be of.
    pub(super) fn add(&mut self, machine: &Machine) {
        for log in &machine.logs {
            let root = self.logs.get(&log.path);
            if let Some(of_root) = root.and_then(|root| self.roots.get_mut(root)) {
                of_root.machines.insert(Arc::clone(&machine.name));
            }
        }
    }
}

/// The named paths and the files that gave nothing, by path. `problems` are in order; a named path
/// without evidence gets one if there is none about it.
pub(super) fn inputs(
    scanned: Scanned,
    mut of_roots: OfRoots,
    problems: &mut Vec<Problem>,
) -> Vec<Input> {
    let Scanned {
        roots,
        names,
        mut counts,
        mut files,
        left_out_together,
        ..
    } = scanned;
    let mut inputs: Vec<Input> = Vec::new();
    let mut untold = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let (counts, busy) = counts.remove(&number).unwrap_or_default();
        let file = files.remove(&number);
        let of_root = of_roots.roots.remove(name).unwrap_or_default();
        let is_folder = roots.is_folder(number);
        let gave_nothing = counts.events == 0 && !roots.holds_others(number);
        let skipped = gave_nothing.then(|| {
            let problem = reason(problems, name).filter(|problem| {
                // Where logs were read, what is wrong in one of them is not the reason.
                problem.path == **name || counts.logs == 0
            });
            let problem = problem.cloned();
            let problem = problem.unwrap_or_else(|| {
                let problem = Problem {
                    path: name.to_string(),
                    offset: None,
                    kind: ProblemKind::NoEvidence,
                    detail: no_evidence(counts, false),
                    lost_bytes: 0,
                };
                untold.push(problem.clone());
                problem
            });
            Skipped::of(name, &problem)
        });
        let input = Input {
            path: name.to_string(),
            named: true,
            kind: match file {
                Some((kind, _)) => kind.into(),
                None if is_folder => InputKind::Folder,
                None => InputKind::of_name(name),
            },
            bytes: match file {
                Some((_, bytes)) => Some(bytes),
                None => is_folder.then_some(counts.bytes),
            },
            counts,
            channels: of_root.channels.into_iter().collect(),
            machines: of_root.machines.into_iter().collect(),
            extent: of_root
                .extent
                .map(|(first, last)| (first.time(), last.time())),
            skipped,
            busy,
        };
        // Another name of it was given as well.
        for alias in roots.aliases(number) {
            inputs.push(Input {
                path: alias,
                ..input.clone()
            });
        }
        inputs.push(input);
    }
    let mut told: HashSet<String> = inputs.iter().map(|input| input.path.clone()).collect();
    let with_events: BTreeSet<&str> = of_roots.logs.keys().map(String::as_str).collect();
    let gave = |path: &str| {
        let of_archive = format!("{path}!");
        let mut below = with_events.range(of_archive.as_str()..);
        // What is in a gzip file has its name.
        let container = path.rsplit_once('!').map(|(container, _)| container);
        with_events.contains(path)
            || container.is_some_and(|container| with_events.contains(container))
            || below.next().is_some_and(|log| log.starts_with(&of_archive))
    };
    for problem in problems.iter().chain(&left_out_together) {
        if gave(&problem.path) || !told.insert(problem.path.clone()) {
            continue;
        }
        let input = Input {
            path: problem.path.clone(),
            named: false,
            kind: InputKind::of_name(&problem.path),
            bytes: None,
            counts: Counts::default(),
            channels: Vec::new(),
            machines: Vec::new(),
            extent: None,
            skipped: Some(Skipped::of(&problem.path, problem)),
            busy: Duration::ZERO,
        };
        inputs.push(input);
    }
    problems.append(&mut untold);
    problems.sort();
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    inputs
}

/// What says why nothing came of a path: what is wrong with the path itself, or with something in
/// it. The problems are in order.
fn reason<'p>(problems: &'p [Problem], path: &str) -> Option<&'p Problem> {
    let first = problems.partition_point(|problem| *problem.path < *path);
    let mut of_path = problems.get(first..)?.iter();
    let of_path = of_path
        .by_ref()
        .take_while(|problem| problem.path.starts_with(path));
    let mut within = None;
    for problem in of_path {
        let below = problem.path.get(path.len()..).unwrap_or_default();
        if below.is_empty() {
            return Some(problem);
        }
        let is_within = below.starts_with(['/', '!']) && problem.kind != ProblemKind::NoEvidence;
        within = within.or(is_within.then_some(problem));
    }
    within
}

impl From<Kind> for InputKind {
    fn from(kind: Kind) -> InputKind {
        match kind {
            Kind::Log(_) => InputKind::Evtx,
            Kind::Archive(archive::Kind::Zip) => InputKind::Zip,
            Kind::Archive(archive::Kind::Cab) => InputKind::Cab,
            Kind::Archive(archive::Kind::Tar) => InputKind::Tar,
            Kind::Archive(archive::Kind::Gzip) => InputKind::Gzip,
            Kind::Unsupported(_) | Kind::Empty | Kind::Other => InputKind::Other,
        }
    }
}

impl Skipped {
    /// Why nothing came of a path; what is wrong with something in it names that.
    fn of(path: &str, problem: &Problem) -> Skipped {
        Skipped {
            kind: problem.kind,
            detail: match problem.path == path {
                true => problem.detail.clone(),
                false => format!("{}: {}", problem.path, problem.detail),
            },
        }
    }
}
