//! What files held, whatever the order in which threads read them.

use super::log::{Part, slots_in};
use super::{Counts, Job, Log, Place, no_evidence};
use crate::base::problem::{Problem, ProblemKind, counted};
use crate::evtx::chunk::CHUNK_SIZE;
use crate::input::Kind;
use crate::input::archive::{self, Refusal, RefusalKind};
use crate::input::{Candidate, Header};
use crate::scan::bundle::Hints;
use std::collections::BTreeMap;
use std::time::Duration;

/// What files held.
#[derive(Default)]
pub(super) struct Gathered {
    /// The logs with events of ours.
    pub(super) logs: Vec<Log>,
    pub(super) problems: Vec<Problem>,
    pub(super) left_out: LeftOut,
    pub(super) hints: Hints,
    /// By the number of the root.
    pub(super) counts: BTreeMap<usize, (Counts, Duration)>,
    /// The named files that were opened, by the number of the root: what each is, and its size.
    pub(super) files: BTreeMap<usize, (Kind, u64)>,
    /// Archives to be read again when no other one is.
    pub(super) put_off: Vec<Candidate>,
}

impl Gathered {
    pub(super) fn with(mut self, mut other: Gathered) -> Gathered {
        if self.logs.len() + self.problems.len() < other.logs.len() + other.problems.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.add(other);
        self
    }

    pub(super) fn add(&mut self, other: Gathered) {
        self.logs.extend(other.logs);
        self.problems.extend(other.problems);
        self.left_out.extend(other.left_out);
        self.hints.extend(other.hints);
        self.files.extend(other.files);
        self.put_off.extend(other.put_off);
        for (root, (counts, busy)) in other.counts {
            let of = self.counts.entry(root).or_default();
            of.0.add(counts);
            of.1 += busy;
        }
    }

    pub(super) fn count(&mut self, place: &Place, counts: Counts) {
        self.counts.entry(place.root).or_default().0.add(counts);
    }

    pub(super) fn other(&mut self, place: &Place) {
        let one = Counts {
            other_files: 1,
            ..Counts::default()
        };
        self.count(place, one);
    }

    /// A file is left out: of those in an archive many may be for one reason.
    pub(super) fn left_out(&mut self, place: &Place, kind: ProblemKind, detail: String) {
        let member = place.name.strip_prefix(&*place.source);
        match member.and_then(|member| member.strip_prefix('!')) {
            Some(member) => {
                let reason = (place.source.to_string(), kind, detail);
                self.left_out.add(reason, member, 0);
            }
            None => self.problem(&place.name, kind, detail, 0),
        }
    }

    /// What an archive held. One that gave nothing is a problem, unless what could not be read in it
    /// says more.
    pub(super) fn or_no_evidence(mut self, place: &Place, kind: archive::Kind) -> Gathered {
        let mut counts = Counts::default();
        self.counts.values().for_each(|(of, _)| counts.add(*of));
        let gave = match kind {
            // A compressed log is as any other log.
            archive::Kind::Gzip => counts.logs > 0,
            _ => counts.events > 0,
        };
        let kinds = self.problems.iter().map(|problem| problem.kind);
        let left_out = self.left_out.0.keys().map(|(_, kind, _)| *kind);
        let mut kinds = kinds.chain(left_out);
        let unread = !self.put_off.is_empty() || kinds.any(|kind| kind != ProblemKind::NoEvidence);
        if !gave && !unread {
            let detail = no_evidence(counts, place.depth > 0);
            self.left_out(place, ProblemKind::NoEvidence, detail);
        }
        self
    }

    pub(super) fn problem(
        &mut self,
        path: &str,
        kind: ProblemKind,
        detail: String,
        lost_bytes: u64,
    ) {
        self.problems.push(Problem {
            path: path.to_owned(),
            offset: None,
            kind,
            detail,
            lost_bytes,
        });
    }

    /// A log was read: of one without events of ours only the counts and the problems stay.
    pub(super) fn log(
        &mut self,
        place: Place,
        header: Header,
        bytes: u64,
        mut part: Part,
        job: &Job<'_>,
    ) {
        job.counted.log(&part.events);
        if header.damaged {
            let detail = "the file header's checksum disagrees; the chunks were read anyway";
            let kind = ProblemKind::DamagedHeader;
            part.problem(&place.name, 0, kind, detail.to_owned(), 0);
        }
        let missing = header.chunks.saturating_sub(slots_in(bytes));
        if missing > 0 {
            let detail = format!(
                "the file ends early: its header counts {}, of which {missing} {} missing; copy it \
                 again",
                counted(header.chunks, "chunk"),
                if missing == 1 { "is" } else { "are" },
            );
            let lost = missing * CHUNK_SIZE as u64;
            part.problem(&place.name, bytes, ProblemKind::Truncated, detail, lost);
        }
        let counts = Counts {
            logs: 1,
            bytes,
            records: part.records,
            events: part.events.iter().map(|of| of.events.len() as u64).sum(),
            lost: part.lost,
            other_files: 0,
        };
        self.count(&place, counts);
        self.counts.entry(place.root).or_default().1 += part.busy;
        let (records, chunks_damaged) = (part.records, part.chunks_damaged);
        let (problems, events) = part.into_problems(&place.name);
        if events.is_empty() {
            self.problems.extend(problems);
            return;
        }
        self.logs.push(Log {
            root: job.names.get(place.root).cloned().unwrap_or_default(),
            path: place.name,
            ordinal: place.ordinal,
            source: place.source,
            dirty: header.dirty,
            records,
            chunks_damaged,
            events,
            problems,
        });
    }
}

