//! What could not be read, for people: a few problems by file, many by kind with examples.

use super::ProblemReport;
use super::layout::{counted, number, wrapped};
use crate::base::problem::ProblemKind;
use crate::base::terminal::one_line;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Problems that are listed one by one.
const MOST_LISTED: usize = 100;
/// Problems of one kind that are shown where they are not all listed.
const MOST_EXAMPLES: usize = 3;

/// Writes what there is to say of these problems, in their order.
pub(super) fn write(all: &[&ProblemReport<'_>], out: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    match stretches(all) {
        Some(stretches) => {
            writeln!(out, "Problems: {}", all.len())?;
            let mut path = None;
            for stretch in stretches {
                if path.replace(stretch.first.path) != Some(stretch.first.path) {
                    writeln!(out, "  {}", one_line(stretch.first.path))?;
                }
                stretch.write(out)?;
            }
            writeln!(out)
        }
        None => {
            let mut by_kind = ByKind::default();
            all.iter().for_each(|problem| by_kind.add(problem));
            by_kind.write(out)
        }
    }
}

/// Like problems one after the other.
struct Stretch<'p> {
    first: &'p ProblemReport<'p>,
    count: u64,
    lost_bytes: u64,
}

/// The problems as stretches; none if those are too many to list.
fn stretches<'p>(all: &[&'p ProblemReport<'p>]) -> Option<Vec<Stretch<'p>>> {
    let mut stretches: Vec<Stretch<'p>> = Vec::new();
    for problem in all {
        let full = stretches.len() == MOST_LISTED;
        match stretches
            .last_mut()
            .filter(|last| last.goes_on_with(problem))
        {
            Some(last) => {
                last.count += 1;
                last.lost_bytes += problem.lost_bytes;
            }
            None if full => return None,
            None => stretches.push(Stretch {
                first: problem,
                count: 1,
                lost_bytes: problem.lost_bytes,
            }),
        }
    }
    Some(stretches)
}

impl Stretch<'_> {
    fn goes_on_with(&self, next: &ProblemReport<'_>) -> bool {
        let first = self.first;
        let end = first.offset.map(|offset| offset + self.lost_bytes);
        self.lost_bytes > 0
            && (next.path, next.kind, next.detail, next.offset)
                == (first.path, first.kind, first.detail, end)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut text = one_line(self.first.detail).into_owned();
        if self.count > 1 {
            text.push_str(&format!(" ({} times in a row)", self.count));
        }
        if self.lost_bytes > 0 {
            text.push_str(&format!(" ({} lost)", counted(self.lost_bytes, "byte")));
        }
        let lead = match self.first.offset {
            Some(offset) => format!("    byte {offset}: "),
            None => "    ".to_owned(),
        };
        wrapped(&lead, &text, out)
    }
}

/// Problems that are counted by kind.
#[derive(Default)]
pub(super) struct ByKind(BTreeMap<ProblemKind, Alike>);

#[derive(Default)]
struct Alike {
    count: u64,
    lost_bytes: u64,
    examples: Vec<String>,
}

impl ByKind {
    pub(super) fn add(&mut self, problem: &ProblemReport<'_>) {
        let alike = self.0.entry(problem.kind).or_default();
        alike.count += 1;
        alike.lost_bytes = alike.lost_bytes.saturating_add(problem.lost_bytes);
        if alike.examples.len() < MOST_EXAMPLES {
            let at = problem.offset;
            let at = at.map_or(String::new(), |offset| format!(" byte {offset}:"));
            let text = format!("{}:{at} {}", problem.path, problem.detail);
            alike.examples.push(one_line(&text).into_owned());
        }
    }

    /// Adds those of the next machine.
    pub(super) fn merge(&mut self, next: ByKind) {
        for (kind, theirs) in next.0 {
            let ours = self.0.entry(kind).or_default();
            ours.count += theirs.count;
            ours.lost_bytes = ours.lost_bytes.saturating_add(theirs.lost_bytes);
            let left = MOST_EXAMPLES.saturating_sub(ours.examples.len());
            ours.examples.extend(theirs.examples.into_iter().take(left));
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let count: u64 = self.0.values().map(|alike| alike.count).sum();
        if count == 0 {
            return Ok(());
        }
        writeln!(out, "Problems: {}", number(count))?;
        for (kind, alike) in &self.0 {
            let mut text = format!("  {}: {}", words(*kind), number(alike.count));
            match alike.lost_bytes {
                0 => {}
                1 => text.push_str(" (1 byte lost)"),
                lost => text.push_str(&format!(" ({} bytes lost)", number(lost))),
            }
            writeln!(out, "{text}")?;
            for example in &alike.examples {
                wrapped("    ", example, out)?;
            }
            match alike.count - alike.examples.len() as u64 {
                0 => {}
                more => writeln!(out, "    and {} more: --format json has all", number(more))?,
            }
        }
        writeln!(out)
    }
}

/// The words for a kind of problem: those of the other formats.
fn words(kind: ProblemKind) -> String {
    let word = serde_json::to_value(kind).unwrap_or_default();
    word.as_str().unwrap_or_default().replace('_', " ")
}