/// The same, or that the parser itself failed.
pub(super) fn refused_or_failed(
    place: &Place,
    refusals: std::thread::Result<Vec<Refusal>>,
) -> Gathered {
    match refusals {
        Ok(refusals) => refused(place, refusals),
        // Nothing is known of what it held.
        Err(_) => {
            let mut gathered = Gathered::default();
            let detail = "its parser failed: unpack it and name the folder".to_owned();
            gathered.problem(&place.name, ProblemKind::ParserFailure, detail, 0);
            gathered
        }
    }
}

/// What an archive did not give, as problems.
pub(super) fn refused(place: &Place, refusals: Vec<Refusal>) -> Gathered {
    let mut gathered = Gathered::default();
    for refusal in refusals {
        let kind = match refusal.kind {
            RefusalKind::Encrypted => ProblemKind::Encrypted,
            RefusalKind::Truncated => ProblemKind::Truncated,
            RefusalKind::Damaged => ProblemKind::DamagedArchive,
            RefusalKind::Checksum => ProblemKind::ChecksumMismatch,
            RefusalKind::Unsupported => ProblemKind::Unsupported,
            RefusalKind::TooLarge | RefusalKind::Limit => ProblemKind::LimitReached,
            RefusalKind::NotFollowed => ProblemKind::NotFollowed,
            RefusalKind::Unreadable => ProblemKind::Unreadable,
        };
        match &refusal.member {
            Some(member) => {
                let reason = (place.name.clone(), kind, refusal.detail);
                gathered.left_out.add(reason, member, refusal.lost_bytes);
            }
            None => gathered.problem(&place.name, kind, refusal.detail, refusal.lost_bytes),
        }
    }
    gathered
}

/// Of the members of an archive that are left out for one and the same reason so many are listed
/// each; more are one problem. That they need a password or are of a kind that is not read says the
/// same of all of them; what is damaged is another matter.
fn listed(kind: ProblemKind) -> usize {
    use ProblemKind::{Encrypted, NotFollowed, Unsupported};
    match kind {
        Encrypted | NotFollowed | Unsupported => 3,
        _ => 100,
    }
}

/// The members of archives that were left out, by archive and reason.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<(String, ProblemKind, String), Members>);

/// Members that were left out.
#[derive(Debug, Default)]
pub(super) struct Members {
    count: u64,
    lost_bytes: u64,
    /// The first few by name, with the bytes lost of each.
    first: Vec<(String, u64)>,
}

/// So many members are remembered by name for each reason, however many there are.
const NAMED: usize = 100;

impl LeftOut {
    pub(super) fn add(
        &mut self,
        reason: (String, ProblemKind, String),
        member: &str,
        lost_bytes: u64,
    ) {
        let of = self.0.entry(reason).or_default();
        of.add(1, lost_bytes, [(member.to_owned(), lost_bytes)]);
    }

    pub(super) fn extend(&mut self, others: LeftOut) {
        for (reason, members) in others.0 {
            let of = self.0.entry(reason).or_default();
            of.add(members.count, members.lost_bytes, members.first);
        }
    }

    /// The problems; and of members that are one problem together, each one that is remembered.
    pub(super) fn into_problems(self) -> (Vec<Problem>, Vec<Problem>) {
        let (mut problems, mut together) = (Vec::new(), Vec::new());
        for ((archive, kind, detail), members) in self.0 {
            let problem = |path, detail, lost_bytes| Problem {
                path,
                offset: None,
                kind,
                detail,
                lost_bytes,
            };
            let each = members.first.iter().map(|(member, lost)| {
                problem(format!("{archive}!{member}"), detail.clone(), *lost)
            });
            if members.count <= listed(kind) as u64 {
                problems.extend(each);
                continue;
            }
            together.extend(each);
            let first = members.first.first().map_or("", |(first, _)| first);
            let count = members.count;
            let detail = format!("{count} members, {first} the first: {detail}");
            problems.push(problem(archive, detail, members.lost_bytes));
        }
        (problems, together)
    }
}

impl Members {
    fn add(&mut self, count: u64, lost_bytes: u64, first: impl IntoIterator<Item = (String, u64)>) {
        self.count += count;
        self.lost_bytes = self.lost_bytes.saturating_add(lost_bytes);
        self.first.extend(first);
        self.first.sort_unstable();
        self.first.truncate(NAMED);
    }
}
